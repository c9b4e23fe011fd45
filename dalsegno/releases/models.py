"""Released models, kept by content at `models/sha256/<digest>`, where no clean-up of runs goes."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dalsegno.errors import ConflictError, InfrastructureError, InputError, NotFoundError
from dalsegno.releases.release import Release
from dalsegno.store import Digest, Store, digest_of
from dalsegno.store.digest import files_of

FILES = (
    "model.onnx",
    "model.ubj",
    "encoder.json",
    "signature.json",
    "training.json",
    "baseline.json",
    "example.json",
)
_PREFIX = "models/sha256"
_ATTEMPTS = 3
_TOUCHED = "signature.json"


def check_folder(path: Path) -> None:
    """Check that a folder holds a whole model.

    Raises:
        NotFoundError: There is no such folder.
        InputError: Files are missing; they are named.
    """
    if not path.is_dir():
        raise NotFoundError(f"model: got no folder at {path}, want one that train_model wrote")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise InputError(f"model {path.name!r}: got no {', '.join(missing)}, want a whole model")


def keep(store: Store, path: Path) -> tuple[str, Digest]:
    """Copy a model folder to its place by content, if it is not there whole.

    Returns:
        The key and the digest of the folder.

    Raises:
        InputError: The folder changed while it was read.
    """
    digest = digest_of(path)
    key = f"{_PREFIX}/{digest.sha256}"
    for _ in range(_ATTEMPTS):
        if _is_whole(store, path, key, digest):
            _touch(store, path, key)
            return key, digest
        try:
            arrived = store.upload(path, key)
        except ConflictError:
            continue  # somebody else keeps the same model at the same moment
        if arrived == digest:
            return key, digest
        discard(store, key)
        raise InputError(f"{path}: got content that changed while it was read, want it still")
    raise InfrastructureError(f"{store.uri_of(key)}: got other content again, want the model's own")


def keep_still(store: Store, path: Path, release: Release) -> None:
    """Bring a model back that a clean-up took while its release was being made."""
    wanted = {f"{release.model_key}/{name}": file.stat().st_size for name, file in files_of(path)}
    if wanted != {stat.key: stat.size_bytes for stat in store.list(release.model_key)}:
        keep(store, path)


def unnamed(store: Store, named: Collection[str], older_than_seconds: float) -> list[str]:
    """Return the keys of kept models that are not named and were last touched that long ago."""
    before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
    keys = (f"{_PREFIX}/{digest}" for digest in store.folders(_PREFIX) if digest not in named)
    return [key for key in keys if _is_untouched_since(store, key, before)]


def discard(store: Store, key: str) -> int:
    """Remove a kept model; returns its size in bytes."""
    found = list(store.list(key))
    for stat in found:
        store.delete(stat.key)
    return sum(stat.size_bytes for stat in found)


def fetch_model(store: Store, release: Release, path: Path) -> Path:
    """Copy a release's model folder to a path, verified by its digest.

    Raises:
        InfrastructureError: It is not the model that was released; nothing is left at the path.
        NotFoundError: The store has lost it.
    """
    store.download(release.model_key, path, sha256=release.model_sha256)
    return path


def _is_whole(store: Store, path: Path, key: str, digest: Digest) -> bool:
    """Tell whether the key holds the model, read and digested; leftovers in its way are removed."""
    wanted = {f"{key}/{name}": file.stat().st_size for name, file in files_of(path)}
    found = {stat.key: stat.size_bytes for stat in store.list(key)}
    if found == wanted:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                store.download(key, Path(scratch, "model"), sha256=digest.sha256)
            except InfrastructureError:
                return False
        return True
    for extra in found.keys() - wanted.keys():
        store.delete(extra)
    return False


def _touch(store: Store, path: Path, key: str) -> None:
    """Make the model look used: a clean-up leaves alone what was touched not long ago."""
    store.put(f"{key}/{_TOUCHED}", (path / _TOUCHED).read_bytes())


def _is_untouched_since(store: Store, key: str, before: datetime) -> bool:
    times = [stat.modified_at for stat in store.list(key)]
    return bool(times) and max(times) < before
