"""How a worker takes connections, so that each worker gets its share of them.

All workers wait on one socket. asyncio's own server takes whatever waits there as soon as it wakes: of eight clients
that came at once, one worker had all and the other idled, and since clients keep their connections, it stayed so."""

import asyncio
import contextlib
import socket

PAUSE = 0.001  # seconds that a worker leaves to the others after a connection: one that sleeps wakes in a tenth of it
FULL = 1.0  # and where the system has no file or memory for another, as asyncio does


class Turns(asyncio.AbstractServer):
    """Takes one connection at a time from a socket that listens, and lets others go first in between."""

    def __init__(self, loop: asyncio.AbstractEventLoop, factory, listening: socket.socket, backlog: int):
        self.loop, self.factory, self.listening = loop, factory, listening
        self.connecting: set[asyncio.Task] = set()
        listening.setblocking(False)
        listening.listen(backlog)
        self.timer = loop.call_soon(self._listen)

    def _listen(self) -> None:
        self.loop.add_reader(self.listening, self._accept)

    def _accept(self) -> None:
        pause = PAUSE
        try:
            connection, _ = self.listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was first
        except OSError as error:
            self.loop.call_exception_handler({"message": "no connection can be taken", "exception": error})
            pause = FULL
        else:
            connection.setblocking(False)
            task = self.loop.create_task(self._connect(connection))
            self.connecting.add(task)
            task.add_done_callback(self.connecting.discard)
        self.loop.remove_reader(self.listening)
        self.timer = self.loop.call_later(pause, self._listen)

    async def _connect(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone already
            await self.loop.connect_accepted_socket(self.factory, connection)

    def close(self) -> None:
        """No further connection is taken here; those that there are stay."""
        self.timer.cancel()
        if self.listening.fileno() >= 0:
            self.loop.remove_reader(self.listening)
            self.listening.close()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""


class Loop(asyncio.SelectorEventLoop):
    """The event loop of a worker: asyncio's, whose servers on a given socket take turns."""

    async def create_server(self, protocol_factory, *arguments, sock=None, ssl=None, backlog=100, **options):
        """As asyncio says it; `Turns` on a socket that is given, without TLS."""
        if sock is None or ssl is not None:
            return await super().create_server(protocol_factory, *arguments, sock=sock, ssl=ssl, backlog=backlog,
                                               **options)
        return Turns(self, protocol_factory, sock, backlog)
