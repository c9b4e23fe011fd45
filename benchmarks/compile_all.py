"""How long `dalsegno compile` takes for every pipeline and component, as a whole process.

Run: `.venv/bin/python -m benchmarks.compile_all`. Wanted: a median of at most 5 s.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPETITIONS = 5
WANTED_SECONDS = 5


def clock(folder: str) -> float:
    """Give the seconds of one compilation into a folder."""
    command = [Path(sys.executable).with_name("dalsegno"), "compile", "--output", folder]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Print the median; exit 1 when it is too long."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = [clock(folder) for _ in range(REPETITIONS + 1)][1:]
        files = len(list(Path(folder).iterdir()))
    measured = statistics.median(seconds)
    figure = {
        "figure": f"compile {files} pipelines and components, seconds",
        "measured": round(measured, 2),
        "wanted": f"<= {WANTED_SECONDS}",
        "ok": measured <= WANTED_SECONDS,
    }
    rounded = [round(each, 2) for each in seconds]
    print(json.dumps({"seconds": rounded, "figures": [figure]}), flush=True)
    return 0 if figure["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
