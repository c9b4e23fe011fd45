"""How long `dalsegno demo` takes and how much memory, beside the work of its tasks alone.

Run: `.venv/bin/python -m benchmarks.whole_demo`. Memory is the proportional set size of all its
processes together, sampled 20 times a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

WANTED_SECONDS, WANTED_MEBIBYTES = 60, 2048
WANTED_SHARE, WANTED_SECONDS_A_TASK = 1.25, 0.3


def play(folder: Path) -> tuple[float, float]:
    """Run the demo; give its seconds and its peak memory in MiB."""
    command = [str(Path(sys.executable).with_name("dalsegno")), "demo", str(folder)]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory_bytes(root))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"the demo ended with exit code {process.returncode}")
    return time.perf_counter() - start, peak / 2**20


def _memory_bytes(root: psutil.Process) -> int:
    total = 0
    with suppress(psutil.Error):
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total


def judge(name: str, measured: float, most: float) -> dict[str, Any]:
    """Make a line of the summary."""
    wanted = f"<= {most:.1f}"
    return {
        "figure": name,
        "measured": round(measured, 1),
        "wanted": wanted,
        "ok": measured <= most,
    }


def main() -> int:
    """Print the figures; exit 1 when one is missed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "demo"
        seconds, mebibytes = play(folder)
        steps = json.loads((folder / "demo.json").read_text())["steps"]
    tasks = [task for step in steps for task in step["tasks"].values() if task["attempts"]]
    logic = sum(task["logic_seconds"] or 0 for task in tasks)
    bound = WANTED_SHARE * logic + WANTED_SECONDS_A_TASK * len(tasks)
    figures = [
        judge("demo, seconds", seconds, WANTED_SECONDS),
        judge(f"demo, seconds beside {len(tasks)} tasks' own {logic:.1f} s", seconds, bound),
        judge("demo, peak memory of all processes, MiB", mebibytes, WANTED_MEBIBYTES),
    ]
    sys.stdout.write(json.dumps({"figures": figures}) + "\n")
    return 0 if all(figure["ok"] for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
