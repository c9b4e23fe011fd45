"""A connection that neither waits for a slow caller for ever nor hangs up on a half-closed one.

A prediction for a few rows is answered here, at once when the last byte of the request is read:
without a task, without ASGI's messages. Whatever is not so simple goes uvicorn's way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dalsegno.errors import DalsegnoError
from dalsegno.serving.app import asked_by
from dalsegno.serving.protocol import encode

if TYPE_CHECKING:
    from dalsegno.serving.app import App, Reply
    from dalsegno.serving.service import Asked


_MOST_BYTES = 64 * 1024
_LENGTH_DIGITS = 5
_DELIMITED = {b"content-encoding", b"transfer-encoding", b"expect"}


def connection_class(app: App, arrival_seconds: float) -> type[HttpToolsProtocol]:
    """Return the class of connections on which a request must arrive within a time."""
    given = {"predictor": app, "arrival_seconds": arrival_seconds}
    return type("Connection", (_Connection,), given)


class _Connection(HttpToolsProtocol):
    predictor: App
    arrival_seconds: float
    _asked: Asked | None = None
    _asked_headers: dict[bytes, bytes]
    _asked_body: bytes
    _deadline: asyncio.TimerHandle | None = None
    _is_arriving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.arrival_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._asked:
            self.predictor.gone(self._leave())
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._asked = self._admit()
        if self._asked is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._asked is None:
            super().on_body(body)
            return
        self._asked_body = self._asked_body + body if self._asked_body else body
        if len(self._asked_body) > _MOST_BYTES:
            self._hand_over()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        if self._asked:
            body = self._asked_body
            reply = self.predictor.reply_at_once(self._asked, self._asked_headers, body)
            if reply:
                self._leave()
                self._write(reply)
                return
            self._hand_over()
        super().on_message_complete()

    def shutdown(self) -> None:
        """Let a request that is arriving be answered, as uvicorn does with those it knows."""
        if self._asked:
            self._hand_over()
        super().shutdown()

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

    def _admit(self) -> Asked | None:
        """Let in what can be answered at once; None leaves it to uvicorn, and to the app."""
        parser, headers = self.parser, dict(self.headers)
        if (
            (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or parser.get_method() != b"POST"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
            or not _DELIMITED.isdisjoint(headers)
            or len(length := headers.get(b"content-length", b"")) > _LENGTH_DIGITS
            or not length.isdigit()
        ):
            return None
        asked = asked_by(self.url.decode("latin-1"))
        if asked:
            try:
                self.predictor.admit(asked, headers)
            except DalsegnoError:  # the app tells why
                return None
            self._asked_headers, self._asked_body = headers, b""
        return asked

    def _leave(self) -> Asked:
        asked, self._asked = self._asked, None
        assert asked is not None  # noqa: S101 (for the type checker)
        self.predictor.leave()
        return asked

    def _hand_over(self) -> None:
        """Let uvicorn go on with what was let in here."""
        self._leave()
        super().on_headers_complete()
        super().on_body(self._asked_body)

    def _write(self, reply: Reply) -> None:
        lines = [STATUS_LINE[reply.status]]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            lines += (name, b": ", value, b"\r\n")
        if self.predictor.is_draining:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", reply.body)))
        if self.predictor.is_draining:
            self.transport.close()
        self.on_response_complete()

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
