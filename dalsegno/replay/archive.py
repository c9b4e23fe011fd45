"""A capsule as one file to send: a zip that is written the same way each time.

What is read may come from a stranger. Nothing is taken from the file but the content of regular
members whose names a manifest announces; paths, sizes and digests are checked before anything
is where it would be played.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dalsegno.errors import DalsegnoError, InfrastructureError, InputError, NotFoundError
from dalsegno.replay.build import from_elsewhere
from dalsegno.replay.capsule import (
    MANIFEST,
    RECORD,
    Capsule,
    Manifest,
    open_capsule,
)
from dalsegno.runs.record import TaskRecord
from dalsegno.store.base import landing, remove
from dalsegno.store.digest import BLOCK_BYTES, files_of
from dalsegno.store.keys import check_key

MAX_BYTES = 16 * 1024**3
MAX_MEMBERS = 200_000
_MAX_TEXT_BYTES = 64 * 1024**2
_EPOCH = (1980, 1, 1, 0, 0, 0)
_END = struct.Struct("<4s4H2LH")  # end of central directory, without a comment
_END64_LOCATOR_BYTES, _END64_BYTES = 20, 56
_IN_64_BITS = 0xFFFFFFFF
_REGULAR = 0o100644
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def export_capsule(capsule: Capsule, path: Path) -> int:
    """Write a capsule as one file, without paths of this machine.

    Returns:
        Size of the file, in bytes.

    Raises:
        InfrastructureError: There is no room or leave to write there.
        ConflictError: A folder stands at the path.
    """
    manifest = from_elsewhere(capsule.manifest)
    try:
        with landing(path) as arriving:
            with zipfile.ZipFile(arriving, "x", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                file.writestr(_member(MANIFEST), manifest.to_json())
                for name, source in _members(capsule):
                    _add(file, name, source)
            size = arriving.stat().st_size
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written ({error.strerror})") from error
    return size


def unpack(path: Path, shelf: Path, max_bytes: int = MAX_BYTES) -> Capsule:
    """Unpack a capsule that came as a file, and verify it, each time: it may be another by now.

    Args:
        shelf: Where capsules are unpacked, each in a folder named by its digest.
        max_bytes: Most that it may take, unpacked.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no capsule, was cut short or changed, or would take too much room.
    """
    with _opened(path) as file:
        manifest, _ = _read_texts(file, path)
        name = manifest.files[RECORD][:16] + "-" + _digest(manifest)[:16]
        folder = shelf / name
        arriving = shelf / f".{name}.{secrets.token_hex(6)}"
        try:
            _unpack_all(file, path, arriving, manifest, max_bytes)
            capsule = open_capsule(arriving)
            with contextlib.suppress(InputError):
                return open_capsule(folder)  # the same, with the replays that it had
            remove(folder)
            os.rename(arriving, folder)
        except OSError as error:
            raise InfrastructureError(f"{folder}: cannot be written ({error})") from error
        finally:
            remove(arriving)
    return replace(capsule, folder=folder)


def read_texts(path: Path) -> tuple[Manifest, TaskRecord, dict[str, bytes]]:
    """Read what a file says of itself, without unpacking it.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no capsule.
    """
    with _opened(path) as file:
        manifest, texts = _read_texts(file, path)
    try:
        return manifest, TaskRecord.from_json(texts[RECORD]), texts
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: got a record that cannot be read ({error})") from error


def _digest(manifest: Manifest) -> str:
    import hashlib

    return hashlib.sha256(manifest.to_json()).hexdigest()


def _members(capsule: Capsule) -> Iterator[tuple[str, Path]]:
    for name in sorted(capsule.manifest.files):
        yield name, capsule.folder / name
    for item in sorted(capsule.manifest.kept_inputs, key=lambda item: str(item.path)):
        place = capsule.folder / str(item.path)
        if item.is_folder:
            yield from ((f"{item.path}/{name}", file) for name, file in files_of(place))
        else:
            yield str(item.path), place


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type, info.create_system, info.external_attr = 8, 3, _REGULAR << 16
    return info


def _add(file: zipfile.ZipFile, name: str, source: Path) -> None:
    info = _member(name)
    info.file_size = source.stat().st_size  # so that a large one gets 64-bit fields
    with source.open("rb") as content, file.open(info, "w") as member:
        shutil.copyfileobj(content, member, BLOCK_BYTES)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose directory is of a size that may be read; turn its errors into ours."""
    if not path.exists():
        raise NotFoundError(f"capsule {path}: got no such file, want one")
    if not path.is_file():
        raise InputError(f"capsule {path}: got no regular file, want one")
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as file:
            yield file
    except DalsegnoError:
        raise
    except (*_BROKEN, OSError) as error:
        raise InputError(
            f"capsule {path}: got a file that is cut short, changed or no capsule ({error})"
        ) from error


