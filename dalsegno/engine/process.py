"""Starts one process a task and waits for it; no process outlives the engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.engine.descendants import Known, descendants, end, marked
from dalsegno.engine.log import logged
from dalsegno.engine.mounts import own_paths
from dalsegno.engine.play import Outcome, Play, Started
from dalsegno.engine.spec import lightweight_source
from dalsegno.errors import ConfigurationError

if TYPE_CHECKING:
    from dalsegno.engine.warm import WarmWorkers

GRACE_SECONDS = 5.0
_OUTCOME_BYTES = 2**14  # held for what a task says at its end, which may be that the disk is full


async def play_process(work: Play, workers: WarmWorkers, on_start: Started) -> Outcome:
    """Play a Python component as a process here, through KFP's own executor.

    Raises:
        ConfigurationError: The component is not Python, or its module is not here.
    """
    source = lightweight_source(tuple(work.command))
    if source is None and work.module is None:
        raise ConfigurationError(
            f"task {work.name!r}: got a container component ({work.image}), "
            "want a lightweight Python component",
            "dalsegno run ... --in auto",
        )
    source_path = work.module.path if work.module else work.scratch / "ephemeral_component.py"
    if source is not None:
        source_path.write_text(source)
    outcome = work.scratch / "outcome.json"
    outcome.with_suffix(".partial").write_bytes(b" " * _OUTCOME_BYTES)
    request: dict[str, Any] = {
        "source": str(source_path),
        "function": work.args[work.args.index("--function_to_execute") + 1],
        "executor_input": work.local,
        "outcome": str(outcome),
    }
    if work.mounts:
        (work.scratch / "root").mkdir()
        request["root"] = str(work.scratch / "root")
        request["mounts"] = [{**vars(mount), "source": str(mount.source)} for mount in work.mounts]
        request["kept"] = _kept(work)
    environment = {**work.host_environment, **work.environment}
    if work.module:  # it defines a component, for which kfp must be whole: no warm worker has that
        request["paths"] = [str(work.module.path.parent), str(work.module.root)]
        environment = {"_KFP_RUNTIME": "false", **work.environment}
        environment = {**work.host_environment, **environment}
    if work.python or work.module:
        return await run_worker(request, work.log_path, environment, on_start, work.python)
    return await workers.run(request, work.log_path, environment, on_start)


def _kept(work: Play) -> list[str]:
    """List what a task needs at its path, also where a mount would hide it."""
    artifacts = [
        item["uri"]
        for group in (work.local["inputs"], work.local["outputs"])
        for found in group.get("artifacts", {}).values()
        for item in found["artifacts"]
    ]
    folders = [work.scratch, Path(work.local["outputs"]["outputFile"]).parent, Path.cwd()]
    folders += [work.python.parent.parent] if work.python else []
    folders += [work.module.path.parent, work.module.root] if work.module else []
    paths = [*map(str, folders), *own_paths(), *(uri for uri in artifacts if "://" not in uri)]
    return [path for path in dict.fromkeys(paths) if path.startswith("/")]


async def run_worker(
    request: dict[str, Any],
    log_path: Path,
    environment: dict[str, str],
    on_start: Started,
    python: Path | None = None,
) -> Outcome:
    """Play a request in a fresh Python process, its output going to a log file.

    Args:
        request: What `worker.play` reads: source, function, executor_input, outcome.
        log_path: Where standard output and error go.
        environment: The whole environment of the process.
        on_start: Called with the process id.
        python: Interpreter to start; default: this one. It needs kfp, but not this package.
    """
    mark = f"_DALSEGNO_WORKER={secrets.token_hex(8)}"
    async with logged(log_path) as output:
        process = await asyncio.create_subprocess_exec(
            python or sys.executable,
            "-P",
            "-u",
            str(Path(__file__).with_name("worker.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=output.fd,
            stderr=output.fd,
            env={**environment, **dict([mark.split("=")])},
            start_new_session=True,
        )
        output.leave()
        try:
            exit_code = await _wait(process, request, on_start)
        finally:
            if not Path(request["outcome"]).exists():
                end(marked(mark))  # it was ended before it could end what it had started
    return read_outcome(Path(request["outcome"]), exit_code)


async def _wait(
    process: asyncio.subprocess.Process, request: dict[str, Any], on_start: Started
) -> int:
    try:
        await on_start(process.pid)
        assert process.stdin is not None  # noqa: S101 (asked for above)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        return await process.wait()
    finally:
        await _end_group(process)


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
    left: Known = {}
    if process.returncode is None:
        left = descendants(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    end(left)
    await process.wait()
