"""HTTP to the API server of Kubeflow Pipelines: timeouts, retries, and errors of ours."""

from __future__ import annotations

import json
import random
import time
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dalsegno.cluster.access import ClusterAccess
from dalsegno.errors import (
    ConfigurationError,
    ConflictError,
    DalsegnoError,
    InfrastructureError,
    InputError,
    NotFoundError,
)

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
_FIRST_WAIT_SECONDS = 0.2
_MAX_WAIT_SECONDS = 3.0
_CONNECT_SECONDS = 5.0
_CHECK = "dalsegno cluster check"
_OK, _REDIRECT, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN = 200, 300, 400, 401, 403
_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_FAULT = 404, 409, 429, 500


class Transport:
    """Calls one HTTP service of the cluster.

    Calls that change nothing twice are tried again after a fault of the network or the server, a
    few times, with growing random pauses; the others never are. A silent server costs one
    timeout, not several.

    Args:
        access: Where and with which token.
        base: URL; the API server unless it is given.

    Attributes:
        is_silent: Whether the last call had no answer at all.
    """

    def __init__(self, access: ClusterAccess, base: str | None = None) -> None:
        self.access = access
        self.base = base or access.host
        self.is_silent = False

    def json(
        self, method: str, path: str, *, idempotent: bool | None = None, **request: Any
    ) -> Any:
        """Make a call and return what its JSON answer says.

        Args:
            idempotent: Whether it may be repeated; GET may.
            request: As `httpx.Client.request` takes it: params, json, files.

        Raises:
            NotFoundError: There is no such thing.
            InputError: KFP refuses what was sent.
            ConfigurationError: Host, token or namespace are wrong.
            ConflictError: It is there already.
            InfrastructureError: No answer, or a fault of the server.
        """
        answer = self.call(method, path, idempotent=idempotent, **request)
        try:
            return answer.json() if answer.content else {}
        except json.JSONDecodeError as error:
            raise self._no_json(answer) from error

    def call(
        self, method: str, path: str, *, idempotent: bool | None = None, **request: Any
    ) -> httpx.Response:
        """Make a call and return its good answer; raises as `json` does."""
        may_repeat = method == "GET" if idempotent is None else idempotent
        give_up = time.monotonic() + self.access.timeout_seconds
        for attempt in range(1, ATTEMPTS):
            if not may_repeat:
                break
            try:
                return self._once(method, path, **request)
            except InfrastructureError:
                if time.monotonic() > give_up:
                    raise
                wait = min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**attempt)
                time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311
        return self._once(method, path, **request)

    def stream(self, path: str, **request: Any) -> Any:
        """Open an answer that is read while it comes; a context manager of httpx."""
        import httpx

        patient = httpx.Timeout(self.access.timeout_seconds, read=None)
        return self._client.stream("GET", path, timeout=patient, **request)

    def _once(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        self.is_silent = True
        try:
            answer = self._client.request(method, path, **request)
        except httpx.TimeoutException as error:
            waited = f"{self.access.timeout_seconds:g} s"
            message = f"KFP {self.base}: got no answer in {waited}, want one"
            raise InfrastructureError(message, _CHECK) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            message = f"KFP {self.base}: got no connection ({_short(error)}), want an API server"
            raise InfrastructureError(message, _CHECK) from error
        self.is_silent = False
        if answer.status_code >= _REDIRECT:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: httpx.Response) -> DalsegnoError:
        status, said = answer.status_code, _message(answer)
        where = f"KFP {self.base}"
        if status < _BAD_REQUEST or status in (_UNAUTHORIZED, _FORBIDDEN):
            return self._no_entry(answer, said)
        if status >= _SERVER_FAULT or status == _TOO_MANY:
            return InfrastructureError(f"{where}: got {status} {said}, want an answer", _CHECK)
        if said is None and status == _BAD_REQUEST and _is_plain(answer):
            said = _line(answer.text)  # uploads say so what is wrong with a name
        if said is None:
            return self._no_json(answer)
        if status == _NOT_FOUND:
            return NotFoundError(f"{where}: {said}")
        if status == _CONFLICT:
            return ConflictError(f"{where}: {said}")
        return InputError(f"{where}: got {status} {said}")

    def _no_entry(self, answer: httpx.Response, said: str | None) -> ConfigurationError:
        where, status = f"KFP {self.base}", answer.status_code
        if status == _FORBIDDEN:
            space = (
                f"namespace {self.access.namespace}" if self.access.namespace else "no namespace"
            )
            message = f"{where}: got {space} (403 {said}), want one that you may use"
            return ConfigurationError(message, "dalsegno cluster check --namespace NAME")
        if status == _UNAUTHORIZED:
            got = "an expired or wrong token" if self.access.token else "no token"
            message = f"{where}: got {got} (401), want a valid one"
        else:
            target = answer.headers.get("location", "")[:80]
            message = f"{where}: got a redirect to {target!r}, want an answer: a login page?"
        return ConfigurationError(message, "export DALSEGNO_KFP_TOKEN=…")

    def _no_json(self, answer: httpx.Response) -> ConfigurationError:
        kind = answer.headers.get("content-type", "nothing").split(";")[0]
        message = f"KFP {self.base}: got {kind} ({answer.status_code}), want KFP's JSON"
        return ConfigurationError(message, "export DALSEGNO_KFP_HOST=http://HOST:8888")

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        token = self.access.token
        client = httpx.Client(
            base_url=self.base,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            verify=self._certificates(),
            timeout=httpx.Timeout(self.access.timeout_seconds, connect=_CONNECT_SECONDS),
        )
        weakref.finalize(self, client.close)
        return client

    def _certificates(self) -> Any:
        import ssl

        if not self.access.verify_tls or not self.access.ca_file:
            return self.access.verify_tls
        try:
            return ssl.create_default_context(cafile=str(self.access.ca_file))
        except OSError as error:
            message = f"kfp_ca_file: got {self.access.ca_file} ({error}), want a PEM file"
            raise ConfigurationError(message) from error


def _message(answer: httpx.Response) -> str | None:
    """Return the end of what KFP says, which is its cause; None where it is not KFP that speaks."""
    try:
        body = answer.json()
    except json.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    text = body.get("message") or body.get("error_message") or body.get("error") or ""
    return _line(str(text))


def _is_plain(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("content-type", "").startswith("text/plain"))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"…{line[-300:]}"  # noqa: PLR2004


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
