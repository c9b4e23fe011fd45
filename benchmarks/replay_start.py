"""How long from the replay command to the first line of the task's own code.

Run: `.venv/bin/python -m benchmarks.replay_start`. Inputs are local: a task without any, and one
with a file of 64 MiB, each with its capsule built anew and taken as it is. Wanted: a median of at
most 1.0 s for each. Named peers, on 2 cores: Metaflow `spin` 1.3-1.7 s, ZenML `replay` 1.4 s.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPETITIONS = 7
WANTED_SECONDS = 1.0
DALSEGNO = str(Path(sys.executable).with_name("dalsegno"))
PIPELINE = """
from kfp import dsl


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make(data: dsl.Output[dsl.Dataset]):
    import os

    with open(data.path, "wb") as file:
        file.write(os.urandom(64 * 1024 * 1024))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def large(data: dsl.Input[dsl.Dataset]) -> int:
    import time
    print("first line", time.monotonic())
    import os

    return os.path.getsize(data.path)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def light(a: int) -> int:
    import time
    print("first line", time.monotonic())
    return a


@dsl.pipeline
def timed():
    light(a=1)
    large(data=make().outputs["data"])
"""


def start_seconds(task: str, environment: dict[str, str]) -> float:
    """Give the seconds from the command to the first line of the task's code."""
    begun = time.monotonic()
    command = [DALSEGNO, "replay", f"timed/{task}", "--no-verdict"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    line = next(line for line in done.stdout.splitlines() if line.startswith("first line"))
    return float(line.split()[2]) - begun


def measure(folder: Path) -> dict[str, float]:
    """Give the median seconds of each case."""
    (folder / "timed.py").write_text(PIPELINE)
    store = folder / "store"
    cache = str(folder / "cache")
    environment = {**os.environ, "DALSEGNO_STORE_URI": str(store), "XDG_CACHE_HOME": cache}
    command = [DALSEGNO, "run", str(folder / "timed.py"), "--json"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    found: dict[str, list[float]] = {}
    for number in range(REPETITIONS + 1):
        for task in ("light", "large"):
            shutil.rmtree(store / "capsules", ignore_errors=True)
            for case in ("capsule built", "capsule reused"):
                seconds = start_seconds(task, environment)
                if number:  # the first round warms up the disk's cache
                    found.setdefault(f"{task}, {case}", []).append(seconds)
    return {name: statistics.median(each) for name, each in found.items()}


def figures(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Judge every case."""
    return [
        {
            "figure": f"replay to first line ({name}), seconds",
            "measured": round(each, 3),
            "wanted": f"<= {WANTED_SECONDS}",
            "ok": each <= WANTED_SECONDS,
        }
        for name, each in seconds.items()
    ]


def main() -> int:
    """Print the medians; exit 1 when one takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        judged = figures(measure(Path(folder)))
    print(json.dumps({"figures": judged}), flush=True)
    return 0 if all(figure["ok"] for figure in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
