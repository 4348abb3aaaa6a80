"""uvicorn's HTTP/1.1, with a time for the headers, an end for connections that come when all is being closed, and room
for new ones where many are idle.

What is no HTTP at all is answered by uvicorn's parser, before any application: 400 with a line of plain text."""

import signal

from uvicorn.protocols.http.h11_impl import H11Protocol


def stopping() -> bool:
    """Whether this process was told to end: uvicorn's server, whose own method hears the signal, knows."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


class OnePacket:
    """A transport that sends what is written in one turn of the event loop as one packet: head and body of an answer in
    two cost the server a further call of the system, and the client a further wake."""

    def __init__(self, transport, loop):
        self._transport, self._loop, self._written = transport, loop, []

    def __getattr__(self, name: str):
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """As a transport's."""
        if data:
            if not self._written:
                self._loop.call_soon(self.flush)
            self._written.append(data)

    def flush(self) -> None:
        """Sends what waits."""
        if self._written:
            self._transport.write(b"".join(self._written))
            self._written.clear()

    def close(self) -> None:
        """As a transport's: what waits is sent before."""
        self.flush()
        self._transport.close()


class Protocol(H11Protocol):
    """A connection on which no whole request line and headers come within uvicorn's keep-alive time is closed; that
    time runs from the connection, or from the answer before: uvicorn waits for them for ever once a byte has come.

    When it is told to end, uvicorn asks the connections that are there to close. One that was just being accepted is
    not among them: it would go on asking until `Limits.finish` cuts it off in the middle of a request. Here its next
    answer is its last.

    Beyond uvicorn's limit of connections (`Limits.connections`) the one that has been without a request for longest is
    closed: uvicorn would count them as load and refuse all requests, a probe's too. How many requests are taken at once
    is the application's to say, in its own words."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.most, self.limit_concurrency = self.limit_concurrency, None

    def connection_made(self, transport) -> None:
        if self.most is not None and len(self.connections) >= self.most:
            idle = [each for each in self.connections
                    if each.timeout_keep_alive_task and not each.transport.is_closing()]
            if idle:
                min(idle, key=lambda each: each.timeout_keep_alive_task.when()).timeout_keep_alive_handler()
        super().connection_made(transport)
        self.transport = OnePacket(transport, self.loop)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()  # which ends the time when a request is there

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete and stopping():
            self.cycle.keep_alive = False
