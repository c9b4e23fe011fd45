"""What the engine itself costs: tasks side by side, and a pipeline of many tasks.

Run: `.venv/bin/python -m benchmarks.scheduling`. Four independent tasks that sleep for two seconds
run here and by `kfp.local`, taking turns. A pipeline of 300 tasks (10 chains of 30) runs warm; the
engine's time is the processor time of its own process (`time.process_time`), the tasks being
processes of their own. Memory is that process' resident set after a third and at the end.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from kfp import dsl

from benchmarks.task_overhead import add, play_there, silence
from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import State
from dalsegno.store import open_store

REPETITIONS, CHAINS, LENGTH = 3, 10, 30
TASKS = CHAINS * LENGTH
WANTED_SECONDS, WANTED_MILLISECONDS, WANTED_GROWTH = 2.5, 10.0, 1.1


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def sleep(number: int) -> int:
    """Sleep for two seconds."""
    import time

    time.sleep(2)
    return number


@dsl.pipeline(name="sleepers")
def sleepers() -> None:
    """Run four tasks that wait for nothing."""
    for number in range(4):
        sleep(number=number)


@dsl.pipeline(name="many")
def many() -> None:
    """Run ten chains of thirty tasks."""
    for chain in range(CHAINS):
        task = add(a=chain, b=1)
        for _ in range(LENGTH - 1):
            task = add(a=task.output, b=1000)


def sleep_here(folder: Path) -> None:
    """Run the sleepers by the engine, four at once."""
    with WarmWorkers() as workers:
        record = run_pipeline(compiled, {}, open_store(str(folder)), workers=workers, jobs=4)
    assert record.state is State.SUCCEEDED


compiled = compile_object(sleepers)


def measure_sleepers(repetitions: int) -> dict[str, float]:
    """Give the median seconds here and there."""
    kinds = {"here": sleep_here, "kfp.local": lambda folder: play_there(sleepers, folder)}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repetitions):
        for kind, play in kinds.items():
            with tempfile.TemporaryDirectory() as folder, silence():
                start = time.perf_counter()
                try:
                    play(Path(folder))
                except AssertionError:
                    if kind == "here":
                        raise  # the peer returns no outputs of a pipeline that has none
                seconds[kind].append(time.perf_counter() - start)
    return {kind: round(statistics.median(found), 2) for kind, found in seconds.items()}


def measure_many() -> dict[str, Any]:
    """Give the engine's own time a task, the wall time, and its memory along the way."""
    process = psutil.Process()
    memory: list[int] = []
    pipeline = compile_object(many)

    def listen(event: Any) -> None:
        if event.state == "succeeded":
            memory.append(process.memory_info().rss)

    with tempfile.TemporaryDirectory() as folder, WarmWorkers() as workers:
        began, cpu = time.perf_counter(), time.process_time()
        record = run_pipeline(
            pipeline, {}, open_store(folder), workers=workers, listener=listen, is_caching=False
        )
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert record.state is State.SUCCEEDED
    assert len(memory) == TASKS
    return {
        "tasks": TASKS,
        "engine_milliseconds_a_task": round(1000 * cpu / TASKS, 2),
        "wall_milliseconds_a_task": round(1000 * wall / TASKS, 2),
        "memory_mib": [round(memory[index] / 2**20, 1) for index in (TASKS // 3, TASKS - 1)],
    }


def main() -> int:
    """Print one JSON line; exit 1 when a figure is missed."""
    slept = measure_sleepers(int(os.environ.get("REPETITIONS", REPETITIONS)))
    found = measure_many()
    growth = round(found["memory_mib"][1] / found["memory_mib"][0], 3)
    engine = found["engine_milliseconds_a_task"]
    figures = [
        {
            "figure": f"four 2 s tasks side by side, seconds (kfp.local {slept['kfp.local']})",
            "measured": slept["here"],
            "wanted": f"<= {WANTED_SECONDS}",
            "ok": slept["here"] <= WANTED_SECONDS,
        },
        {
            "figure": f"engine time a task of {TASKS}, ms",
            "measured": engine,
            "wanted": f"<= {WANTED_MILLISECONDS}",
            "ok": engine <= WANTED_MILLISECONDS,
        },
        {
            "figure": f"memory after {TASKS} tasks beside {TASKS // 3}",
            "measured": growth,
            "wanted": f"<= {WANTED_GROWTH}",
            "ok": growth <= WANTED_GROWTH,
        },
    ]
    print(json.dumps({"sleepers": slept, **found, "figures": figures}), flush=True)
    return 0 if all(figure["ok"] for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
