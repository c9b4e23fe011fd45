"""The identity of content: SHA-256 and size of a file, or of a folder of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dalsegno.errors import InputError, NotFoundError

BLOCK_BYTES = 1024 * 1024
EMPTY_SHA256 = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class Digest:
    """What a file or folder contains, independent of its name and place.

    Attributes:
        sha256: Lower-case hexadecimal, 64 characters.
        size_bytes: Size of the file, or of all files of the folder together.
    """

    sha256: str
    size_bytes: int


def digest_of(path: Path) -> Digest:
    """Digest a file, or a folder.

    Of a folder: SHA-256 over its files' sorted lines, each relative posix path, NUL, SHA-256 of
    the file, newline.

    Raises:
        NotFoundError: There is nothing at the path.
        InputError: The folder holds something that is neither file nor folder.
    """
    if path.is_dir():
        return combine({name: digest_of(file) for name, file in files_of(path)})
    with open_file(path) as file:
        reader = HashingReader(file)
        for _ in blocks_of(reader):
            pass
    return reader.digest


def open_file(path: Path) -> BinaryIO:
    """Open a file to read.

    Raises:
        NotFoundError: There is nothing at the path.
        InputError: There is something else, such as a device.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: got neither file nor folder, want one")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: got nothing, want a file or folder") from error


def combine(files: Mapping[str, Digest]) -> Digest:
    """Digest a folder of which the files are known by relative posix path."""
    lines = sorted(f"{name}\0{digest.sha256}\n" for name, digest in files.items())
    content = "".join(lines).encode("utf-8", "surrogateescape")
    total = sum(digest.size_bytes for digest in files.values())
    return Digest(hashlib.sha256(content).hexdigest(), total)


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the relative posix path and the place of every file below a folder, in order.

    A link to a file counts as the file; a link to a folder, a dangling link or a device is refused
    rather than left out in silence.

    Raises:
        InputError: Something below the folder is neither file nor folder.
    """
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in folders:
            if (link := Path(parent, name)).is_symlink():
                raise InputError(f"{link}: got a link to a folder, want files and folders")
        for name in sorted(files):
            file = Path(parent, name)
            if not file.is_file():
                raise InputError(f"{file}: got a device or dangling link, want files and folders")
            yield file.relative_to(folder).as_posix(), file


class HashingReader:
    """A readable stream that digests what is read from it, so that content is read once.

    A transfer that goes back to read a part again does not change the digest.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read like the stream itself."""
        again = self._size_bytes - self._position
        data = self._stream.read(size)
        self._hash.update(data[again:] if again else data)
        self._position += len(data)
        self._size_bytes = max(self._size_bytes, self._position)
        return data

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go back to a position, in bytes, that was read before."""
        self._position = self._stream.seek(position, whence)
        return self._position

    @property
    def digest(self) -> Digest:
        """Digest of what was read so far."""
        return Digest(self._hash.hexdigest(), self._size_bytes)


def blocks_of(stream: BinaryIO | HashingReader) -> Iterable[bytes]:
    """Read a stream to its end in blocks of bounded size."""
    return iter(lambda: stream.read(BLOCK_BYTES), b"")
