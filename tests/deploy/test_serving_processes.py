"""The server's processes: what starts, what does not, what is finished, and what starts again. Real processes."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from seo_core.deploy import serving
from seo_core.deploy.serving import protocol
from seo_core.settings import book_root

pytestmark = pytest.mark.slow
PAIR = {"premise": "A man sleeps.", "hypothesis": "A person rests."}


@pytest.fixture(scope="module")
def folder():
    return book_root() / "book" / "artifacts" / "reference-small"


def workers(server) -> list[psutil.Process]:
    """Its workers that live, and not the process that tracks their resources."""
    return [each for each in psutil.Process(server.process.pid).children()
            if each.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(each.cmdline())]


def started(*words) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "seo_core.run", "serve", *map(str, words)], capture_output=True,
                          text=True, timeout=60)


class Load(threading.Thread):
    """A client that asks until it is told to stop, or the server no longer answers. answers: of each request the status
    and how many texts it has."""

    def __init__(self, url: str, texts: int = 1):
        super().__init__()
        self.url, self.texts, self.answers, self.stop = url, texts, [], False
        self.start()

    def run(self):
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self.stop:
                try:
                    answer = client.post("/predict", json=[PAIR] * self.texts)
                except httpx.TransportError:  # the request was not taken: the log says how many were
                    return
                self.answers.append((answer.status_code, len(answer.json())))


def test_what_was_taken_before_sigterm_is_answered(folder):
    with serving.running(folder, workers=2) as server:
        probes = answered_so_far(server)  # of `running`, which asks until the server is ready, and this one
        clients = [Load(server.url, texts) for texts in (1, 1, 5, 20, 64, 64)]
        until = time.monotonic() + 30
        while sum(len(client.answers) for client in clients) <= 20 and time.monotonic() < until:
            time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        for client in clients:
            client.join(30)
        log = [line.split() for line in server.log().splitlines() if "requests taken," in line]
    assert len(log) == 2, "each worker came to its end"
    taken, answered = (sum(int(line[line.index(word) - back]) for line in log) for word, back in (
        ("requests", 1), ("answered", 1)))
    for client in clients:
        assert set(client.answers) == {(200, client.texts)}
    received = sum(len(client.answers) for client in clients)
    assert received > 20 and taken == answered == probes + received, "each one that was taken reached its client"


def answered_so_far(server) -> int:
    """Requests, of all workers, the one that asks for it included."""
    text = httpx.get(f"{server.url}/metrics").text
    return 1 + sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("seo_requests_total{"))


def test_a_worker_that_is_killed_starts_again(folder):
    with serving.running(folder, workers=2) as server:
        clients = [Load(server.url) for _ in range(2)]
        first = workers(server)
        first[0].kill()
        until = time.monotonic() + 30
        while not ((now := workers(server)) and len(now) == 2 and first[1] in now and first[0] not in now):
            assert time.monotonic() < until, f"{first[0]} died, and there are {now}"
            time.sleep(0.1)
        assert httpx.post(f"{server.url}/predict", json=PAIR).status_code == 200
        for client in clients:
            client.stop = True
        for client in clients:
            client.join(30)
        for client in clients:  # of those that were asked of the worker that died some have no answer; none is wrong
            assert set(client.answers) <= {(200, 1)}
        assert any(client.answers for client in clients) and "Traceback" not in server.log()


def test_clients_that_come_at_once_are_shared_among_the_workers(folder):
    """asyncio's own server gives all of them to the worker that wakes first, and they keep their connections."""
    with serving.running(folder, workers=2) as server:
        place, until = urlsplit(server.url), time.monotonic() + 30
        while min(shares := shared(server, (place.hostname, place.port), 64)) == 0:  # one may not be there yet
            assert time.monotonic() < until, shares
        assert len(shares) == 2 and sum(shares) == 64


