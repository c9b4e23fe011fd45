"""A store in a folder: the embedded default."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dalsegno.errors import (
    ConfigurationError,
    ConflictError,
    InfrastructureError,
    InputError,
    NotFoundError,
)
from dalsegno.store.base import ObjectStat, Store, remove
from dalsegno.store.digest import Digest, HashingReader, blocks_of, combine, files_of, open_file
from dalsegno.store.keys import SCRATCH, check_key, check_prefix

_ABANDONED_SECONDS = 24 * 3600
_ATTEMPTS = 20
_OCCUPIED = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)


class FileStore(Store):
    """Objects as files: prepared in `.tmp` below the root, then moved to their place at once.

    Args:
        root: The folder; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)
        self._swept = False

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        with self._reading(key) as path:
            return path.read_bytes()

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        with self._writing(key) as target, self._scratch() as prepared:
            _write(prepared, [data])
            self._place(prepared, target, os.replace)

    def create(self, key: str, data: bytes) -> None:
        """See `Store.create`."""
        with self._writing(key) as target, self._scratch() as prepared:
            _write(prepared, [data])
            self._place(prepared, target, _link)

    def stat(self, key: str) -> ObjectStat:
        """See `Store.stat`."""
        with self._reading(key) as path:
            if not path.is_file():
                raise FileNotFoundError(key)
            return _stat(key, path.stat())

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """See `Store.list`."""
        below = check_prefix(prefix)
        yield from self._walk(self._inside(below), below)

    def folders(self, prefix: str = "") -> Sequence[str]:
        """See `Store.folders`."""
        below = check_prefix(prefix)
        entries = _entries(self._inside(below))
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return sorted(name for name in names if below or name != SCRATCH)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with suppress(NotFoundError), self._reading(key) as path:
            if path.is_dir():
                return
            path.unlink()
            _sync_folder(path.parent)
            self._prune(path.parent)

    def upload(self, path: Path, key: str) -> Digest:
        """See `Store.upload`."""
        if not path.is_dir():
            return self._upload_file(path, key)
        with self._writing(key) as target, self._scratch() as prepared:
            if target.exists():
                return combine({n: self._upload_file(f, f"{key}/{n}") for n, f in files_of(path)})
            prepared.mkdir()
            digest = combine({n: _copy(f, prepared / check_key(n)) for n, f in files_of(path)})
            for folder, _, _ in os.walk(prepared):
                _sync_folder(Path(folder))
            if digest.size_bytes or any(prepared.iterdir()):
                self._place(prepared, target, _rename_folder)
            return digest

    def key_of(self, uri: str) -> str:
        """See `Store.key_of`; takes the path, the real path behind links, and `file://`."""
        path = uri.removeprefix("file://")
        real = os.path.realpath(self.root)
        if path.startswith(f"{real}/"):
            path = self.uri + path.removeprefix(real)
        return super().key_of(path)

    def _fetch_file(self, key: str, path: Path) -> Digest:
        with self._reading(key) as source:
            if not source.is_file():
                raise FileNotFoundError(key)
            return _copy(source, path, is_durable=False)

    def _upload_file(self, path: Path, key: str) -> Digest:
        open_file(path).close()  # before anything is made for it
        with self._writing(key) as target, self._scratch() as prepared:
            digest = _copy(path, prepared)
            self._place(prepared, target, os.replace)
        return digest

    def _inside(self, key: str) -> Path:
        path = self.root / key
        root = os.path.realpath(self.root)
        if os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise InputError(
                f"key {key!r}: got a link that leads outside, want one inside the root"
            )
        return path

    @contextmanager
    def _reading(self, key: str) -> Iterator[Path]:
        path = self._inside(check_key(key))
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"{path}: got no such object, want one") from error
        except OSError as error:
            raise self._failure(error) from error

    @contextmanager
    def _writing(self, key: str) -> Iterator[Path]:
        try:
            yield self._inside(check_key(key))
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise self._failure(error) from error
            got = "a folder of objects, or a key below an object"
            raise InputError(f"key {key!r}: got {got}, want a free key") from error

    def _failure(self, error: OSError) -> ConfigurationError | InfrastructureError:
        where = f" at {error.filename}" if error.filename else ""
        message = f"store {self.uri}: got {error.strerror}{where}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return InfrastructureError(f"{message}, want room", f"df -h {self.uri}")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTSUP):
            want = "a folder of ours to write, on a file system with hard links"
            return ConfigurationError(f"{message}, want {want}")
        return InfrastructureError(f"{message}, want to read and write there")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = self.root / SCRATCH
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ConfigurationError(f"store {self.uri}: got a file, want a folder") from error
        if not self._swept:
            _sweep(folder)
            self._swept = True
        prepared = folder / secrets.token_hex(12)
        try:
            yield prepared
        finally:
            remove(prepared)

    def _place(self, prepared: Path, target: Path, move: Callable[[Path, Path], None]) -> None:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError):  # a concurrent delete has just pruned the folder
                _make_folder(target.parent)
                try:
                    move(prepared, target)
                except IsADirectoryError:
                    target.rmdir()  # fails, as it should, unless it is an empty leftover
                else:
                    return _sync_folder(target.parent)
        raise InfrastructureError(f"{target}: got its folder removed again and again, want it kept")

    def _prune(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _walk(self, folder: Path, below: str) -> Iterator[ObjectStat]:
        found = {
            f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name: e for e in _entries(folder)
        }
        for name, entry in sorted(found.items()):
            if not below and name == f"{SCRATCH}/":
                continue
            if name.endswith("/"):
                yield from self._walk(Path(entry.path), below + name)
                continue
            with suppress(FileNotFoundError, InputError):
                check_key(below + name)
                if not entry.is_symlink() or self._inside(below + name).is_file():
                    yield _stat(below + name, entry.stat())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stat(key: str, found: os.stat_result) -> ObjectStat:
    return ObjectStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _write(path: Path, blocks: Iterator[bytes] | list[bytes], *, is_durable: bool = True) -> None:
    with path.open("xb") as file:
        for block in blocks:
            file.write(block)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())


def _copy(source: Path, target: Path, *, is_durable: bool = True) -> Digest:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_file(source) as file:
        reader = HashingReader(file)
        _write(target, iter(blocks_of(reader)), is_durable=is_durable)
    return reader.digest


def _link(prepared: Path, target: Path) -> None:
    try:
        os.link(prepared, target)
    except FileExistsError as error:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(target)) from error
        raise ConflictError(f"{target}: got an object that exists, want it absent") from error


def _rename_folder(prepared: Path, target: Path) -> None:
    try:
        os.rename(prepared, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise ConflictError(f"{target}: got a folder made meanwhile, want it absent") from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left behind a day ago or earlier."""
    for entry in _entries(folder):
        with suppress(FileNotFoundError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS:
                remove(Path(entry.path))
