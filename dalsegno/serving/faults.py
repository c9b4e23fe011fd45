"""Why a request is not answered, and the status that each protocol has for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from dalsegno.errors import DalsegnoError, InputError, NotFoundError

_logger = logging.getLogger(__name__)
_OWN = "server: got an error of its own, want an answer. See its log"

RPC_STATUS: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.REQUEST_TIMEOUT: "DEADLINE_EXCEEDED",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RESOURCE_EXHAUSTED",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "INVALID_ARGUMENT",
    HTTPStatus.TOO_MANY_REQUESTS: "RESOURCE_EXHAUSTED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}
"""By the status over HTTP the one over gRPC; all else is INTERNAL."""


class Refusal(DalsegnoError):
    """A request that is refused with a status of its own.

    Args:
        status: Over HTTP.
        message: What came, and what was wanted.
        headers: That go with it over HTTP.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = int(status)
        self.headers = dict(headers or {})


def refusal_of(error: Exception) -> Refusal:
    """Return how to refuse for an error; what is not the caller's fault is logged."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, NotFoundError):
        return Refusal(HTTPStatus.NOT_FOUND, str(error))
    if isinstance(error, InputError):
        return Refusal(HTTPStatus.BAD_REQUEST, str(error))
    _logger.error("a request failed", exc_info=error)
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, _OWN)
