"""What a server keeps on disk, so that it starts quickly, and without the store."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dalsegno import releases
from dalsegno.errors import InfrastructureError, NotFoundError
from dalsegno.releases.release import Release, read
from dalsegno.serving.endpoint import CANARY, CHAMPION, SHADOW, Lineup
from dalsegno.store import Store, digest_of, open_store
from dalsegno.store.base import remove

_KEPT_MODELS = 16
_ROLES = (CHAMPION, CANARY, SHADOW)
_ABANDONED_SECONDS = 24 * 3600


def default_folder() -> Path:
    """Return where a server keeps models if nobody says otherwise."""
    return Path.home() / ".cache" / "dalsegno"


def part_of(folder: Path, store: Store) -> Path:
    """Return the part of a folder of ours that belongs to a store."""
    return folder.absolute() / hashlib.sha256(store.uri.encode()).hexdigest()[:16]


def log_folder(folder: Path, store: Store) -> Path:
    """Return where predictions wait for a store."""
    return part_of(folder, store) / "predictions"


def _read(endpoint: str, document: Mapping[str, Any] | None) -> Release | None:
    return read(endpoint, int(document["number"]), document) if document else None


class ReleaseCache:
    """Models by digest, and by endpoint what was served last.

    Args:
        folder: Where to keep them; several servers may share it.
        store: Where releases come from; each store has a part of its own.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        part = part_of(folder, store)
        self._store = store
        self._models = part / "models"
        self._last = open_store(str(part / "last"))

    def model(self, release: Release) -> Path:
        """Return the folder of a release's model, verified; fetched if it is not here.

        Raises:
            InfrastructureError: The store does not hold the model that was released.
            NotFoundError: The store has lost it.
        """
        path = self._models / release.model_sha256
        if self._is_right(path, release):
            os.utime(path)
            return path
        remove(path)
        self._models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=self._models) as scratch:
            fetched = releases.fetch_model(self._store, release, Path(scratch, "model"))
            with suppress(OSError):  # another server may have brought it meanwhile
                fetched.rename(path)
        if not self._is_right(path, release):
            raise InfrastructureError(f"{path}: got a model that changed, want it as fetched")
        self._evict()
        return path

    def remember(self, endpoint: str, lineup: Lineup) -> None:
        """Keep what was served last."""
        self._last.put(f"{endpoint}.json", json.dumps(asdict(lineup)).encode())

    def recall(self, endpoint: str) -> Lineup | None:
        """Return what was served here last, None if nothing was.

        Raises:
            InfrastructureError: The file is broken.
        """
        try:
            document = json.loads(self._last.get(f"{endpoint}.json"))
            releases = {role: _read(endpoint, document[role]) for role in _ROLES}
            return Lineup(**{**document, **releases})
        except NotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InfrastructureError(
                f"cache of {endpoint!r}: got a broken file, want the last line-up"
            ) from error

    @staticmethod
    def _is_right(path: Path, release: Release) -> bool:
        return path.is_dir() and digest_of(path).sha256 == release.model_sha256

    def _evict(self) -> None:
        found = [(path.stat().st_mtime, path) for path in self._models.iterdir()]
        models = sorted(item for item in found if not item[1].name.startswith("."))
        for _, path in models[:-_KEPT_MODELS]:
            remove(path)
        for modified, path in found:
            if path.name.startswith(".") and time.time() - modified > _ABANDONED_SECONDS:
                remove(path)
