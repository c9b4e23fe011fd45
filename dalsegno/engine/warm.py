"""The engine's side of the forkserver."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dalsegno.engine.descendants import Known, descendants, end
from dalsegno.engine.forkserver import QUIET
from dalsegno.engine.log import logged
from dalsegno.engine.play import Outcome, Started
from dalsegno.engine.preload import is_heavy
from dalsegno.engine.process import GRACE_SECONDS, read_outcome, run_worker
from dalsegno.registry import SWITCHES

# Read by an interpreter or a native library only when it starts: a fork would not see them.
_READ_AT_START = ("PYTHON", "LD_", "OMP_", "OPENBLAS_", "MKL_", "MALLOC_", "KMP_", "ARROW_")


class WarmWorkers:
    """Forks a process a task where that is safe, and starts a cold one where it is not.

    A task that needs no heavy module does not wait for one that is just being loaded: until all
    are, it starts cold.

    Use as a context manager; it can serve several runs, one after the other.

    Args:
        is_cold: Never fork.
    """

    def __init__(self, *, is_cold: bool = False) -> None:
        self.is_cold = is_cold or not Path("/proc/self/task").is_dir()
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._started: dict[int, Future[int | None]] = {}
        self._ended: dict[int, Future[int]] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._commands: socket.socket | None = None
        self._is_loading = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._commands and self._server:
            self._commands.close()
            self._server.wait()
            self._reader.join()
            if self._server.stdout:
                self._server.stdout.close()

    def load(self, sources: list[str]) -> None:
        """Ask for what components import to be loaded ahead, in this order, between tasks.

        Args:
            sources: Of lightweight components.
        """
        if not self.is_cold:
            self._start()
            self._is_loading = bool(sources)
            self._send({"load": sources})

    async def run(
        self,
        request: dict[str, Any],
        log_path: Path,
        environment: dict[str, str],
        on_start: Started,
    ) -> Outcome:
        """Play a request in a process of its own; see `process.run_worker`."""
        is_cold = self.is_cold or self._server is None or _needs_fresh_start(environment)
        if is_cold or (self._is_loading and not is_heavy(Path(request["source"]).read_text())):
            return await run_worker(request, log_path, environment, on_start)
        number = next(self._ids)
        started, ended = self._started.setdefault(number, Future()), Future[int]()
        self._ended[number] = ended
        lifeline, ours = os.pipe()
        try:
            async with logged(log_path) as output:
                command = {"id": number, "request": request, "environment": environment}
                sent = await asyncio.to_thread(self._send, command, [output.fd, lifeline])
                output.leave()
                os.close(lifeline)
                pid = await asyncio.wrap_future(started) if sent else None
                exit_code = await _wait(pid, ended, on_start) if pid is not None else None
        finally:
            os.close(ours)
        if exit_code is None:
            return await run_worker(request, log_path, environment, on_start)
        return read_outcome(Path(request["outcome"]), exit_code)

    def _start(self) -> None:
        if self._server is not None:
            return
        self._commands, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-P",
                    "-u",
                    "-m",
                    "dalsegno.engine.forkserver",
                    str(theirs.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **QUIET, **SWITCHES, "_KFP_RUNTIME": "true"},
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="forkserver", daemon=True)
        self._reader.start()

    def _send(self, command: dict[str, Any], fds: list[int] | None = None) -> bool:
        assert self._commands is not None  # noqa: S101 (started before anything is sent)
        data = json.dumps(command).encode() + b"\n"
        with self._lock, suppress(OSError):
            sent = socket.send_fds(self._commands, [data], fds or [])
            self._commands.sendall(data[sent:])
            return True
        return False

    def _read(self) -> None:
        """Hand on what the forkserver says, until it is gone."""
        assert self._server is not None and self._server.stdout is not None  # noqa: S101, PT018
        for line in self._server.stdout:
            message = json.loads(line)
            if "pid" in message or "refused" in message:
                self._started.pop(message["id"]).set_result(message.get("pid"))
            elif "loaded" in message:
                self._is_loading = False
            elif "exit_code" in message:
                self._ended.pop(message["id"]).set_result(message["exit_code"])
        for never_started in self._started.values():
            never_started.set_result(None)
        for never_ended in self._ended.values():
            never_ended.set_result(-signal.SIGKILL)
        self.is_cold = True


async def _wait(pid: int, ended: Future[int], on_start: Started) -> int:
    try:
        await on_start(pid)
        return await asyncio.shield(asyncio.wrap_future(ended))
    finally:
        await _end_group(pid, ended)


async def _end_group(pid: int, ended: Future[int]) -> None:
    left: Known = {}
    if not ended.done():
        left = descendants(pid)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ended)), GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    end(left)


def _needs_fresh_start(environment: dict[str, str]) -> bool:
    return any(
        os.environ.get(name) != value
        for name, value in environment.items()
        if name.startswith(_READ_AT_START)
    )
