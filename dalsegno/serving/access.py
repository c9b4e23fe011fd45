"""Who may ask: bearer tokens, the callers behind them, and the endpoints of each.

A file of callers is TOML, a table a caller; it holds no token, only digests of tokens:

    [anna]
    token_sha256 = "…"        # printf %s "$TOKEN" | sha256sum
    endpoints = ["titanic"]   # all of them, if not given
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from dalsegno.errors import ConfigurationError
from dalsegno.serving.faults import Refusal

TOKEN_VARIABLE = "DALSEGNO_SERVING_TOKEN"  # noqa: S105 (the name, not the token)
"""Environment name of one token that opens every endpoint."""

_SCHEME = "bearer "
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"token_sha256", "endpoints"}


@dataclass(frozen=True)
class Caller:
    """Somebody who may ask.

    Attributes:
        name: As metrics and the prediction log call them.
        digest: SHA-256 of the token.
        endpoints: That may be asked, None for all.
    """

    name: str
    digest: bytes = field(repr=False)
    endpoints: frozenset[str] | None = None


class Access:
    """Tells callers by their tokens.

    Args:
        callers: Who may ask; with none, everybody may.
    """

    def __init__(self, callers: Sequence[Caller] = ()) -> None:
        self._callers = tuple(callers)

    def check(self, authorization: str | None, endpoint: str) -> str:
        """Return the name of the caller, "" where no token is needed.

        Every digest is compared, each in constant time: the time tells nothing about the tokens.

        Raises:
            Refusal: There is no right token, or it does not open this endpoint.
        """
        if not self._callers:
            return ""
        caller = self._find(authorization or "")
        if caller is None:
            got = "another token" if authorization else "no token"
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                f"authorization: got {got}, want 'Bearer TOKEN' of a caller that is known",
                {"www-authenticate": "Bearer"},
            )
        if caller.endpoints is not None and endpoint not in caller.endpoints:
            may = ", ".join(sorted(caller.endpoints)) or "none"
            got = f"the endpoint {endpoint[:60]!r}"
            raise Refusal(HTTPStatus.FORBIDDEN, f"caller {caller.name!r}: got {got}, want: {may}")
        return caller.name

    def _find(self, authorization: str) -> Caller | None:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        token = authorization[len(_SCHEME) :].strip()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for caller in self._callers:
            if hmac.compare_digest(caller.digest, digest):
                found = caller
        return found


def own_token() -> str:
    """Return the token of the environment: servers open with it, and callers show it."""
    return os.environ.get(TOKEN_VARIABLE, "").strip()


def bearer(token: str) -> dict[str, str]:
    """Return the headers that show a token; none without one.

    Raises:
        ConfigurationError: It cannot stand in a header.
    """
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(f"{TOKEN_VARIABLE}: got other characters, want printable ASCII")
    return {"authorization": f"Bearer {token}"}


def read_access(path: Path | None) -> Access:
    """Read who may ask: a file of callers, and the token of the environment.

    Raises:
        ConfigurationError: The file is not as it must be, or it names nobody.
    """
    callers = _read_callers(path) if path else []
    if path and not callers:
        raise ConfigurationError(f"callers {path}: got none, want at least one table")
    token = own_token()
    if token:
        callers.append(Caller("token", hashlib.sha256(token.encode()).digest()))
    return Access(callers)


def _read_callers(path: Path) -> list[Caller]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"callers {path}: got {error.strerror}, want a file") from error
    except ValueError:  # its text may hold what was meant to be secret
        raise ConfigurationError(f"callers {path}: got no TOML, want a table a caller") from None
    return [_read_caller(f"callers {path}: {name}", name, table) for name, table in tables.items()]


def _read_caller(subject: str, name: str, table: Any) -> Caller:
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        want = f"only {' and '.join(sorted(_KEYS))}"
        got = sorted(set(table) - _KEYS) if isinstance(table, dict) else type(table).__name__
        raise ConfigurationError(f"{subject}: got {got}, want {want}")
    digest, endpoints = table.get("token_sha256"), table.get("endpoints")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        command = 'printf %s "$TOKEN" | sha256sum'
        raise ConfigurationError(f"{subject}: got no token_sha256, want 64 hex digits", command)
    if endpoints is None:
        return Caller(name, bytes.fromhex(digest))
    if not isinstance(endpoints, list) or not all(isinstance(each, str) for each in endpoints):
        raise ConfigurationError(f"{subject}: got other endpoints, want a list of names")
    return Caller(name, bytes.fromhex(digest), frozenset(endpoints))
