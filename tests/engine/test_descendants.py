"""Whatever a task starts ends with it, daemons too; what it prints is bounded."""

from __future__ import annotations

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.reader import list_runs, read_log, read_task
from dalsegno.runs.record import RunRecord, State
from dalsegno.store import Store, open_store
from tests.engine import samples
from tests.engine.test_faults import is_gone, start, wait_for


def play(component: object, store: Store, *, is_cold: bool, **arguments: object) -> RunRecord:
    with WarmWorkers(is_cold=is_cold) as workers:
        workers.load([])
        return run_pipeline(compile_object(component), arguments, store, workers=workers)


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize(
    ("ending", "state"),
    [("done", State.SUCCEEDED), ("killed", State.FAILED), ("forked", State.FAILED)],
)
def test_daemon_ends_with_its_task(tmp_path, store, ending, state, is_cold):
    pid_file = tmp_path / "pid"
    record = play(
        samples.leave_daemon, store, is_cold=is_cold, pid_file=str(pid_file), ending=ending
    )
    assert record.state is state
    wait_for(lambda: is_gone(int(pid_file.read_text())), 5)


def test_daemon_ends_with_a_stopped_run(tmp_path, store):
    pid_file = tmp_path / "pid"
    engine = start(tmp_path, samples.stopped_daemon, store.uri, str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    engine.terminate()
    engine.wait(15)
    wait_for(lambda: is_gone(int(pid_file.read_text())), 5)
    [record] = list_runs(store)
    assert record.state is State.CANCELLED


def test_daemon_ends_with_a_killed_engine(tmp_path, store):
    pid_file = tmp_path / "pid"
    engine = start(tmp_path, samples.stopped_daemon, store.uri, str(pid_file))
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    engine.kill()
    engine.wait()
    wait_for(lambda: is_gone(int(pid_file.read_text())), 5)


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
def test_big_output_of_a_process_is_bounded(store, is_cold):
    record = play(samples.print_much, store, is_cold=is_cold)
    log = read_log(store, read_task(store, record, "print-much"))
    assert record.state is State.SUCCEEDED
    assert 2**26 <= len(log) < 2**26 + 100_000
    assert log.endswith("the end\n")


def test_log_on_a_full_disk_ends_and_the_task_goes_on(small_disk):
    record = play(samples.print_much, open_store(str(small_disk / "store")), is_cold=True)
    assert record.state is State.SUCCEEDED
