"""A connection that neither waits for a slow caller for ever nor hangs up on a half-closed one."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dalsegno.serving.protocol import encode


def connection_class(arrival_seconds: float) -> type[HttpToolsProtocol]:
    """Return the class of connections on which a request must arrive within a time."""
    return type("Connection", (_Connection,), {"arrival_seconds": arrival_seconds})


class _Connection(HttpToolsProtocol):
    arrival_seconds: float
    _deadline: asyncio.TimerHandle | None = None
    _is_arriving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.arrival_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_arriving = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # most requests come whole, and need no timer
        if not self._is_arriving:
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.arrival_seconds, self._give_up)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a half-closed connection open until what was asked is answered."""
        cycle = self.cycle
        if self._is_arriving or cycle is None or cycle.response_complete:
            return False
        cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", "request: got what is no HTTP, want HTTP/1.1")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._is_arriving:
            want = f"all of it within {self.arrival_seconds:g} s"
            self._refuse(b"408 Request Timeout", f"request: got a part of it, want {want}")
        else:
            self.transport.close()

    def _refuse(self, status: bytes, message: str) -> None:
        body = encode({"error": message})
        head: list[Any] = [
            b"HTTP/1.1 ", status, b"\r\ncontent-type: application/json\r\nconnection: close\r\n",
            b"content-length: %d\r\n\r\n" % len(body), body,
        ]  # fmt: skip
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(b"".join(head))
        self.transport.close()
