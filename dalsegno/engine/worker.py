"""The process of one task: reads a request on standard input, plays it, writes what came of it.

Standard input stays open as long as the engine lives. When it closes, the engine is gone and the
worker ends itself together with everything that it started (its process group).
"""

from __future__ import annotations

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
    request = json.loads(sys.stdin.buffer.readline())
    die_with(sys.stdin.fileno())
    sys.exit(play(request))


def die_with(lifeline: int) -> None:
    """Kill this process group as soon as the other end of a pipe is closed."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def play(request: dict[str, Any]) -> int:
    """Run one task and write its outcome to the `outcome` file of the request.

    Returns:
        Exit code: 0, or 1 when the task's own code failed.
    """
    from dalsegno.engine.executor import describe_error, load

    error: dict[str, Any] | None = None
    started = time.perf_counter()
    try:
        execute = load(Path(request["source"]), request["function"], request["executor_input"])
        started = time.perf_counter()
        execute()
    except SystemExit as stop:
        if stop.code not in {None, 0}:
            error = {**describe_error(stop), "message": f"the task exited with {stop.code!r}"}
    except BaseException as caught:
        traceback.print_exc()
        error = describe_error(caught)
    _write(Path(request["outcome"]), {"error": error, "seconds": time.perf_counter() - started})
    return 1 if error else 0


def _write(path: Path, outcome: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(outcome))
    partial.replace(path)


if __name__ == "__main__":
    main()
