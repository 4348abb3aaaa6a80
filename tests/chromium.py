"""A headless Chromium, spoken to in the DevTools protocol over two pipes: no driver, no port.

    with Chromium() as browser:
        browser.open("file:///a/page.html")
        browser.run("document.title")
"""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Chromium:
    """One tab. `errors` collects what the page's scripts threw and did not catch, `console` what else the
    console shows as an error, such as a file that did not load."""

    def __init__(self, *switches: str, seconds: float = 120):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        command = [FOUND, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", *switches]
        speaking = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'  # the protocol is spoken on 3 and 4
        self.process = subprocess.Popen(["sh", "-c", speaking, "sh", *command], bufsize=0, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self._late = threading.Timer(seconds, self.process.kill)  # then reading ends
        self._late.start()
        self._rest, self._number, self._session, self.errors, self.console = b"", 0, {}, [], []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        self.ask("Page.enable")
        self.ask("Runtime.enable")  # which also tells what scripts throw
        self.ask("Log.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._late.cancel()
        self.process.terminate()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
            self.process.stdout.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            chunk = self.process.stdout.read(1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended, or did not answer in time")
            self._rest += chunk
        message, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(message)
        if message.get("method") == "Runtime.exceptionThrown":
            thrown = message["params"]["exceptionDetails"]
            self.errors.append(thrown.get("exception", {}).get("description", thrown["text"]))
        elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            entry = message["params"]["entry"]
            self.console.append(f"{entry['text']} {entry.get('url', '')}".strip())
        return message

    def ask(self, method: str, **parameters) -> dict:
        """One command of the protocol, and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[self.process.stdin.write(data):]
        while (message := self._next()).get("id") != self._number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def open(self, address: str) -> None:
        """Opens a page and waits until it is loaded."""
        failed = self.ask("Page.navigate", url=address).get("errorText")
        if failed:
            raise RuntimeError(f"{address}: {failed}")
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def run(self, script: str):
        """The value of an expression; a promise is waited for. None for a promise of nothing."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    def window(self, width: int, height: int, *, dark: bool = False) -> None:
        """A window of this size, of a reader who prefers this theme."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path: Path, *, width: int, height: int, dark: bool = False) -> None:
        """A screenshot at this size of window."""
        self.window(width, height, dark=dark)
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))
