"""The catalogue of data sets: immutable numbered versions over content kept by its digest.

Objects: `datasets/<name>/<n>.json` describes a version, `datasets/sha256/<digest>` is its content.
A reference is `titanic` (the latest version) or `titanic@3`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dalsegno.errors import ConflictError, InfrastructureError, InputError, NotFoundError
from dalsegno.store import Digest, Store, digest_of
from dalsegno.store.digest import files_of
from dalsegno.store.keys import check_name
from dalsegno.store.numbered import Numbered

_REFERENCE = re.compile(r"([^@]+)(?:@([1-9][0-9]{0,8}))?")
_CONTENT = "sha256"
_ATTEMPTS = 100
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class DatasetVersion:
    """One immutable version of a data set.

    Attributes:
        name: Name of the data set.
        number: Version, from 1.
        sha256: Digest of the content, as `digest_of` counts it.
        size_bytes: Size of the content.
        rows: Rows of a Parquet file; None of anything else.
        published_at: ISO 8601, UTC.
        run_id: The run that published it, if a run did.
        metadata: What the publisher wants to be known.
    """

    name: str
    number: int
    sha256: str
    size_bytes: int
    rows: int | None
    published_at: str
    run_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The reference that always means this version: `name@number`."""
        return f"{self.name}@{self.number}"


def publish(
    store: Store,
    name: str,
    path: Path,
    rows: int | None = None,
    *,
    run_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> DatasetVersion:
    """Make the content of a file or folder the data set's latest version.

    Publishing what the latest version holds already returns that version.

    Args:
        store: Where the catalogue is.
        name: Name of the data set.
        path: File or folder to publish.
        rows: Row count, when it is known; read from a Parquet file otherwise.
        run_id: The run that publishes.
        metadata: JSON values to keep with the version.
        now: Time of publication, UTC.

    Raises:
        InputError: The name is not allowed, or the content changed while it was read.
        NotFoundError: There is nothing at the path.
    """
    log = _log(store, name)
    digest = digest_of(path)
    rows = rows if rows is not None else _parquet_rows(path)
    _keep(store, path, digest)
    at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    for _ in range(_ATTEMPTS):
        latest = log.latest()
        if latest and latest[1]["sha256"] == digest.sha256:
            return DatasetVersion(**latest[1])
        number = latest[0] + 1 if latest else 1
        version = DatasetVersion(
            name, number, digest.sha256, digest.size_bytes, rows, at, run_id, dict(metadata or {})
        )
        try:
            log.create(number, asdict(version))
        except ConflictError:
            continue  # another publisher took the number: a log only grows, so take the next
        return version
    raise InfrastructureError(f"data set {name!r}: got {_ATTEMPTS} numbers taken, want a free one")


def resolve(store: Store, ref: str) -> DatasetVersion:
    """Return the version that a reference means now.

    Raises:
        NotFoundError: There is no such data set or version; the known ones are named.
        InputError: The reference is not `name` or `name@number`.
    """
    found = _REFERENCE.fullmatch(ref)
    if not found:
        raise InputError(f"data set: got {ref[:60]!r}, want 'name' or 'name@number'")
    name, number = found[1], found[2]
    log = _log(store, name)
    if number is None:
        latest = log.latest()
        if latest is None:
            known = ", ".join(names(store)) or "none is published yet"
            raise NotFoundError(f"data set: got {name!r}, want one of: {known}")
        return DatasetVersion(**latest[1])
    try:
        return DatasetVersion(**log.get(int(number)))
    except NotFoundError as error:
        known = ", ".join(map(str, log.numbers())) or "none is published yet"
        raise NotFoundError(
            f"data set {name!r}: got version {number}, want one of: {known}"
        ) from error


def fetch(store: Store, ref: str, path: Path) -> DatasetVersion:
    """Copy the content that a reference means to a path, verified by its digest.

    Raises:
        NotFoundError: There is no such data set or version.
        InfrastructureError: The content is not what was published; nothing is left at the path.
    """
    version = resolve(store, ref)
    store.download(_content_key(version.sha256), path, sha256=version.sha256)
    return version


def names(store: Store) -> Sequence[str]:
    """Return the names of all data sets, sorted."""
    return [name for name in store.folders("datasets") if name != _CONTENT]


def versions(store: Store, name: str) -> list[DatasetVersion]:
    """Return every version of a data set, oldest first."""
    log = _log(store, name)
    return [DatasetVersion(**log.get(number)) for number in log.numbers()]


def _log(store: Store, name: str) -> Numbered:
    if check_name(name, "data set") == _CONTENT:
        raise InputError(f"data set: got {name!r}, want another name (content is kept under it)")
    return Numbered(store, f"datasets/{name}")


def _content_key(sha256: str) -> str:
    return f"datasets/{_CONTENT}/{sha256}"


def _keep(store: Store, path: Path, digest: Digest) -> None:
    key = _content_key(digest.sha256)
    if _is_complete(store, path, key):
        return
    arrived = store.upload(path, key)
    if arrived != digest:
        _discard(store, key)
        raise InputError(f"{path}: got content that changed while it was read, want it still")


def _is_complete(store: Store, path: Path, key: str) -> bool:
    """Compare by size: content under its digest appears file by file, each whole or not at all."""
    if path.is_dir():
        here = {f"{key}/{name}": file.stat().st_size for name, file in files_of(path)}
        return here == {found.key: found.size_bytes for found in store.list(key)}
    try:
        return store.stat(key).size_bytes == path.stat().st_size
    except NotFoundError:
        return False


def _discard(store: Store, key: str) -> None:
    store.delete(key)
    for found in list(store.list(key)):
        store.delete(found.key)


def _parquet_rows(path: Path) -> int | None:
    if path.is_dir():
        return None
    with path.open("rb") as file:
        if file.read(len(_PARQUET)) != _PARQUET:
            return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: got a torn Parquet file, want a whole one") from error
