"""The prediction log: every answer goes to a file on this machine before anything else.

One `write` an answer: what was written outlives `kill -9`, because the kernel has it by then. The
disk is never waited for, so that a loss of power may cost what the kernel had not written yet.
Segments are sealed by age or size, and moved to the store by `mover`.

A segment is JSON lines of one release: a header, then one line an answer. It is locked as long as
somebody writes it; what is not locked is sealed, or left by a process that is gone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from dalsegno.errors import ConfigurationError

if TYPE_CHECKING:
    from dalsegno.serving.endpoint import Live, Prediction, Served

FORMAT = 1
SEGMENT = ".jsonl"
_UNFINISHED = ".new"
_SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class LogLimits:
    """How much of the log may wait on this machine, and for how long.

    Attributes:
        buffer_bytes: What may wait for the store; what comes after that is dropped, and counted.
        seal_seconds: Age at which a segment is moved to the store.
    """

    buffer_bytes: int = 1024**3
    seal_seconds: float = 10.0


@dataclass
class LogCounts:
    """What has become of the answers since the server started.

    Attributes:
        logged: Answers written.
        dropped: Answers that were not, because the buffer or the disk was full.
        shipped_rows: Rows that the store has.
        failed_shipments: Attempts to reach the store that failed.
        torn_lines: Lines that a crash had left unreadable.
        trouble: Why the last answer or segment got no further, "" if it did.
    """

    logged: int = 0
    dropped: int = 0
    shipped_rows: int = 0
    failed_shipments: int = 0
    torn_lines: int = 0
    trouble: str = ""


@dataclass
class _Segment:
    path: Path
    descriptor: int
    opened_at: float
    columns: tuple[str, ...]
    size_bytes: int = 0


class PredictionLog:
    """Appends answers to segments; every method may be called from any thread.

    Args:
        folder: Where segments are; servers may share it.
        redacted: Input columns that are never written.
        limits: How much may wait.

    Attributes:
        counts: What has become of the answers.
        buffered_bytes: What waits on this machine.

    Raises:
        ConfigurationError: The folder cannot be written.
    """

    def __init__(
        self, folder: Path, *, redacted: Collection[str] = (), limits: LogLimits | None = None
    ) -> None:
        self.folder = folder
        self.limits = limits or LogLimits()
        self.counts = LogCounts()
        self._redacted = frozenset(redacted)
        self._open: dict[tuple[str, int], _Segment] = {}
        self._lock = threading.Lock()
        self._writer = secrets.token_hex(6)
        self._segments = 0
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = f"prediction log {folder}: got {error.strerror}, want a folder"
            raise ConfigurationError(message) from error
        self.buffered_bytes = sum(_size(path) for path in segments(folder))

    def append(self, prediction: Prediction, live: Live | None = None, error: str = "") -> bool:
        """Write one answer; nothing is raised, and the store is never waited for.

        Args:
            prediction: The answer.
            live: Not needed here: callers tell everybody the same.
            error: Why the model gave none, where it failed.

        Returns:
            Whether it was written.
        """
        del live
        try:
            return self._append(prediction, error)
        except Exception as failure:  # a prediction that cannot be logged is answered all the same
            return self._drop(f"{type(failure).__name__}: {failure}")

    def seal(self, *, older_than_seconds: float = 0.0) -> None:
        """Close the segments that are old enough, so that they can be moved."""
        now = time.monotonic()
        with self._lock:
            old = {
                key: segment
                for key, segment in self._open.items()
                if now - segment.opened_at >= older_than_seconds
            }
            for key in old:
                del self._open[key]
        for segment in old.values():
            self._close(segment)

    def take_stock(self) -> bool:
        """Count anew what waits: other servers move segments, too.

        Returns:
            Whether there are segments that this process does not write.
        """
        with self._lock:
            found = segments(self.folder)
            self.buffered_bytes = sum(_size(path) for path in found)
            own = {segment.path for segment in self._open.values()}
        return any(path not in own for path in found)

    def _append(self, prediction: Prediction, error: str) -> bool:
        served = prediction.served
        key = (served.release.endpoint, served.release.number)
        with self._lock:
            if self.buffered_bytes >= self.limits.buffer_bytes:
                return self._drop(f"the buffer is full ({self.limits.buffer_bytes} bytes wait)")
            segment = self._open.get(key) or self._start(key, served)
            line = _line(prediction, segment.columns, error)
            self._write(segment, line)
            if segment.size_bytes >= _SEGMENT_BYTES:
                self._close(self._open.pop(key))
            self.counts.logged += 1
        return True

    def _start(self, key: tuple[str, int], served: Served) -> _Segment:
        """Begin a segment; it gets its name when it is locked, so that nobody moves it before."""
        endpoint, release = key
        self._segments += 1
        folder = self.folder / endpoint
        folder.mkdir(exist_ok=True, mode=0o700)
        path = folder / f"{release}-{self._writer}-{self._segments}{SEGMENT}"
        arriving = path.with_suffix(_UNFINISHED)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(arriving, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = self._header(served)
            columns = tuple(header["inputs"])
            segment = _Segment(path, descriptor, time.monotonic(), columns)
            self._write(segment, orjson.dumps(header) + b"\n")
            arriving.rename(path)
        except BaseException:
            os.close(descriptor)
            arriving.unlink(missing_ok=True)
            raise
        self._open[key] = segment
        return segment

    def _header(self, served: Served) -> dict[str, Any]:
        release, inputs = served.release, served.model.inputs
        return {
            "format": FORMAT,
            "endpoint": release.endpoint,
            "release": release.number,
            "model_sha256": release.model_sha256,
            "threshold": release.threshold,
            "inputs": {name: kind for name, kind in inputs.items() if name not in self._redacted},
            "redacted": sorted(self._redacted & inputs.keys()),
        }

    def _write(self, segment: _Segment, line: bytes) -> None:
        """Write a line whole, or leave nothing of it: a full disk may take half."""
        written = os.write(segment.descriptor, line)
        if written != len(line):
            os.ftruncate(segment.descriptor, segment.size_bytes)
            raise OSError(f"got {written} of {len(line)} bytes written, want all")
        segment.size_bytes += written
        self.buffered_bytes += written

    def _drop(self, why: str) -> bool:
        self.counts.dropped += 1
        self.counts.trouble = f"an answer was not logged: {why}"
        return False

    @staticmethod
    def _close(segment: _Segment) -> None:
        os.close(segment.descriptor)


def segments(folder: Path) -> list[Path]:
    """Return the segments of a log's folder, of every endpoint, oldest first."""
    found = [(_modified(path), path) for path in folder.glob(f"*/*{SEGMENT}")]
    return [path for modified, path in sorted(found) if modified]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another server has just moved it
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _line(prediction: Prediction, columns: tuple[str, ...], error: str) -> bytes:
    inputs = prediction.inputs
    rows = len(next(iter(inputs.values())))
    unknown = [None] * rows
    probabilities = unknown if error else prediction.probabilities.tolist()
    values = {
        name: unknown
        if name not in inputs
        else [inputs[name].item()]  # takes half of the time
        if rows == 1
        else inputs[name].ravel().tolist()
        for name in columns
    }
    record = {
        "id": prediction.id,
        "request": prediction.request_id,
        "at": int(prediction.at * 1e6),
        "role": prediction.served.role,
        "caller": prediction.caller,
        "key": prediction.key,
        "seconds": prediction.seconds,
        "error": error,
        "inputs": values,
        "probability": probabilities,
    }
    return orjson.dumps(record, default=_text) + b"\n"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
