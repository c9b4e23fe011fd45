"""Where capsules are kept on this machine, and which of them may be played without asking.

<store folder>/capsules/<run>/<task path>/<attempt>      for a store that is a folder
<cache>/dalsegno/capsules/<store>/<run>/…                for any other store
<cache>/dalsegno/capsules/files/<digest>                 capsules that came as a file
<cache>/dalsegno/trusted/<digest>                        built here, or agreed to
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dalsegno.errors import InputError
from dalsegno.replay.capsule import MANIFEST, Capsule, Manifest, is_capsule
from dalsegno.runs.record import TaskRecord
from dalsegno.store import Store
from dalsegno.store.file import FileStore


@dataclass(frozen=True)
class Kept:
    """A capsule on the shelf.

    Attributes:
        used_at: Seconds since the epoch, when it was built or replayed last.
        size_bytes: Of all its files, replays included.
    """

    folder: Path
    address: str
    used_at: float
    size_bytes: int


def cache_dir() -> Path:
    """Return the folder of this user for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dalsegno"


def shelf(store: Store) -> Path:
    """Return the folder in which the capsules of a store's runs are kept."""
    if isinstance(store, FileStore):
        return store.root / "capsules"
    return cache_dir() / "capsules" / hashlib.sha256(store.uri.encode()).hexdigest()[:12]


def file_shelf() -> Path:
    """Return the folder in which capsules are unpacked that came as a file."""
    return cache_dir() / "capsules" / "files"


def place_of(store: Store, record: TaskRecord) -> Path:
    """Return where the capsule of an attempt is kept."""
    return shelf(store) / record.run_id / record.task / str(record.attempt)


def trust(capsule: Capsule) -> None:
    """Remember that this very capsule may be played without asking."""
    folder = cache_dir() / "trusted"
    with contextlib.suppress(OSError):  # then it is asked for again
        folder.mkdir(parents=True, exist_ok=True)
        (folder / capsule.sha256).touch()


def is_trusted(capsule: Capsule) -> bool:
    """Say whether a capsule was built here or agreed to."""
    return (cache_dir() / "trusted" / capsule.sha256).exists()


def touch(capsule: Capsule) -> None:
    """Note that a capsule was used now."""
    with contextlib.suppress(OSError):
        os.utime(capsule.folder / MANIFEST)


def kept_capsules(*shelves: Path) -> list[Kept]:
    """List the capsules of some shelves, the one used last first."""
    found = [_kept(folder) for root in shelves for folder in _capsules(root)]
    return sorted(found, key=lambda item: item.used_at, reverse=True)


def to_prune(kept: list[Kept], older_than: timedelta | None, keep: int | None) -> list[Kept]:
    """Choose what to remove: what was not used for long, and all but the last few.

    Args:
        kept: As `kept_capsules` lists them.
        older_than: Those not used since; None sets no limit.
        keep: How many of the last used ones stay; None sets no limit.
    """
    oldest = time.time() - older_than.total_seconds() if older_than is not None else None
    return [
        item
        for number, item in enumerate(kept)
        if (oldest is not None and item.used_at < oldest) or (keep is not None and number >= keep)
    ]


def remove_capsule(item: Kept, root: Path) -> None:
    """Remove a capsule, and the folders above it that are empty then."""
    doomed = item.folder.with_name(f".{item.folder.name}.pruned")
    os.rename(item.folder, doomed)  # a replay that starts now finds none, rather than half of one
    shutil.rmtree(doomed)
    with contextlib.suppress(OSError):
        for folder in item.folder.parents:
            if folder == root:
                break
            folder.rmdir()


def _capsules(root: Path) -> Iterator[Path]:
    for folder, folders, _ in os.walk(root):
        if is_capsule(Path(folder)):
            folders.clear()
            yield Path(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]


def _kept(folder: Path) -> Kept:
    try:
        address = Manifest.from_json((folder / MANIFEST).read_bytes(), folder).address
    except (InputError, OSError):
        address = f"{folder} (broken)"
    size = sum(
        file.stat(follow_symlinks=False).st_size
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    )
    return Kept(folder, address, (folder / MANIFEST).stat().st_mtime, size)
