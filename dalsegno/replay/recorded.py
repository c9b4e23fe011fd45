"""Brings recorded artifacts to this machine, to look into or to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dalsegno.errors import InputError, NotFoundError
from dalsegno.store import Store, digest_of

Fetch = Callable[[dict[str, Any]], Path]


def fetch_into(
    folder: Path,
    store: Store | None,
    *,
    verify: bool = True,
    most_bytes: int | None = None,
) -> Fetch:
    """Return what brings a recorded artifact, {uri, sha256, size_bytes}, to this machine.

    Args:
        folder: Where fetched ones go; one on this machine stays where it is.
        store: Where others lie.
        verify: Whether to digest one on this machine, which takes a second for a gigabyte.
        most_bytes: Refuse to fetch more than this at once.

    A cluster's artifact, of which no digest is known, is fetched from where it lies.

    The function returned raises NotFoundError when the artifact is not there any more, InputError
    when it is not what was recorded.
    """

    def fetch(described: dict[str, Any]) -> Path:
        uri, sha256 = str(described["uri"]), described["sha256"]
        if is_unknown(described):
            return _download(_store_of(uri), uri, None, folder)
        if "://" in uri:
            if most_bytes is not None and (described.get("size_bytes") or 0) > most_bytes:
                raise InputError(f"{uri}: got more than {most_bytes} bytes, too many to fetch now")
            return _download(store, uri, sha256, folder)
        path = Path(uri)
        if not path.exists():
            raise NotFoundError(f"{uri}: nothing is there any more")
        if verify and digest_of(path).sha256 != sha256:
            raise InputError(f"{uri}: was changed since it was recorded")
        return path

    return fetch


def is_unknown(described: dict[str, Any]) -> bool:
    """Whether an artifact may be there though no digest of it is known: a cluster keeps none."""
    return described.get("sha256") is None and "://" in str(described.get("uri"))


def _store_of(uri: str) -> Store:
    from dalsegno.settings import open_artifact_store

    return open_artifact_store(uri)


def _download(store: Store | None, uri: str, sha256: str | None, folder: Path) -> Path:
    if store is None:
        raise NotFoundError(f"{uri}: its store is not known here")
    target = (
        folder
        / (sha256 or hashlib.sha256(uri.encode()).hexdigest())
        / uri.rstrip("/").rpartition("/")[2]
    )
    if not target.exists():
        store.download(store.key_of(uri), target, sha256=sha256)
    return target
