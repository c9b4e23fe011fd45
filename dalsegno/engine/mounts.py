"""Puts folders at absolute paths for one process, without touching the machine's own tree.

Linux only: the process gets a mount namespace of its own (and, unless it is root, a user
namespace, in which it keeps its ids). Where a path is not there and cannot be bound over, the
process gets a root folder in which everything of the old one is bound, and the path besides.
Standard library alone: a worker loads this file in environments that have nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Any

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE, _REMOUNT, _READ_ONLY = 4096, 16384, 1 << 18, 32, 1
# Flags of a mount that a remount in a user namespace must repeat: statvfs' bit, mount's bit.
_KEPT_FLAGS = ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))


def enter(mounts: list[dict[str, Any]], root: Path, kept: list[str]) -> None:
    """Give this process, which must have one thread, its own view of the file system.

    Args:
        mounts: `source` (absolute, there), `target` (absolute) and `is_read_only` of each.
        root: An empty folder that becomes the new root where one is needed.
        kept: Paths that stay in sight where a mount would hide them (`/tmp`, say).

    Raises:
        OSError: The kernel refuses, or this is not Linux.
    """
    targets = {os.path.realpath(item["target"]): item for item in mounts}
    missing = [Path(target) for target in targets if not os.path.exists(target)]
    hidden = [path for path in kept if any(_is_below(path, target) for target in targets)]
    _unshare()
    _mount(None, "/", _RECURSIVE | _PRIVATE)
    prefix = ""
    if missing or hidden:
        prefix = str(root)
        _mount("tmpfs", prefix, 0, "tmpfs")
        _replicate(Path("/"), root, _tree(missing))
    for target, item in sorted(targets.items(), key=lambda pair: pair[0].count("/")):
        _bind(item["source"], prefix + target)
    for path in hidden:
        _bind(path, prefix + path)
    for target, item in targets.items():
        if item.get("is_read_only"):
            _make_read_only(prefix + target)
    if prefix:
        here = os.getcwd()
        os.chroot(root)
        os.chdir(here)


def own_paths() -> list[str]:
    """List what this interpreter and our own code need at their paths."""
    return [str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix, *sys.path]


def _is_below(path: str, folder: str) -> bool:
    return os.path.exists(path) and Path(path).is_relative_to(folder)


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", ctypes.c_int(_NEW_MOUNTS))
        return
    except PermissionError:
        _call("unshare", ctypes.c_int(_NEW_MOUNTS | _NEW_USERS))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _tree(paths: list[Path]) -> dict[str, Any]:
    """Arrange paths as nested folders."""
    tree: dict[str, Any] = {}
    for path in paths:
        folder = tree
        for part in path.parts[1:]:
            folder = folder.setdefault(part, {})
    return tree


def _replicate(old: Path, new: Path, opened: dict[str, Any]) -> None:
    """Bind the entries of a folder into a new one, and make those that are not there."""
    entries = list(os.scandir(old)) if old.is_dir() else []
    for entry in entries:
        target = new / entry.name
        if entry.is_symlink() and entry.name not in opened:
            target.symlink_to(os.readlink(entry))
        elif opened.get(entry.name) and entry.is_dir():
            target.mkdir()
            _replicate(Path(entry.path), target, opened[entry.name])
        else:
            with contextlib.suppress(OSError):  # what cannot be bound is not seen
                _bind(entry.path, str(target))
    for name in set(opened) - {entry.name for entry in entries}:
        (new / name).mkdir()
        _replicate(old / name, new / name, opened[name])


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    _mount(source, target, _BIND | _RECURSIVE)


def _make_read_only(target: str) -> None:
    flags = os.statvfs(target).f_flag
    kept = sum(bit for seen, bit in _KEPT_FLAGS if flags & seen)
    _mount(None, target, _BIND | _REMOUNT | _READ_ONLY | kept)


def _mount(source: str | None, target: str, flags: int, kind: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), None, subject=target)


def _call(name: str, *arguments: Any, subject: str | None = None) -> None:
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except AttributeError as error:
        raise OSError(f"{name}: not on this operating system") from error
    if function(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}", subject)
