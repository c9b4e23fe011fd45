"""Finds and ends what a process started, also what has left its session (a daemon).

Linux only; elsewhere nothing is found, and a process group is all that can be ended. Standard
library alone: a worker loads this file in environments that have nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable

_SET_CHILD_SUBREAPER = 36
_PARENT, _STARTED = 1, 19  # fields of /proc/<pid>/stat, counted after the command name
_PATIENCE_SECONDS = 2.0

Known = dict[int, int]
"""Processes by id, each with its start (clock ticks), as an id may be used again."""


def adopt() -> None:
    """Become the parent of every descendant whose own parent ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(*pids: int) -> Known:
    """Return all that some processes started and that still lives."""
    parents: dict[int, tuple[int, int]] = {}
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
                parents[int(name)] = int(fields[_PARENT]), int(fields[_STARTED])
    found: Known = {}
    layer = set(pids)
    while layer := {child for child, (parent, _) in parents.items() if parent in layer}:
        found.update({child: parents[child][1] for child in layer})
    return found


def marked(mark: str) -> Known:
    """Return all that were started with a text in their environment, and all that they forked."""
    found: Known = {}
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environment:
                if mark.encode() in environment.read():
                    found[int(name)] = _started(int(name))
    return found


def end(known: Known) -> None:
    """Kill processes, unless their ids are others' by now."""
    for pid, started in known.items():
        with contextlib.suppress(OSError):
            if _started(pid) == started:
                os.kill(pid, signal.SIGKILL)


def end_own(spared: Iterable[int] = ()) -> None:
    """Kill all descendants of this process but some children and what is theirs, and reap them."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (doomed := _own(set(spared))) and time.monotonic() < deadline:
        end(doomed)
        for pid in doomed:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _own(spared: set[int]) -> Known:
    if not has_children():
        return {}
    kept = spared | set(descendants(*spared))
    return {pid: ticks for pid, ticks in descendants(os.getpid()).items() if pid not in kept}


def _started(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[_STARTED])


def has_children() -> bool:
    """Whether this process has any child, and does so at next to no cost."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
