"""Remembers which files of a capsule were verified, so that large ones are read once.

Like git's index: a file whose size, times and inode are as they were when it was verified is taken
to have the same content. The change time cannot be set by a program, so a file from elsewhere
never has a stamp that fits.

<capsule>/.verified.json
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from dalsegno.store.digest import files_of

_FILE = ".verified.json"

Stamps = dict[str, list[int]]


def read_stamps(folder: Path) -> dict[str, Stamps]:
    """Read what was verified in a capsule: stamps of the files, by digest and place."""
    try:
        found = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamps(folder: Path, stamps: dict[str, Stamps]) -> None:
    """Keep what was verified; where that cannot be, it is verified again."""
    partial = folder / f"{_FILE}.{os.getpid()}"
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(stamps))
        partial.replace(folder / _FILE)


def stamps_of(path: Path) -> Stamps:
    """Stamp a file, or every file of a folder."""
    files = files_of(path) if path.is_dir() else [("", path)]
    return {name: _stamp(file) for name, file in files}


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
