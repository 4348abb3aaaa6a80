"""Workers take connections in turn, and an answer is one packet."""

import asyncio
import socket

import pytest

from seo_core.deploy.serving import accepting
from seo_core.deploy.serving.accepting import Loop
from seo_core.deploy.serving.protocol import OnePacket


class Greeting(asyncio.Protocol):
    def connection_made(self, transport):
        self.loop = asyncio.get_running_loop()
        self.loop.taken.append(self.loop.time())
        transport.write(b"hello")

    def data_received(self, data):
        self.loop.heard.append(data)


@pytest.fixture
def loop():
    loop = Loop()
    loop.taken, loop.heard = [], []
    yield loop
    loop.close()


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def clients(server: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(server.getsockname(), timeout=10) for _ in range(count)]


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_worker_takes_one_connection_and_leaves_the_next_to_others_for_a_while(loop, monkeypatch):
    monkeypatch.setattr(accepting, "PAUSE", 0.05)
    with listening() as server:
        waiting = clients(server, 4)

        async def serve():
            took = await loop.create_server(Greeting, sock=server)
            await until(lambda: len(loop.taken) == 4)
            took.close()
            await took.wait_closed()

        loop.run_until_complete(serve())
        assert [client.recv(5) for client in waiting] == [b"hello"] * 4
        assert all(later - earlier >= 0.049 for earlier, later in zip(loop.taken, loop.taken[1:], strict=False))
        for client in waiting:
            client.close()


def test_two_workers_on_one_socket_share_what_comes_at_once(loop, monkeypatch):
    """In one thread, so in strict alternation: as asyncio has it, whoever wakes first takes all that wait."""
    monkeypatch.setattr(accepting, "PAUSE", 0.05)
    with listening() as server, server.dup() as again:
        waiting, shares = clients(server, 8), ([], [])

        class Counted(Greeting):
            def __init__(self, share):
                self.share = share

            def connection_made(self, transport):
                self.share.append(transport)

        async def serve():
            workers = [await loop.create_server(lambda share=share: Counted(share), sock=each)
                       for share, each in zip(shares, (server, again), strict=True)]
            await until(lambda: sum(map(len, shares)) == 8)
            for worker in workers:
                worker.close()

        loop.run_until_complete(serve())
        assert [len(share) for share in shares] == [4, 4]
        for client in waiting:
            client.close()


def test_a_server_that_is_closed_takes_nobody_and_keeps_whom_it_has(loop):
    with listening() as server:
        first, = clients(server, 1)

        async def serve():
            took = await loop.create_server(Greeting, sock=server)
            await until(lambda: loop.taken)
            took.close()
            took.close()  # again is no error
            first.sendall(b"still here")
            await until(lambda: loop.heard)

        address = server.getsockname()
        loop.run_until_complete(serve())
        assert loop.heard == [b"still here"] and first.recv(5) == b"hello"
        with pytest.raises(OSError):
            socket.create_connection(address, timeout=1)
        first.close()


def test_where_no_file_is_left_it_waits_and_goes_on(loop, monkeypatch):
    monkeypatch.setattr(accepting, "FULL", 0.05)
    told = []
    loop.set_exception_handler(lambda loop, context: told.append(context["message"]))

    class Full:
        """A socket whose system is out of files once."""

        def __init__(self, real):
            self.real, self.failed = real, False

        def __getattr__(self, name):
            return getattr(self.real, name)

        def accept(self):
            if not self.failed:
                self.failed = True
                raise OSError(24, "Too many open files")
            return self.real.accept()

    with listening() as server:
        client, = clients(server, 1)

        async def serve():
            took = await loop.create_server(Greeting, sock=Full(server))
            await until(lambda: loop.taken)
            took.close()

        loop.run_until_complete(serve())
        assert told == ["no connection can be taken"] and client.recv(5) == b"hello"
        client.close()


def test_without_a_socket_it_is_asyncios_own_server(loop):
    async def serve():
        server = await loop.create_server(Greeting, "127.0.0.1", 0)
        assert isinstance(server, asyncio.Server)
        server.close()

    loop.run_until_complete(serve())


class Wire:
    def __init__(self):
        self.sent, self.closed = [], False

    def write(self, data):
        self.sent.append(data)

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


def test_what_is_written_in_one_turn_is_one_packet_and_nothing_is_lost_at_the_end(loop):
    wire = Wire()
    joined = OnePacket(wire, loop)

    async def answer():
        joined.write(b"head, ")
        joined.write(b"body")
        joined.write(b"")
        assert not wire.sent
        await asyncio.sleep(0)
        assert wire.sent == [b"head, body"]
        joined.write(b"last")
        joined.close()
        assert wire.sent == [b"head, body", b"last"] and joined.is_closing()
        await asyncio.sleep(0)
        assert len(wire.sent) == 2

    loop.run_until_complete(answer())
