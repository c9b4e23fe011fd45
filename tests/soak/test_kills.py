"""`kill -9` at random moments, SOAK_KILLS times in all: the store reads true, the next try works.

A third each hits a run, a process below a run, and a server that follows releases. Batches are
tests of their own, each in a store of its own; a batch's number seeds its moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dalsegno import releases
from dalsegno.runs.reader import list_runs, task_records
from dalsegno.runs.record import RunRecord, State
from dalsegno.serving.client import infer, wait_until_ready
from dalsegno.serving.process import ServerProcess
from dalsegno.store import Store
from tests.engine import samples
from tests.engine.test_faults import kill_at_random
from tests.engine.test_faults import start as start_run
from tests.serving.conftest import Promote, Start
from tests.serving.test_server import FRAME, expected

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("SOAK_KILLS", "1000"))
BATCH = 25
BIASES = (0.0, 0.5)

Run = Callable[..., RunRecord]


def batches(kills: int) -> Any:
    """Parametrize a test by the seed and the kills of its batches."""
    sizes = [min(BATCH, kills - done) for done in range(0, kills, BATCH)]
    cases = [pytest.param(seed, size, id=f"{seed}-{size}") for seed, size in enumerate(sizes)]
    return pytest.mark.parametrize(("seed", "kills"), cases)


@batches(KILLS - 2 * (KILLS // 3))
def test_killed_runs(tmp_path: Path, store: Store, run: Run, seed: int, kills: int) -> None:
    for number in range(kills):
        kill_at_random(tmp_path, store, BATCH * seed + number)
        assert run(samples.artifacts).state is State.SUCCEEDED


@batches(KILLS // 3)
def test_killed_tasks(tmp_path: Path, store: Store, run: Run, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    done = 0
    while done < kills:
        engine = start_run(tmp_path, samples.artifacts, store.uri)
        done += kill_below(engine, chance)
        assert engine.wait(60) == 0
        check_final(store)
        assert run(samples.artifacts).state is State.SUCCEEDED


def kill_below(engine: subprocess.Popen[bytes], chance: random.Random) -> bool:
    """Wait for a run's first process, then a random time; kill one, and say if there was any."""
    above = psutil.Process(engine.pid)
    while not list_below(above):
        if engine.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.2))
    below = list_below(above)
    if not below:
        return False
    try:
        chance.choice(below).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def list_below(above: psutil.Process) -> list[psutil.Process]:
    """List all processes of a run but its own; none when it is gone."""
    try:
        return above.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def check_final(store: Store) -> None:
    """A run outlives its tasks: every record is final, and what it says of files is true."""
    for record in list_runs(store):
        tasks = list(task_records(store, record))
        assert record.state in {State.SUCCEEDED, State.FAILED}
        assert all(task.state in {State.SUCCEEDED, State.FAILED} for task in tasks)
        has_failed = any(task.state is State.FAILED for task in tasks)
        assert has_failed == (record.state is State.FAILED), record.error
        for task in tasks:
            for item in [item for items in task.outputs.values() for item in items]:
                if task.state is State.SUCCEEDED:
                    assert Path(item["uri"]).stat().st_size == item["size_bytes"]


@batches(KILLS // 3)
def test_killed_servers(
    store: Store, promote: Promote, start: Start, seed: int, kills: int
) -> None:
    chance = random.Random(seed)
    promote(BIASES[1])
    for number in range(kills):
        victim = start(wait=False)
        time.sleep(chance.uniform(0, 0.4))
        made = promote(BIASES[number % 2])
        time.sleep(chance.uniform(0, 0.4))
        victim.kill()
        assert [each.number for each in releases.history(store, "titanic")][-1] == made.number
        check_server(start(), made)


def check_server(server: ServerProcess, live: releases.Release) -> None:
    """A server that starts after a kill serves the live release, and nothing else."""
    wait_until_ready(server.url, endpoint="titanic", release=live.number)
    answer = infer(server.url, "titanic", FRAME)
    bias = BIASES[live.number % 2]
    assert answer["release"].tolist() == [live.number] * len(FRAME)
    assert answer["probability"].tolist() == pytest.approx(expected(bias), abs=1e-6)
    assert server.stop() == 0