def shared(server, address: tuple[str, int], count: int) -> list[int]:
    """How many of so many clients each worker has."""
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection(address)) for _ in range(count)]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
        return [sum(each.status == "ESTABLISHED" and each.laddr.port == address[1]
                    for each in worker.net_connections()) for worker in workers(server)]


def test_a_worker_is_small_and_loads_no_library_of_training(folder):
    with serving.running(folder, workers=1) as server:
        with httpx.Client(base_url=server.url) as client:
            for texts in (1, 64, 64):
                assert client.post("/predict", json=[{**PAIR, "premise": "A man sleeps. " * 200}] * texts).is_success
        (worker,) = workers(server)
        assert worker.memory_info().rss < 250e6
        mapped = Path(f"/proc/{worker.pid}/maps").read_text() if sys.platform == "linux" else ""
    assert "onnxruntime" in mapped or not mapped
    assert not [name for name in ("torch", "pandas", "pyarrow", "scipy", "sklearn") if f"/{name}/" in mapped]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_damaged_artifact_is_refused_by_the_files_name(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "art")
    whole = (tmp_path / "art" / name).read_bytes()
    (tmp_path / "art" / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = started("--artifact", tmp_path / "art", "--port", 0)
    assert done.returncode == 1 and f"art is damaged: {name}" in done.stderr and not done.stdout
    assert "Traceback" not in done.stderr


def test_an_artifact_that_is_damaged_later_ends_the_server_when_a_worker_starts_again(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "art")
    with serving.running(tmp_path / "art", workers=1) as server:
        (tmp_path / "art" / "model.onnx").write_bytes(b"another model")
        (worker,) = workers(server)
        worker.kill()
        assert server.process.wait(30) == 1
        assert "art is damaged: model.onnx" in server.log() and "a worker could not start" in server.log()


@pytest.mark.parametrize("words, code, says", [
    (["--artifact", "absent"], 1, "no artifact 'absent'"), ([], 2, "--artifact"),
    (["--artifact", "reference-small", "--port", "70000"], 2, "port must be"),
    (["--artifact", "reference-small", "--workers", "0"], 2, "workers must be"),
    (["--artifact", "reference-small", "--host", "203.0.113.1"], 1, "cannot be had"),
    (["--artifact", "reference-small", "--set", "txts=3"], 2, "did you mean 'texts'"),
    (["--artifact", "reference-small", "--set", "texts=many"], 2, "texts must be a number"),
    (["--artifact", "reference-small", "--set", "texts=0"], 2, "texts must be 1 or more"),
    (["--artifact", "reference-small", "--set", "texts"], 2, "--set takes")])
def test_what_cannot_be_served_is_one_line(words, code, says):
    done = started(*words)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr


def test_a_key_that_is_set_and_empty_opens_nothing(folder, monkeypatch):
    monkeypatch.setenv("SEO_API_KEY", "")
    done = started("--artifact", folder, "--port", 0)
    assert done.returncode == 2 and "SEO_API_KEY is set and empty" in done.stderr


def test_where_the_server_does_not_start_running_says_what_it_said(tmp_path):
    with pytest.raises(serving.ServingError, match="no artifact at"), serving.running(tmp_path / "absent"):
        pass
    assert not [p for p in psutil.Process(os.getpid()).children() if "serve" in p.cmdline()]


@pytest.mark.parametrize("told", [True, False])
def test_a_connection_that_comes_while_all_is_closed_gets_its_answer_and_no_other(monkeypatch, told):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def answers() -> list[bytes]:
        config = uvicorn.Config(app, lifespan="off", log_level="warning")
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol.Protocol(config=config, server_state=ServerState(), app_state={}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        given = []
        for asks in (True, not told):  # where it is closed, the end comes by itself
            if asks:
                writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            given.append(await asyncio.wait_for(reader.read(1000), 30))
        writer.close()
        server.close()
        return given

    monkeypatch.setattr(protocol, "stopping", lambda: told)
    first, second = asyncio.run(answers())
    assert first.endswith(b"ok") and second.endswith(b"ok") == (not told)
