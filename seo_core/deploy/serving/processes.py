"""The processes: workers × threads from the machine, started, watched and stopped by uvicorn's supervisor.

Each worker has one core and one thread of the engine: two threads on one text lose a third to waiting for one another,
and the Python of one worker hides behind the engine of the other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from seo_core.checks import SettingsError, check_number
from seo_core.deploy import artifact
from seo_core.deploy.runners import RUNTIMES
from seo_core.deploy.serving.limits import Limits
from seo_core.machine import cores, environment

KEY = "SEO_API_KEY"  # not on the command line, where every user of the machine can read it


class ServingError(RuntimeError):
    """A server that cannot be started; the message says why."""


def serve(folder: str | Path, *, host: str = "127.0.0.1", port: int = 8000, workers: int | None = None,
          threads: int | None = None, limits: Limits | None = None, engine: str = "onnxruntime", say=print) -> None:
    """Serves an artifact until SIGTERM or SIGINT; what was accepted by then is finished.

    folder: as `seo_core.load` takes it. port: 0 for one that is free. workers: processes, default one for each core;
    threads: of each one's engine, default its share of the cores. engine: which, as of `seo_core.load`, in all workers.
    say: gets the address. Raises ArtifactError for a folder that is none or damaged, ServingError for an address that
    cannot be had, SettingsError.
    """
    try:
        import uvicorn
        from uvicorn.config import STARTUP_FAILURE
        from uvicorn.supervisors import Multiprocess
    except ImportError as why:
        raise ServingError("serving needs FastAPI and uvicorn: pip install 'seo-core[serve]'") from why
    workers = check_number("workers", cores() if workers is None else workers, least=1, whole=True)
    threads = max(1, cores() // workers) if threads is None else threads
    check_number("threads", threads, least=1, whole=True)
    check_number("port", port, least=0, most=65535, whole=True)
    folder, limits = artifact.locate(folder), limits or Limits()
    artifact.check(folder)
    if engine != RUNTIMES[0]:  # here: what cannot be run is said in a line, and all workers have what was measured once
        model = artifact.load(folder, threads=threads, engine=engine)
        engine = model.engine.name if model.engine else engine
        del model
    if os.environ.get(KEY) == "":
        raise SettingsError(f"${KEY} is set and empty: give it a key, or unset it to serve everybody")
    with tempfile.TemporaryDirectory(prefix="seo-serving-") as counted, _environment(  # of the workers
            PROMETHEUS_MULTIPROC_DIR=counted, TOKENIZERS_PARALLELISM="true" if threads > 1 else "false"):
        config = uvicorn.Config(
            partial(_app, Path(folder).resolve(), threads, limits, engine), factory=True, host=host, port=port,
            workers=workers, http="seo_core.deploy.serving.protocol:Protocol", ws="none",
            loop="seo_core.deploy.serving.accepting:Loop",
            access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=limits.idle,
            limit_concurrency=limits.connections, timeout_graceful_shutdown=limits.finish)
        try:
            listening = config.bind_socket()
        except SystemExit:  # it has logged why
            raise ServingError(f"the address {host}:{port} cannot be had: another program listens there, or it is not "
                               "this machine's") from None
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        say(f"serving {Path(folder).name} at {address} with {workers} × {threads} threads"
            + (f" of {engine}" if engine != RUNTIMES[0] else "")
            + (f", for those who know ${KEY}" if KEY in os.environ else ""))
        # asyncio does so for sockets of a stated protocol only: an answer in two pieces would wait 40 ms in between
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        supervisor = Multiprocess(config, [listening])
        supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise ServingError("a worker could not start: the lines above say why")


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """What processes that are started meanwhile find in their environment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _app(folder: Path, threads: int, limits: Limits, engine: str):
    """In a worker. A folder that was damaged since ends the server: workers that start again would end the same way."""
    from uvicorn.config import STARTUP_FAILURE

    from seo_core.deploy.serving.app import make_app

    try:
        return make_app(folder, threads=threads, limits=limits, engine=engine, key=os.environ.get(KEY))
    except artifact.ArtifactError as error:
        logging.getLogger("uvicorn.error").error(error)
        sys.exit(STARTUP_FAILURE)


@dataclass(frozen=True)
class Running:
    """A server that runs: its address, its first process (whose children are the workers), and what it logs."""

    url: str
    process: subprocess.Popen
    logged: IO[str]

    def log(self) -> str:
        """What it has logged so far."""
        self.logged.seek(0)
        return self.logged.read().strip()


@contextlib.contextmanager
def running(folder: str | Path, *, workers: int | None = None, threads: int | None = None, key: str | None = None,
            engine: str | None = None, seconds: float = 30, **limits) -> Iterator[Running]:
    """A server in processes of its own, on a free port of this machine, ready, until the block ends.

    seconds: how long it may take to be ready. limits: fields of `Limits`; all else as in `serve`. Raises ServingError
    with what the server said."""
    words = {"--artifact": folder, "--port": 0, "--workers": workers, "--threads": threads, "--engine": engine}
    line = [str(word) for pair in words.items() if pair[1] is not None for word in pair]
    line += ["--set", *(f"{name}={value}" for name, value in limits.items())] if limits else []
    given = environment() | ({KEY: key} if key else {})
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(
            [sys.executable, "-m", "seo_core.run", "serve", *line], env=given, text=True, stdout=subprocess.PIPE,
            stderr=log) as process:
        try:
            url = process.stdout.readline().partition(" at ")[2].split()[:1]
            server = Running("".join(url), process, log)
            if not (url and _ready(server.url, time.monotonic() + seconds, process)):
                process.terminate()
                process.wait()
                raise ServingError(f"no server within {seconds} s: {server.log()}")
            yield server
        finally:
            process.terminate()


def _ready(url: str, until: float, process: subprocess.Popen) -> bool:
    import urllib.request

    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
        time.sleep(0.02)
    return False
