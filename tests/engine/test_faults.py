"""Runs that are killed or stopped leave a true record and no orphan."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.runs.reader import list_runs, read_task, task_records
from dalsegno.runs.record import State
from tests.engine import samples

PLAY = """
import sys
from pathlib import Path
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.spec import parse_pipeline
from dalsegno.store import open_store
arguments = {"pid_file": sys.argv[3]} if len(sys.argv) > 3 else {}
text = Path(sys.argv[1]).read_text()
run_pipeline(parse_pipeline(text, "p"), arguments, open_store(sys.argv[2]), jobs=2)
"""


def start(tmp_path: Path, component: object, store_uri: str, *more: str) -> subprocess.Popen[bytes]:
    compiled = tmp_path / "pipeline.yaml"
    compiled.write_text(compile_object(component).text)
    command = [sys.executable, "-P", "-c", PLAY, str(compiled), store_uri, *more]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_killed_run_is_lost_and_its_children_die(tmp_path, store):
    pid_file = tmp_path / "pid"
    engine = start(tmp_path, samples.with_child, store.uri, str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    grandchild = int(pid_file.read_text())
    engine.kill()
    engine.wait()
    wait_for(lambda: is_gone(grandchild), 5)
    [record] = list_runs(store)
    assert record.state is State.LOST
    assert record.tasks["leave-child"].state is State.LOST
    task = read_task(store, record, "leave-child")
    assert (task.state, task.boot_id is not None) == (State.LOST, True)
    wait_for(lambda: is_gone(task.pid), 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stopped_run_is_cancelled_with_complete_record(tmp_path, store, number):
    pid_file = tmp_path / "pid"
    engine = start(tmp_path, samples.with_child, store.uri, str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    engine.send_signal(number)
    engine.wait(15)
    [record] = list_runs(store)
    assert (record.state, record.finished_at is not None) == (State.CANCELLED, True)
    assert record.tasks["leave-child"].state is State.CANCELLED
    assert is_gone(int(pid_file.read_text()))


def test_killed_task_process_fails_its_run(tmp_path, store):
    pid_file = tmp_path / "pid"
    engine = start(tmp_path, samples.with_child, store.uri, str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    [running] = list_runs(store)
    assert running.state is State.RUNNING
    os.kill(read_task(store, running, "leave-child").pid, signal.SIGKILL)
    engine.wait(15)
    [record] = list_runs(store)
    assert record.state is State.FAILED
    assert "SIGKILL" in record.error
    assert is_gone(int(pid_file.read_text()))


def kill_at_random(tmp_path: Path, store, seed: int) -> None:
    """Kill a run somewhere in its life; whatever lies in the store must read and be true."""
    chance = random.Random(seed)
    engine = start(tmp_path, samples.artifacts, store.uri)
    try:
        engine.wait(chance.uniform(0.05, 0.8))
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()
    for record in list_runs(store):
        assert record.state in {State.LOST, State.SUCCEEDED}
        for task in task_records(store, record):
            assert task.state in {State.LOST, State.SUCCEEDED, State.CACHED}
            for item in [item for items in task.outputs.values() for item in items]:
                assert Path(item["uri"]).stat().st_size == item["size_bytes"]


def test_run_killed_at_any_moment_leaves_true_record(tmp_path, store, run):
    for seed in range(8):
        kill_at_random(tmp_path, store, seed)
    assert run(samples.artifacts).state is State.SUCCEEDED
