"""Counts the replicas of a server that answer with a release."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from dalsegno.errors import InputError
from dalsegno.serving.access import bearer

_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Replicas:
    """How far a release has come.

    Attributes:
        release: Its number.
        ready: Addresses that follow it.
        behind: Addresses that do not, with what they said.
    """

    release: int
    ready: list[str]
    behind: dict[str, str]

    @property
    def is_done(self) -> bool:
        """Whether every replica follows it."""
        return bool(self.ready) and not self.behind


def wait_for_replicas(
    urls: Sequence[str],
    endpoint: str,
    release: int,
    *,
    timeout_seconds: float,
    token: str = "",
    on_count: Callable[[Replicas], None] | None = None,
) -> Replicas:
    """Ask every replica until all of them follow a release, or the time is over.

    A host name of several addresses stands for as many replicas: name a headless service. Names are
    looked up again each time, because replicas come and go.

    Args:
        urls: Where replicas listen: `http://titanic-headless:8080`.
        endpoint: Name of the endpoint.
        release: Number that they are to follow, or a later one.
        timeout_seconds: How long to wait.
        token: That the replicas want, "" if they want none.
        on_count: Is told of every look that changed something.

    Raises:
        InputError: A URL is none.
    """
    parts = [read_address(url) for url in urls]
    deadline = time.monotonic() + timeout_seconds
    last: Replicas | None = None
    headers = bearer(token)
    with httpx.Client(trust_env=False, timeout=_TIMEOUT_SECONDS, headers=headers) as client:
        while True:
            found = _look(client, parts, endpoint, release)
            if on_count and found != last:
                on_count(found)
            last = found
            if found.is_done or time.monotonic() >= deadline:
                return found
            time.sleep(_POLL_SECONDS)


def _look(
    client: httpx.Client, parts: Sequence[tuple[str, int]], endpoint: str, release: int
) -> Replicas:
    ready: list[str] = []
    behind: dict[str, str] = {}
    for host, port in parts:
        addresses = _addresses(host, port)
        if not addresses:
            behind[f"{host}:{port}"] = "no such host"
        for address in addresses:
            said = _ask(client, address, endpoint, release)
            if said:
                behind[address] = said
            else:
                ready.append(address)
    return Replicas(release, ready, behind)


def _ask(client: httpx.Client, address: str, endpoint: str, release: int) -> str:
    """Return why a replica does not count, "" if it does."""
    try:
        answer = client.get(f"http://{address}/v2/models/{endpoint}/status")
        said = answer.json()
        if not answer.is_success:
            return str(said["error"])
        number, trouble = said["release"], said["trouble"]
    except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
        return type(error).__name__
    if number is not None and number >= release:
        return ""
    return trouble or (f"release {number}" if number else "no release yet")


def read_address(url: str) -> tuple[str, int]:
    """Return host and port of a URL.

    Raises:
        InputError: It is none of HTTP.
    """
    found = urlsplit(url)
    try:
        port = 80 if found.port is None else found.port
    except ValueError:
        port = 0
    if found.scheme != "http" or not found.hostname or not port:
        raise InputError(f"--wait: got {url!r}, want a URL as http://HOST:PORT")
    return found.hostname, port


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    names = sorted({str(item[4][0]) for item in found})
    return [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names]
