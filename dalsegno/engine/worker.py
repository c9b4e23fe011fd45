"""The process of one task: reads a request on standard input, plays it, writes what came of it.

Standard input stays open as long as the engine lives. When it closes, the engine is gone and the
worker ends itself together with everything that it started (its process group).

This file, `executor.py`, `mounts.py` and `descendants.py` also run by their paths, in an
interpreter that has kfp and what a component named, but not this package: above their functions
they import nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    """Play the request that comes as the first line of standard input."""
    with contextlib.suppress(ImportError):  # while the engine still writes its records
        _sibling("executor").load_kfp()
    request = json.loads(sys.stdin.buffer.readline())
    refused = enter_mounts(request)
    adopt()
    die_with(sys.stdin.fileno())
    exit_code = play(request, refused)
    end_descendants()
    sys.exit(exit_code)


def adopt() -> None:
    """Keep what the task starts within reach, even daemons."""
    _sibling("descendants").adopt()


def end_descendants() -> None:
    """End what the task started and left behind."""
    _sibling("descendants").end_own()


def enter_mounts(request: dict[str, Any]) -> dict[str, Any] | None:
    """Put the folders of a request where the task expects them, while there is one thread.

    Returns:
        The error, in the form of an outcome, if this machine does not allow it.
    """
    if not request.get("mounts"):
        return None
    try:
        _sibling("mounts").enter(request["mounts"], Path(request["root"]), request["kept"])
    except OSError as error:
        targets = ", ".join(item["target"] for item in request["mounts"])
        message = f"mount at {targets}: got {error}, want it in a container: --in container"
        return {"type": "MountRefused", "message": message}
    return None


def die_with(lifeline: int) -> None:
    """Kill this process group as soon as the other end of a pipe is closed.

    The task finds nothing to read in the pipe's place, as in a pod: what reads its standard input
    goes on.
    """
    held = os.dup(lifeline)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, lifeline)
    os.close(nothing)

    def watch() -> None:
        os.read(held, 1)
        try:
            end_descendants()
        finally:
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def play(request: dict[str, Any], refused: dict[str, Any] | None = None) -> int:
    """Run one task and write its outcome to the `outcome` file of the request.

    Args:
        refused: Why the task cannot run at all, from `enter_mounts`.

    Returns:
        Exit code: 0, or 1 when the task's own code failed.
    """
    if refused:
        _write(Path(request["outcome"]), {"error": refused, "seconds": 0.0})
        return 1
    executor = _sibling("executor")
    sys.path[:0] = request.get("paths", [])
    error: dict[str, Any] | None = None
    started = time.perf_counter()
    try:
        execute = executor.load(
            Path(request["source"]), request["function"], request["executor_input"]
        )
        started = time.perf_counter()
        execute()
    except SystemExit as stop:
        if stop.code not in {None, 0}:
            error = {
                **executor.describe_error(stop),
                "message": f"the task exited with {stop.code!r}",
            }
    except BaseException as caught:
        traceback.print_exc()
        error = executor.describe_error(caught)
    _write(Path(request["outcome"]), {"error": error, "seconds": time.perf_counter() - started})
    return 1 if error else 0


def _sibling(name: str) -> Any:
    if __package__:
        return importlib.import_module(f"{__package__}.{name}")
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"dalsegno_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python module at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write(path: Path, outcome: dict[str, Any]) -> None:
    """Write into the file that the engine has made large enough: the disk may be full by now."""
    partial = path.with_suffix(".partial")
    with partial.open("r+b") as file:
        file.write(json.dumps(outcome).encode())
        file.truncate()
    partial.replace(path)


if __name__ == "__main__":
    main()
