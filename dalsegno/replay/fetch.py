"""Brings a task's input artifacts into a capsule, from wherever they are, verified by digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dalsegno.errors import DalsegnoError, InputError, NotFoundError
from dalsegno.replay.capsule import InputFile
from dalsegno.runs.record import TaskRecord
from dalsegno.store import Digest, Store
from dalsegno.store.digest import EMPTY_SHA256
from dalsegno.store.file import FileStore
from dalsegno.store.keys import check_key

_SCHEMES = ("s3", "minio", "gs", "file")
_WORKERS = 8
_SMALL_BYTES = 16 * 1024 * 1024  # larger ones go one by one: a store splits them into parts


@dataclass(frozen=True)
class Wanted:
    """An input artifact that is to be fetched.

    Attributes:
        input_name: Name of the component's input, for errors.
        sha256: As recorded; None where no digest was recorded.
        endpoint: `host:port` of the artifact's server, where its metadata names one.
        kept_uri: Its copy in the store, where a cluster's run was kept with its inputs.
    """

    input_name: str
    uri: str
    path: str
    sha256: str | None
    size_bytes: int
    endpoint: str | None
    kept_uri: str | None = None


def fetch_inputs(
    record: TaskRecord, store: Store, folder: Path, tell: Callable[[str], None]
) -> dict[str, list[InputFile]]:
    """Fetch every input artifact of a task into a capsule's folder.

    Args:
        store: Where the run is recorded.
        folder: The capsule, which may be still in the making.
        tell: Told, in a line, whatever is not as usual.

    Raises:
        NotFoundError: An artifact that was there is there no more.
        InputError: An artifact is not what the record says.
    """
    wanted = _wanted(record)
    kept = {item.uri: item for item in _fetch_all(wanted.values(), store, folder, tell)}
    named = record.executor_input.get("inputs", {}).get("artifacts", {})
    return {
        name: [kept.get(item["uri"], InputFile(item["uri"])) for item in found["artifacts"]]
        for name, found in named.items()
    }


def _wanted(record: TaskRecord) -> dict[str, Wanted]:
    """List what to fetch by URI: what had content, or may have had where nobody looked."""
    recorded = {item["uri"]: item for items in record.inputs.values() for item in items}
    wanted: dict[str, Wanted] = {}
    for name, found in record.executor_input.get("inputs", {}).get("artifacts", {}).items():
        for artifact in found["artifacts"]:
            uri = artifact["uri"]
            known = recorded.get(uri, {})
            if uri in wanted or (known.get("sha256") is None and "://" not in uri):
                continue
            path = _path_for(len(wanted), uri)
            size = known.get("size_bytes") or 0
            endpoint, kept = _endpoint(artifact), known.get("kept_uri")
            wanted[uri] = Wanted(name, uri, path, known.get("sha256"), size, endpoint, kept)
    return wanted


def _fetch_all(
    wanted: Iterable[Wanted], store: Store, folder: Path, tell: Callable[[str], None]
) -> list[InputFile]:
    small = [item for item in wanted if item.sha256 and item.size_bytes <= _SMALL_BYTES]
    large = [item for item in wanted if item not in small]
    fetch = partial(_fetch, store=store, folder=folder, tell=tell)
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [*pool.map(fetch, small), *map(fetch, large)]


def _fetch(item: Wanted, store: Store, folder: Path, tell: Callable[[str], None]) -> InputFile:
    target = folder / item.path
    scheme, separator, _ = item.uri.partition("://")
    if separator and scheme not in _SCHEMES:
        tell(f"input {item.input_name!r}: {item.uri} is in no store, played as metadata alone")
        return InputFile(item.uri)
    try:
        digest = _download(item, store, target)
    except NotFoundError as error:
        if item.sha256 is None:
            tell(f"input {item.input_name!r}: nothing at {item.uri}, played as metadata alone")
            return InputFile(item.uri)
        raise NotFoundError(
            f"input {item.input_name!r}: got nothing at {item.uri}, want {item.size_bytes:,} bytes "
            "as recorded: it was removed since"
        ) from error
    except DalsegnoError as error:
        raise _with_subject(error, item) from error
    if item.sha256 not in {None, digest.sha256}:
        raise InputError(
            f"input {item.input_name!r}: got SHA-256 {digest.sha256[:12]}… at {item.uri}, want "
            f"{str(item.sha256)[:12]}… as recorded: it was changed since"
        )
    found = InputFile(item.uri, item.path, digest.sha256, digest.size_bytes)
    return replace(found, is_folder=target.is_dir())


def _download(item: Wanted, store: Store, target: Path) -> Digest:
    from_store, key = _locate(item, store)
    empty = EMPTY_SHA256 if item.sha256 == EMPTY_SHA256 else None
    return from_store.download(key, target, sha256=empty)


def _locate(item: Wanted, store: Store) -> tuple[Store, str]:
    try:
        return store, store.key_of(item.kept_uri or item.uri)
    except InputError:
        if "://" not in item.uri:
            path = Path(item.uri)
            return FileStore(path.parent), path.name
    from dalsegno.settings import open_artifact_store

    elsewhere = open_artifact_store(item.uri, endpoint=item.endpoint)
    return elsewhere, elsewhere.key_of(item.uri)


def _endpoint(artifact: dict[str, Any]) -> str | None:
    """Read the server of an artifact from the metadata that KFP's launcher adds on a cluster."""
    try:
        session = json.loads(artifact.get("metadata", {})["store_session_info"])
        return str(session["Params"]["endpoint"]) or None
    except (KeyError, TypeError, ValueError):
        return None


def _path_for(number: int, uri: str) -> str:
    name = uri.rstrip("/").rpartition("/")[2]
    try:
        return check_key(f"inputs/{number}/{name}")
    except InputError:
        return f"inputs/{number}/artifact"


def _with_subject(error: DalsegnoError, item: Wanted) -> DalsegnoError:
    return type(error)(f"input {item.input_name!r}: {error}", error.next_command)
