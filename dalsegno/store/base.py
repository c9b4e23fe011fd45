"""What every store can do, whatever stands behind it."""

from __future__ import annotations

import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dalsegno.errors import ConflictError, InfrastructureError, InputError, NotFoundError
from dalsegno.store.digest import EMPTY_SHA256, Digest, combine
from dalsegno.store.keys import check_key


@dataclass(frozen=True)
class ObjectStat:
    """One object of a store, without its content.

    Attributes:
        key: Below the store's root.
        size_bytes: Size of the content.
        modified_at: When the content was written, UTC.
    """

    key: str
    size_bytes: int
    modified_at: datetime


class Store(ABC):
    """Objects by key below one root.

    Attributes:
        uri: The root, without a slash behind it: an absolute path, or `s3://bucket/prefix`.
    """

    uri: str

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return an object's content.

        Raises:
            NotFoundError: There is no such object.
        """

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all, in place of any that is there."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> None:
        """Write an object only if it is absent; of many writers at once exactly one wins.

        Raises:
            ConflictError: The object exists.
        """

    @abstractmethod
    def stat(self, key: str) -> ObjectStat:
        """Return size and time of an object.

        Raises:
            NotFoundError: There is no such object.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Yield every object below a folder of keys (a slash at its end is optional), by key."""

    @abstractmethod
    def folders(self, prefix: str = "") -> Sequence[str]:
        """Return the names of the folders directly below a folder of keys, sorted.

        Costs by the number of names, not by the number of objects below them. Some servers go on
        naming a folder when its last object is gone.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""

    @abstractmethod
    def upload(self, path: Path, key: str) -> Digest:
        """Copy a file to a key, or every file of a folder below it.

        Each file appears whole or not at all. Objects that are there and not in the folder stay.

        Raises:
            NotFoundError: There is nothing at the path.
        """

    def download(self, key: str, path: Path, *, sha256: str | None = None) -> Digest:
        """Copy an object, or all objects below a folder of keys, to a path.

        Args:
            key: An object or a folder of them.
            path: Where the file or folder is to be; a file there is replaced.
            sha256: What must arrive, as `digest_of` counts it.

        Raises:
            NotFoundError: There is neither an object nor a folder of that key.
            InfrastructureError: Something else than `sha256` arrived; nothing is left at the path.
            ConflictError: A folder that is not empty stands at the path.
        """
        check_key(key)
        try:
            with landing(path) as arriving:
                digest = self._fetch(key, arriving, empty=sha256 == EMPTY_SHA256)
                if sha256 is not None and digest.sha256 != sha256:
                    got = f"SHA-256 {digest.sha256[:12]}…, want {sha256[:12]}…"
                    raise InfrastructureError(f"{self.uri_of(key)}: got {got}")
        except OSError as error:
            message = f"{path}: got {error.strerror}, want room and leave to write there"
            raise InfrastructureError(message) from error
        return digest

    def uri_of(self, key: str) -> str:
        """Return where a key is, for records and for KFP."""
        return f"{self.uri}/{check_key(key)}"

    def key_of(self, uri: str) -> str:
        """Return the key of a URI of this store.

        Raises:
            InputError: The URI is outside this store.
        """
        if not uri.startswith(f"{self.uri}/"):
            raise InputError(f"uri {uri!r}: got one outside the store, want {self.uri}/…")
        return check_key(uri.removeprefix(f"{self.uri}/").rstrip("/"))

    @abstractmethod
    def _fetch_file(self, key: str, path: Path) -> Digest:
        """Copy one object to a path where nothing is yet; NotFoundError if there is none."""

    def _fetch(self, key: str, path: Path, *, empty: bool) -> Digest:
        try:
            return self._fetch_file(key, path)
        except NotFoundError:
            found = tuple(self.list(key))
            if not found and not empty:
                raise
            path.mkdir()  # an empty folder has no objects: it is known by its digest alone
            return combine(self._fetch_files(key, found, path))

    def _fetch_files(
        self, key: str, found: Sequence[ObjectStat], folder: Path
    ) -> dict[str, Digest]:
        digests = {}
        for stat in found:
            name = stat.key.removeprefix(f"{key}/")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digests[name] = self._fetch_file(stat.key, target)
        return digests


@contextmanager
def landing(path: Path) -> Iterator[Path]:
    """Give a path beside the target; what is there at the end is moved to the target.

    Nothing stands at the target until then, and nothing is left beside it afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and any(path.iterdir()):
        raise ConflictError(f"{path}: got a folder that is not empty, want a free place")
    arriving = path.parent / f".{path.name[:200]}.{secrets.token_hex(6)}"
    try:
        yield arriving
        _move(arriving, path)
    finally:
        remove(arriving)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _move(arriving: Path, path: Path) -> None:
    if path.is_dir() and arriving.is_file():
        path.rmdir()
    try:
        os.replace(arriving, path)
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise ConflictError(f"{path}: got a file or folder, want a free place") from error
