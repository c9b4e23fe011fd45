"""A task's log file: what the task prints, as it comes, up to a bound."""

from __future__ import annotations

import asyncio
import io
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

MOST_BYTES = 64 * 2**20
_TAIL_BYTES = 2**20
_CHUNK = 65536
_GIVEN_BACK_BYTES = 262144
_STRAGGLER_SECONDS = 1.0


class BoundedLog:
    """Writes the first 63 MiB of an output at once, and its last 1 MiB when it ends.

    An output that never ends so fills no disk. A full disk ends the log, never the task.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._file: io.FileIO | None = path.open("ab", buffering=0)
        self._tail_bytes = min(_TAIL_BYTES, most_bytes // 2)
        self._room = most_bytes - self._tail_bytes
        self._tail: deque[bytes] = deque()
        self._held = self._dropped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._dropped:
            self._put(f"\n[dalsegno: {self._dropped} bytes of output left out here]\n".encode())
        for chunk in self._tail:
            self._put(chunk)
        if self._file:
            self._file.close()

    def write(self, data: bytes) -> None:
        """Take what the task printed."""
        now, later = data[: self._room], data[self._room :]
        self._room -= len(now)
        self._put(now)
        if later:
            self._tail.append(later)
            self._held += len(later)
        while self._held - len(self._tail[0] if self._tail else b"") >= self._tail_bytes:
            left_out = self._tail.popleft()
            self._held -= len(left_out)
            self._dropped += len(left_out)

    def note(self, text: str) -> None:
        """Write a line of our own."""
        self.write(f"[dalsegno: {text}]\n".encode())

    def _put(self, data: bytes) -> None:
        try:
            while self._file and data:
                data = data[self._file.write(data) :]
        except OSError:
            self._give_back()

    def _give_back(self) -> None:
        """End the log, and leave some of its room on a full disk to the records."""
        if self._file:
            with suppress(OSError):
                self._file.truncate(max(0, self._file.tell() - _GIVEN_BACK_BYTES))
            self._file.close()
            self._file = None


@asynccontextmanager
async def logged(path: Path) -> AsyncIterator[Output]:
    """Keep what processes print to `fd` of the output, until they and this block are done."""
    with BoundedLog(path) as log:
        output = Output(log)
        try:
            yield output
        finally:
            await output.finish()


class Output:
    """A pipe that processes print to.

    Attributes:
        fd: Its writing end, for the processes; close it with `leave` once they have it.
        log: Where it goes.
    """

    def __init__(self, log: BoundedLog) -> None:
        self.log = log
        self._read, self.fd = os.pipe()
        os.set_blocking(self._read, False)
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self._take)

    def leave(self) -> None:
        """Leave the writing end to the processes that have it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    async def finish(self) -> None:
        """Wait for the last output; not for long, as a stray child may hold the pipe."""
        self.leave()
        try:
            async with asyncio.timeout(_STRAGGLER_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self.log.note("something that the task started still held its output when it ended")
        finally:
            self._end()

    def _take(self) -> None:
        try:
            data = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self.log.write(data)
        else:
            self._end()

    def _end(self) -> None:
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            os.close(self._read)
            self._read = -1
        self._ended.set()
