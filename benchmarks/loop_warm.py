"""The Titanic loop beside the sum of its tasks' own logic, the workers being warm.

Run: `.venv/bin/python -m benchmarks.loop_warm`. The loop runs once to warm the workers, then
REPETITIONS times in fresh stores, nothing cached. Wanted: the median of wall time over the sum of
`logic_seconds` is at most 1.10.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path
from unittest import mock

from dalsegno.cli.pipelines import load_pipeline
from dalsegno.cli.running import start
from dalsegno.engine.run import ignore
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import RunRecord, State

REPETITIONS = 3
WANTED_RATIO = 1.10


def play(workers: WarmWorkers) -> RunRecord:
    """Run the loop in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"DALSEGNO_STORE_URI": str(Path(folder) / "store")}
        with mock.patch.dict(os.environ, settings):
            record = start(
                load_pipeline("loop"),
                {},
                jobs=None,
                listener=ignore,
                workers=workers,
                is_caching=False,
            )
    assert record.state is State.SUCCEEDED, record.error
    return record


def main() -> int:
    """Print one JSON line; exit 1 when the loop is slower than wanted."""
    with WarmWorkers() as workers:
        first, *rest = [
            play(workers) for _ in range(1 + int(os.environ.get("REPETITIONS", REPETITIONS)))
        ]
    walls = [record.seconds or 0.0 for record in rest]
    logic = [sum(task.logic_seconds or 0.0 for task in record.tasks.values()) for record in rest]
    ratio = round(statistics.median(wall / own for wall, own in zip(walls, logic, strict=True)), 3)
    figure = {
        "figure": "the loop, warm, beside its tasks' own logic",
        "measured": ratio,
        "wanted": f"<= {WANTED_RATIO}",
        "ok": ratio <= WANTED_RATIO,
    }
    seconds = {
        "first": first.seconds,
        "wall": [round(each, 2) for each in walls],
        "logic": [round(each, 2) for each in logic],
    }
    print(json.dumps({"seconds": seconds, "figures": [figure]}), flush=True)
    return 0 if figure["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