def _check_directory(path: Path) -> None:
    with path.open("rb") as file:
        total = file.seek(0, os.SEEK_END)
        if total < _END.size:
            raise InputError(f"capsule {path}: got {total} bytes, want a capsule")
        file.seek(total - _END.size)
        mark, *_, members, size, _offset, comment = _END.unpack(file.read(_END.size))
        if mark != b"PK\x05\x06" or comment:
            raise InputError(f"capsule {path}: got a file that is cut short, or no capsule")
        if size == _IN_64_BITS or members == _IN_64_BITS & 0xFFFF:
            file.seek(max(0, total - _END.size - _END64_LOCATOR_BYTES - _END64_BYTES))
            end = file.read(_END64_BYTES)
            members, size = struct.unpack_from("<QQ", end, 32)
    if members > MAX_MEMBERS or size > _MAX_TEXT_BYTES:
        raise InputError(f"capsule {path}: got {members:,} members, want at most {MAX_MEMBERS:,}")


def _read_texts(file: zipfile.ZipFile, path: Path) -> tuple[Manifest, dict[str, bytes]]:
    manifest = Manifest.from_json(_read_text(file, MANIFEST, path), path)
    return manifest, {name: _read_text(file, name, path) for name in manifest.files}


def _read_text(file: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = file.getinfo(name)
    except KeyError as error:
        raise InputError(f"capsule {path}: {name} is missing, want a capsule") from error
    if info.file_size > _MAX_TEXT_BYTES:
        raise InputError(f"capsule {path}: {name} takes {info.file_size:,} bytes, want less")
    return file.read(info)


def _unpack_all(
    file: zipfile.ZipFile, path: Path, folder: Path, manifest: Manifest, max_bytes: int
) -> None:
    members = _checked(file, path, manifest)
    total = sum(info.file_size for info in members)
    if total > max_bytes:
        raise InputError(
            f"capsule {path}: takes {total:,} bytes unpacked, want at most {max_bytes:,}",
            f"dalsegno replay {path} --max-bytes {total}",
        )
    for item in manifest.kept_inputs:
        place = folder / str(item.path)
        (place if item.is_folder else place.parent).mkdir(parents=True, exist_ok=True)
    for info in members:
        target = folder / info.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open(info) as content, target.open("xb") as written:
            shutil.copyfileobj(content, written, BLOCK_BYTES)


def _checked(file: zipfile.ZipFile, path: Path, manifest: Manifest) -> list[zipfile.ZipInfo]:
    """Return the members to unpack; refuse any that the manifest does not announce."""
    announced = {MANIFEST, *manifest.files}
    folders = []
    for item in manifest.kept_inputs:
        if item.is_folder:
            folders.append(f"{item.path}/")
        else:
            announced.add(str(item.path))
    seen: set[str] = set()
    for info in file.infolist():
        name = check_key(info.filename)
        kind = info.external_attr >> 16 & 0o170000
        if kind not in (0, 0o100000):
            raise InputError(f"capsule {path}: {name!r} is a link or device, want regular files")
        if name in seen or not (name in announced or name.startswith(tuple(folders))):
            raise InputError(
                f"capsule {path}: {name!r} is not announced, want what the manifest has"
            )
        seen.add(name)
    return file.infolist()
