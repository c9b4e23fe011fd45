"""What S3 and GCS have in common: transfers in parallel and in parts, with bounded memory."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from dalsegno.errors import (
    ConfigurationError,
    ConflictError,
    InfrastructureError,
    InputError,
    NotFoundError,
)
from dalsegno.store.base import ObjectStat, Store
from dalsegno.store.digest import (
    Digest,
    HashingReader,
    combine,
    digest_of,
    files_of,
    open_file,
)
from dalsegno.store.keys import check_key

PART_BYTES = 16 * 1024 * 1024
WORKERS = 4
CONNECT_SECONDS = 5
READ_SECONDS = 30
ATTEMPTS = 3

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class RemoteStore(Store):
    """Objects of one bucket, below one prefix.

    Args:
        uri: `scheme://bucket` or `scheme://bucket/prefix`.

    Raises:
        ConfigurationError: The URI names no bucket, or the prefix is no key.
    """

    def __init__(self, uri: str) -> None:
        scheme, _, rest = uri.rstrip("/").partition("://")
        self.bucket, _, prefix = rest.partition("/")
        if not self.bucket:
            raise ConfigurationError(f"store: got {uri!r}, want {scheme}://bucket/prefix")
        try:
            self._below = f"{check_key(prefix)}/" if prefix else ""
        except InputError as error:
            raise ConfigurationError(f"store {uri!r}: {error}") from error
        self.uri = f"{scheme}://{rest}"

    def create(self, key: str, data: bytes) -> None:
        """See `Store.create`."""
        check_key(key)
        try:
            self._create(key, data)
        except InfrastructureError as error:
            self._settle(key, data, error)

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        check_key(key)
        return self._patiently(lambda: b"".join(self._read(key)))

    def upload(self, path: Path, key: str) -> Digest:
        """See `Store.upload`."""
        check_key(key)
        if not path.is_dir():
            return self._upload_file(path, key)
        files = [(check_key(f"{key}/{name}"), file) for name, file in files_of(path)]
        digests = _each(
            files,
            lambda item: self._upload_file(item[1], item[0]),
            is_large=lambda item: item[1].stat().st_size > PART_BYTES,
        )
        return combine({name.removeprefix(f"{key}/"): digest for (name, _), digest in digests})

    @abstractmethod
    def _create(self, key: str, data: bytes) -> None:
        """Send once; ConflictError is an answer, InfrastructureError means that none is known."""

    @abstractmethod
    def _look(self, key: str) -> tuple[ObjectStat, str]:
        """Return an object's stat and the version of its content."""

    @abstractmethod
    def _read(
        self, key: str, version: str | None = None, start: int = 0, size: int | None = None
    ) -> Iterator[bytes]:
        """Yield the content, or a range of it; ConflictError if the version is another now."""

    @abstractmethod
    def _send(self, key: str, stream: HashingReader, size: int) -> None:
        """Write an object from a stream, in parts when it is large."""

    def stat(self, key: str) -> ObjectStat:
        """See `Store.stat`."""
        return self._look(check_key(key))[0]

    def _name(self, key: str) -> str:
        return self._below + key

    def _is_ours(self, name: str) -> bool:
        try:
            check_key(name.removeprefix(self._below))
        except InputError:
            return False  # the marker of an empty folder, or an object of somebody else
        return name.startswith(self._below)

    def _settle(self, key: str, data: bytes, error: InfrastructureError) -> None:
        """Find out whether a create without an answer has arrived."""
        try:
            found = self.get(key)
        except NotFoundError:
            raise error from error.__cause__
        if found != data:
            raise self._taken(key) from error

    def _taken(self, key: str) -> ConflictError:
        return ConflictError(f"{self.uri_of(key)}: got an object that exists, want it absent")

    def _upload_file(self, path: Path, key: str) -> Digest:
        return self._patiently(lambda: self._upload_once(path, key))

    def _upload_once(self, path: Path, key: str) -> Digest:
        with open_file(path) as file:
            reader, size = HashingReader(file), os.fstat(file.fileno()).st_size
            self._send(key, reader, size)
        if reader.digest.size_bytes != size:
            got = reader.digest.size_bytes
            raise InputError(f"{path}: got {got} bytes while reading {size}, want it left alone")
        return reader.digest

    def _fetch_file(self, key: str, path: Path) -> Digest:
        stat, version = self._look(key)
        sha256 = hashlib.sha256()
        with path.open("x+b", buffering=0) as file:
            handle = file.fileno()
            _allocate(handle, stat.size_bytes)
            fetch = partial(self._fetch_part, key, version, handle, stat.size_bytes)
            starts = range(0, stat.size_bytes, PART_BYTES)
            with ThreadPoolExecutor(WORKERS) as pool:
                for start, size in zip(starts, pool.map(fetch, starts), strict=True):
                    # Digests while later parts arrive; mapped, as a copy costs half as much again.
                    with mmap.mmap(handle, size, access=mmap.ACCESS_READ, offset=start) as part:
                        sha256.update(part)
        return Digest(sha256.hexdigest(), stat.size_bytes)

    def _fetch_files(
        self, key: str, found: Sequence[ObjectStat], folder: Path
    ) -> dict[str, Digest]:
        def fetch(stat: ObjectStat) -> Digest:
            target = folder / stat.key.removeprefix(f"{key}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if stat.size_bytes > PART_BYTES:
                return self._fetch_file(stat.key, target)
            target.write_bytes(self.get(stat.key))
            return digest_of(target)

        digests = _each(found, fetch, is_large=lambda stat: stat.size_bytes > PART_BYTES)
        return {stat.key.removeprefix(f"{key}/"): digest for stat, digest in digests}

    def _fetch_part(self, key: str, version: str, handle: int, total: int, start: int) -> int:
        """Fetch one part to its place in a file, and return its size."""
        size = min(PART_BYTES, total - start)

        def fetch() -> None:
            position = start
            for block in self._read(key, version, start, size):
                os.pwrite(handle, block, position)
                position += len(block)
            if position != start + size:
                got = position - start
                raise InfrastructureError(f"{self.uri_of(key)}: got {got} bytes, want {size}")

        try:
            self._patiently(fetch)
        except (ConflictError, NotFoundError) as error:
            message = f"{self.uri_of(key)}: got another version while reading, want one"
            raise InfrastructureError(message) from error
        return size

    def _patiently(self, action: Callable[[], _Result]) -> _Result:
        """Try again after a broken connection: reads and replacing writes can be repeated."""
        for attempt in range(ATTEMPTS - 1):
            try:
                return action()
            except InfrastructureError:
                time.sleep(0.1 * 4**attempt)
        return action()


def _each(
    items: Iterable[_Item],
    transfer: Callable[[_Item], Digest],
    is_large: Callable[[_Item], bool],
) -> list[tuple[_Item, Digest]]:
    """Transfer small files side by side, large ones one by one: those go in parallel parts."""
    sizes = [(item, is_large(item)) for item in items]
    small = [item for item, large in sizes if not large]
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(zip(small, pool.map(transfer, small), strict=True))
    return done + [(item, transfer(item)) for item, large in sizes if large]


def _allocate(handle: int, size: int) -> None:
    """Take the room at once, so that a full disk is found before the transfer."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)
