"""How long `dalsegno --help` takes as a whole process, beside a bare interpreter.

Run: `.venv/bin/python -m benchmarks.cli_help`. The two take turns. Wanted: a median of at most
0.4 s.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPETITIONS = 20
WANTED_SECONDS = 0.4
COMMANDS = {
    "dalsegno --help": [str(Path(sys.executable).with_name("dalsegno")), "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def clock(command: list[str]) -> float:
    """Give the seconds from start to end of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Give the median seconds of each command; a first round only warms up the disk's cache."""
    rounds = [[clock(each) for each in COMMANDS.values()] for _ in range(REPETITIONS + 1)][1:]
    columns = zip(*rounds, strict=True)
    return dict(zip(COMMANDS, map(statistics.median, columns), strict=True))


def figures(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Judge the median."""
    measured = seconds["dalsegno --help"]
    return [
        {
            "figure": "dalsegno --help, seconds",
            "measured": round(measured, 3),
            "wanted": f"<= {WANTED_SECONDS}",
            "ok": measured <= WANTED_SECONDS,
        }
    ]


def main() -> int:
    """Print both medians; exit 1 when the command takes too long."""
    seconds = measure()
    judged = figures(seconds)
    rounded = {name: round(each, 3) for name, each in seconds.items()}
    print(json.dumps({"median_seconds": rounded, "figures": judged}), flush=True)
    return 0 if all(figure["ok"] for figure in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
