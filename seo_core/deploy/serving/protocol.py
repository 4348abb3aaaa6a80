"""uvicorn's HTTP/1.1, with a time for the headers too: uvicorn waits for them for ever once a byte has come."""

from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """A connection on which no whole request line and headers come within uvicorn's keep-alive time is closed; that
    time runs from the connection, or from the answer before."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()  # which ends the time when a request is there
