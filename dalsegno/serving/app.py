"""The server over HTTP: Open Inference Protocol v2, and what operators ask.

Predictions take a way of their own: from the connection at once, or through plain ASGI if they are
large or come slowly. All else is routed by Starlette. The README beside this file has the figures.
"""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from dalsegno.serving.faults import Refusal, refusal_of
from dalsegno.serving.pages import make_pages
from dalsegno.serving.protocol import HEADER_LENGTH, encode, read_request, write_answer
from dalsegno.serving.service import INLINE_ROWS, KEY_HEADER, Asked, Service

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive, Scope, Send

    from dalsegno.serving.messages import Answer

Headers = dict[bytes, bytes]

_JSON, _BYTES = b"application/json", b"application/octet-stream"
_KEY_HEADER = KEY_HEADER.encode()
_INFER_PARTS, _VERSIONED_PARTS = 5, 7
_GONE = 499  # as nginx counts it
_JSON_HEADER = (b"content-type", _JSON)


class Reply(NamedTuple):
    """What goes back over HTTP."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class App:
    """The ASGI application.

    Args:
        service: What answers.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes = make_pages(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        asked = asked_by(scope["path"]) if scope["type"] == "http" else None
        if asked and scope["method"] == "POST":
            await self._infer(asked, scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    def admit(self, asked: Asked, headers: Headers) -> None:
        """Let a request for a prediction in; what is let in must `leave`.

        Raises:
            Refusal: The caller may not ask, or too many do.
        """
        service = self._service
        authorization = headers.get(b"authorization")
        token = authorization.decode("latin-1") if authorization else None
        asked.caller = service.access.check(token, asked.endpoint)
        asked.key = headers.get(_KEY_HEADER, b"").decode("latin-1")
        service.endpoint(asked.endpoint)
        service.gate.enter()

    def leave(self) -> None:
        """Let go of a request that was let in."""
        self._service.gate.leave()

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to stop: callers are then told to come by another way."""
        return self._service.gate.is_draining

    def gone(self, asked: Asked) -> None:
        """Count a caller who went away before all of the request came."""
        self._service.refused(asked, _GONE)

    def reply_at_once(self, asked: Asked, headers: Headers, body: bytes) -> Reply | None:
        """Answer a whole request in one go, None if that would take another thread."""
        asked.started = time.perf_counter()
        try:
            request = read_request(body, headers.get(HEADER_LENGTH))
            if request.rows > INLINE_ROWS:
                return None
            return _reply(_run(self._service.answer(asked, request)))
        except Exception as error:
            return self._refuse(asked, error)

    async def _infer(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        try:
            reply = await self._answer(asked, headers, receive)
        except _GoneError:
            self.gone(asked)
            return
        except Exception as error:
            reply = self._refuse(asked, error)
        if self.is_draining:
            reply.headers.append((b"connection", b"close"))
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        )
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, asked: Asked, headers: Headers, receive: Receive) -> Reply:
        self.admit(asked, headers)
        try:
            body = await _read_body(headers, receive, self._service.limits.body_bytes)
            asked.started = time.perf_counter()
            request = read_request(body, headers.get(HEADER_LENGTH))
            return _reply(await self._service.answer(asked, request))
        finally:
            self.leave()

    def _refuse(self, asked: Asked, error: Exception) -> Reply:
        refusal = refusal_of(error)
        self._service.refused(asked, refusal.status)
        body = encode({"error": str(refusal)})
        headers = [
            (b"content-type", _JSON),
            *((name.encode(), value.encode()) for name, value in refusal.headers.items()),
            (b"content-length", b"%d" % len(body)),
        ]
        return Reply(refusal.status, headers, body)


class _GoneError(Exception):
    """The caller is gone before all of the request came."""


def asked_by(path: str) -> Asked | None:
    """Read the path of a prediction, None if it is another one."""
    if not path.endswith("/infer"):
        return None
    named = _named_by(path)
    return Asked(*named, "http") if named else None


@lru_cache
def _named_by(path: str) -> tuple[str, str] | None:
    """Read endpoint and version of the path of a prediction."""
    parts = path.split("/")
    if parts[:3] != ["", "v2", "models"]:
        return None
    if len(parts) == _INFER_PARTS:
        return parts[3], ""
    if len(parts) == _VERSIONED_PARTS and parts[4] == "versions":
        return parts[3], parts[5]
    return None


def _reply(answer: Answer) -> Reply:
    body, head_bytes = write_answer(answer)
    length = (b"content-length", b"%d" % len(body))
    if head_bytes is None:
        return Reply(200, [_JSON_HEADER, length], body)
    raw = [(b"content-type", _BYTES), (HEADER_LENGTH, b"%d" % head_bytes)]
    return Reply(200, [*raw, length], body)


def _run(answering: Coroutine[Any, Any, Answer]) -> Answer:
    """Run what does not wait for anything."""
    try:
        answering.send(None)
    except StopIteration as done:
        return cast("Answer", done.value)
    answering.close()
    raise RuntimeError("an answer to a small batch waited for something")


async def _read_body(headers: Headers, receive: Receive, most: int) -> bytes:
    """Read the body; how long it may take is the connection's matter.

    Raises:
        Refusal: It is too large, or packed.
    """
    coding = headers.get(b"content-encoding", b"")
    if coding and coding.lower() != b"identity":
        got = coding[:20].decode("latin-1")
        want = f"request: got Content-Encoding {got!r}, want none"
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, want)
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        if len(body) > most:
            raise _too_large(most)
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise _GoneError
    if len(body) > most:
        raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> Refusal:
    got = f"request: got a larger body, want at most {most} bytes"
    # what is still to come is not read: the connection ends with the answer
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, got, {"connection": "close"})
