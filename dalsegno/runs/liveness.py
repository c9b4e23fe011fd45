"""Telling a process that still works from one that is gone."""

from __future__ import annotations

import functools
import os
import socket
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dalsegno.runs.record import Process

HEARTBEAT_SECONDS = 5.0
_SILENCE = timedelta(seconds=60)
_STARTED_FIELD = 19  # field 22 of /proc/<pid>/stat, counted after the command name


def this_process() -> Process:
    """Identify the current process."""
    return Process(os.getpid(), boot_id(), socket.gethostname(), _started_ticks(os.getpid()) or 0)


@functools.cache
def boot_id() -> str:
    """Identify this boot of this machine; without /proc, the machine alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"machine-{uuid.getnode():x}"


def is_lost(process: Process | None, heartbeat_at: str | None) -> bool:
    """Say whether a process that should be working is gone.

    On the same boot of the same machine the process table answers, at once. For any other
    machine the heartbeat does: silence of a minute counts as loss.
    """
    if process and process.boot_id == boot_id() and process.host == socket.gethostname():
        return not _is_alive(process)
    if heartbeat_at is None:
        return True
    return datetime.now(UTC) - datetime.fromisoformat(heartbeat_at) > _SILENCE


def _is_alive(process: Process) -> bool:
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    ticks = _started_ticks(process.pid)
    return ticks is None or not process.started_ticks or ticks == process.started_ticks


def _started_ticks(pid: int) -> int | None:
    """Clock ticks since boot at which a process started; None without /proc or for a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_STARTED_FIELD])
