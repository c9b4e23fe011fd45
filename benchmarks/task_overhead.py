"""What a trivial task costs with its record, beside plain `kfp.local`.

Run: `.venv/bin/python -m benchmarks.task_overhead`. All kinds take turns within each repetition:
the engine with cold processes (`cold`), the engine as it comes (`warm`), and `kfp.local` with
`SubprocessRunner(use_venv=False)`. Wanted: the median of `warm` is at most 1.1 of `kfp.local`'s.
"""

import contextlib
import io
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp import dsl

from benchmarks import kfp_local
from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.spec import Pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import State
from dalsegno.store import open_store

REPETITIONS, CHAIN = 20, 10
WANTED_RATIO = 1.1
KINDS = ("cold", "warm", "kfp.local")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@dsl.pipeline(name="one")
def one() -> int:
    """Run one task."""
    return add(a=1, b=1).output


@dsl.pipeline(name="chain")
def chain() -> int:
    """Run tasks that each wait for the one before."""
    task = add(a=1, b=1)
    for _ in range(CHAIN - 1):
        task = add(a=task.output, b=1)
    return task.output


def play_here(pipeline: Pipeline, folder: Path, *, is_cold: bool) -> None:
    """Run a pipeline with its record in a store of its own."""
    with WarmWorkers(is_cold=is_cold) as workers:
        record = run_pipeline(pipeline, {}, open_store(str(folder)), workers=workers)
    assert record.state is State.SUCCEEDED


def play_there(pipeline: Callable[[], Any], folder: Path) -> None:
    """Run a pipeline by `kfp.local`."""
    kfp_local.start(folder)
    assert pipeline().outputs


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what `kfp.local` prints and logs."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def measure(pipeline: Any, repetitions: int) -> dict[str, list[float]]:
    """Give the seconds of each run of each kind; the kinds take turns."""
    compiled = compile_object(pipeline)
    play: dict[str, Callable[[Path], None]] = {
        "cold": lambda folder: play_here(compiled, folder, is_cold=True),
        "warm": lambda folder: play_here(compiled, folder, is_cold=False),
        "kfp.local": lambda folder: play_there(pipeline, folder),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for repetition in range(-1, repetitions):
        for kind in KINDS[repetition % 3 :] + KINDS[: repetition % 3]:
            with tempfile.TemporaryDirectory() as folder, silence():
                start = time.perf_counter()
                play[kind](Path(folder))
                end = time.perf_counter()
            if repetition >= 0:  # the first round only warms up
                seconds[kind].append(end - start)
    return seconds


def summarise(name: str, tasks: int, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Give medians a task in milliseconds, and their ratios to the peer's."""
    medians = {kind: 1000 * statistics.median(seconds[kind]) / tasks for kind in KINDS}
    ratios = {kind: medians[kind] / medians["kfp.local"] for kind in KINDS[:2]}
    return {
        "pipeline": name,
        "runs": len(seconds["cold"]),
        "milliseconds_a_task": {kind: round(each, 1) for kind, each in medians.items()},
        "ratio": {kind: round(each, 3) for kind, each in ratios.items()},
    }


def results(repetitions: int) -> Iterator[dict[str, Any]]:
    """Measure one task, and a chain of them."""
    for pipeline, tasks in ((one, 1), (chain, CHAIN)):
        yield summarise(pipeline.name, tasks, measure(pipeline, repetitions))


def main() -> int:
    """Print one JSON line a pipeline; exit 1 when the engine is slower than wanted."""
    is_reached = True
    for line in results(int(os.environ.get("REPETITIONS", REPETITIONS))):
        figures = [
            {
                "figure": f"{line['pipeline']}: a {kind} task beside kfp.local",
                "measured": line["ratio"][kind],
                "wanted": f"<= {WANTED_RATIO}",
                "ok": line["ratio"][kind] <= WANTED_RATIO,
            }
            for kind in KINDS[:2]
        ]
        is_reached &= all(figure["ok"] for figure in figures)
        print(json.dumps({**line, "figures": figures}), flush=True)
    return 0 if is_reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
