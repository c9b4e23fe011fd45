"""Asks every replica of a server what it serves."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from dalsegno.errors import InfrastructureError, InputError

_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.2
_AT_ONCE = 16


@dataclass(frozen=True)
class ReplicaStatus:
    """What one replica says of an endpoint.

    Attributes:
        url: Where it listens.
        release: Number of the newest release that it has taken over, None if none or unknown.
        trouble: Why it has not the newest one, or why it did not answer; None if all is well.
        serving: By role the release that answers, with digest and threshold.
        canary_percent: Share of the callers that the canary answers (0-100).
    """

    url: str
    release: int | None
    trouble: str | None
    serving: Mapping[str, Any]
    canary_percent: int = 0


def replicas_of(url: str) -> list[str]:
    """Return the URL of every address behind a name, as a headless Service has them.

    Raises:
        InputError: It is no HTTP URL.
        InfrastructureError: The name has no address.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"url: got {url[:100]!r}, want http://HOST:PORT")
    port = parts.port or 80
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InfrastructureError(f"url {url}: got {error}, want a name with addresses") from error
    hosts = {(family, str(address[0])) for family, _, _, _, address in found}
    if parts.hostname == "localhost":  # one replica with two addresses
        return [url.rstrip("/")]
    return sorted(
        f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"
        for family, host in hosts
    )


def ask_status(url: str, endpoint: str, token: str | None = None) -> ReplicaStatus:
    """Ask one replica; one that does not answer is told of in `trouble`.

    Args:
        url: Where it listens.
        endpoint: Name of the endpoint.
        token: That it asks for, if it does.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(
            f"{url}/v2/models/{endpoint}/status",
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        said = answer.json()
        if not answer.is_success:
            return ReplicaStatus(url, None, str(said.get("error", answer.status_code)), {})
        return ReplicaStatus(
            url, said["release"], said["trouble"], said["serving"], said["canary_percent"]
        )
    except (httpx.HTTPError, ValueError, KeyError, AttributeError) as error:
        got = str(error) or type(error).__name__
        return ReplicaStatus(url, None, f"got {got}, want an answer", {})


def ask_all(urls: Sequence[str], endpoint: str, token: str | None = None) -> list[ReplicaStatus]:
    """Ask replicas side by side, in the order given."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda url: ask_status(url, endpoint, token), urls))


def wait_for_release(
    find: Callable[[], Sequence[str]],
    endpoint: str,
    release: int,
    *,
    timeout_seconds: float = 60.0,
    token: str | None = None,
    on_count: Callable[[int, int], None] | None = None,
) -> list[ReplicaStatus]:
    """Wait until every replica has taken over a release, or a later one.

    Args:
        find: Gives the replicas' URLs; asked again each time, since replicas come and go.
        endpoint: Name of the endpoint.
        release: Number of the release.
        timeout_seconds: How long to wait at most.
        token: That the replicas ask for, if they do.
        on_count: Is told how many of how many have it, each time that changes.

    Raises:
        InfrastructureError: It was not so in time; the first replica without it is named.
    """
    deadline = time.monotonic() + timeout_seconds
    told: tuple[int, int] | None = None
    while True:
        found = ask_all(find(), endpoint, token)
        behind = [each for each in found if (each.release or 0) < release]
        count = len(found) - len(behind), len(found)
        if on_count and count != told:
            on_count(*count)
        told = count
        if found and not behind:
            return found
        if time.monotonic() >= deadline:
            raise _late(behind, count, endpoint, release, timeout_seconds)
        time.sleep(_POLL_SECONDS)


def _late(
    behind: Sequence[ReplicaStatus],
    count: tuple[int, int],
    endpoint: str,
    release: int,
    timeout_seconds: float,
) -> InfrastructureError:
    first = behind[0] if behind else None
    got = f"got {count[0]} of {count[1]} replicas on release {release}"
    why = f" ({first.url}: {first.trouble or f'release {first.release}'})" if first else ""
    want = f"all in {timeout_seconds:g} s"
    return InfrastructureError(
        f"endpoint {endpoint!r}: {got}{why}, want {want}", f"dalsegno releases {endpoint}"
    )
