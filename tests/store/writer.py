"""Writes for ever, until it is killed: `python writer.py URI ACCESS`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

from dalsegno.errors import ConflictError
from dalsegno.store import S3Access, Store, open_store

LARGE_BYTES = 17 * 1024 * 1024


def content(size: int) -> bytes:
    body = os.urandom(size)
    return hashlib.sha256(body).hexdigest().encode() + body


def is_whole(data: bytes) -> bool:
    return hashlib.sha256(data[64:]).hexdigest().encode() == data[:64]


def write(store: Store, folder: Path, large: Path, number: int) -> None:
    store.put(f"put/{number % 3}", content(100_000 + number))
    with suppress(ConflictError):
        store.create(f"log/{number}", content(1000))
    store.upload(folder, f"folder/{os.getpid()}-{number}")
    if number % 5 == 4:
        store.upload(large, f"large/{number % 2}")


def main(uri: str, access: dict[str, str] | None) -> None:
    store = open_store(uri, S3Access(**access) if access else None)
    with tempfile.TemporaryDirectory() as place:
        folder, large = Path(place, "folder"), Path(place, "large")
        folder.mkdir()
        for name in "abc":
            (folder / name).write_bytes(content(50_000))
        large.write_bytes(content(LARGE_BYTES))
        for number in count():
            write(store, folder, large, number)
            if number == 0:
                sys.stdout.write("ready\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
