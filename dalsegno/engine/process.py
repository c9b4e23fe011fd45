"""Starts one process a task and waits for it; no process outlives the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        exit_code: Negative when a signal ended it.
        logic_seconds: Time in the component's own function, where known.
        error: What failed, as `executor.describe_error` tells it.
    """

    exit_code: int
    logic_seconds: float | None
    error: dict[str, Any] | None


async def run_worker(
    request: dict[str, Any], log_path: Path, environment: dict[str, str], on_start: Any
) -> Outcome:
    """Play a request in a fresh Python process, its output going to a log file.

    Args:
        request: What `worker.play` reads: source, function, executor_input, outcome.
        log_path: Where standard output and error go.
        environment: The whole environment of the process.
        on_start: Called with the process id.
    """
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-u",
            "-m",
            "dalsegno.engine.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        await on_start(process.pid)
        assert process.stdin is not None  # noqa: S101 (asked for above)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        exit_code = await process.wait()
    finally:
        await _end_group(process)
    return read_outcome(Path(request["outcome"]), exit_code)


def read_outcome(path: Path, exit_code: int) -> Outcome:
    """Read what a worker wrote; a worker that wrote nothing did not end by itself."""
    try:
        written = json.loads(path.read_text())
    except FileNotFoundError:
        return Outcome(exit_code, None, {"type": "ProcessDied", "message": _died(exit_code)})
    error = written["error"]
    if exit_code and not error:
        error = {"type": "ProcessDied", "message": _died(exit_code)}
    return Outcome(exit_code, written["seconds"], error)


def _died(exit_code: int) -> str:
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the task's process was ended by {name}{hint}"
    return f"the task's process ended with exit code {exit_code} before the task did"


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End what is left of a task's process group, politely first if the task still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
