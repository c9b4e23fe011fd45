"""The server over HTTP: Open Inference Protocol v2, and what operators ask.

Predictions take a way of their own through plain ASGI, which is the shortest; all else is routed by
Starlette. The README beside this file has the figures.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from dalsegno.serving.faults import Refusal, refusal_of
from dalsegno.serving.pages import make_pages
from dalsegno.serving.protocol import HEADER_LENGTH, encode, read_request, write_answer
from dalsegno.serving.service import KEY_HEADER, Asked, Service

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_JSON, _BYTES = b"application/json", b"application/octet-stream"
_KEY_HEADER = KEY_HEADER.encode()
_INFER_PARTS, _VERSIONED_PARTS = 5, 7
_IDENTITY = (b"", b"identity")


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
        asked = _asked(scope["path"]) if scope["type"] == "http" else None
        if asked and scope["method"] == "POST":
            await self._infer(asked, scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    async def _infer(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        status, headers = 200, [(b"content-type", _JSON)]
        try:
            body, head_bytes = await self._answer(asked, scope, receive)
            if head_bytes is not None:
                headers = [(b"content-type", _BYTES), (HEADER_LENGTH, b"%d" % head_bytes)]
        except _GoneError:
            self._service.refused(asked, 499)
            return
        except Exception as error:
            refusal = refusal_of(error)
            status, body = refusal.status, encode({"error": str(refusal)})
            self._service.refused(asked, status)
            headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, asked: Asked, scope: Scope, receive: Receive
    ) -> tuple[bytes, int | None]:
        service = self._service
        headers: dict[bytes, bytes] = dict(scope["headers"])
        authorization = headers.get(b"authorization")
        token = authorization.decode("latin-1") if authorization else None
        asked.caller = service.access.check(token, asked.endpoint)
        asked.key = headers.get(_KEY_HEADER, b"").decode("latin-1")
        service.endpoint(asked.endpoint)
        service.gate.enter()
        try:
            body = await _read_body(headers, receive, service.limits.body_bytes)
            asked.started = time.perf_counter()
            request = read_request(body, headers.get(HEADER_LENGTH))
            return write_answer(await service.answer(asked, request))
        finally:
            service.gate.leave()


class _GoneError(Exception):
    """The caller is gone before all of the request came."""


def _asked(path: str) -> Asked | None:
    """Read the path of a prediction, None if it is another one."""
    if not path.endswith("/infer"):
        return None
    parts = path.split("/")
    if parts[:3] != ["", "v2", "models"]:
        return None
    if len(parts) == _INFER_PARTS:
        return Asked(parts[3], "", "http")
    if len(parts) == _VERSIONED_PARTS and parts[4] == "versions":
        return Asked(parts[3], parts[5], "http")
    return None


async def _read_body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Read the body; how long it may take is the connection's matter.

    Raises:
        Refusal: It is too large, or packed.
    """
    coding = headers.get(b"content-encoding", b"")
    if coding.lower() not in _IDENTITY:
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
