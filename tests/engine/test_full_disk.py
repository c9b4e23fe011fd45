"""A disk that is full: a clear error, a complete record, and nothing that hangs."""

import os

import pytest
from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.errors import InfrastructureError
from dalsegno.runs.reader import list_runs, read_task
from dalsegno.runs.record import State
from dalsegno.runs.room import SIZE_BYTES, Room
from dalsegno.store import open_store
from tests.engine import samples


@dsl.component(base_image=samples.IMAGE, install_kfp_package=False)
def fill(data: dsl.Output[dsl.Dataset]) -> None:
    with open(data.path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)


@dsl.pipeline(name="full")
def full() -> None:
    filled = fill()
    samples.read(data=filled.outputs["data"])
    fill()


@pytest.mark.parametrize("is_all_on_it", [False, True], ids=["store", "store-and-scratch"])
@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
def test_full_disk_fails_the_task_and_leaves_a_complete_record(
    small_disk, monkeypatch, is_cold, is_all_on_it
):
    store = open_store(str(small_disk / "store"))
    if is_all_on_it:
        (small_disk / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(small_disk / "tmp"))
    with WarmWorkers(is_cold=is_cold) as workers:
        run_pipeline(compile_object(full), {}, store, workers=workers)
    [record] = list_runs(store)
    assert (record.state, record.finished_at is not None) == (State.FAILED, True)
    states = {name: task.state for name, task in record.tasks.items()}
    assert states == {"fill": State.FAILED, "fill-2": State.FAILED, "read": State.SKIPPED}
    for name in ("fill", "fill-2"):
        assert "No space left on device" in read_task(store, record, name).error["message"]


def test_run_does_not_start_without_room_for_its_records(small_disk):
    with (small_disk / "ballast").open("wb") as file:
        found = os.statvfs(small_disk)
        file.write(b"x" * (found.f_bavail * found.f_frsize - SIZE_BYTES // 2))
    store = open_store(str(small_disk / "store"))
    with pytest.raises(InfrastructureError, match="less than 1 MiB of room") as caught:
        run_pipeline(compile_object(samples.with_child), {"pid_file": "unused"}, store)
    assert caught.value.next_command == f"df -h {small_disk}/store"
    assert list_runs(store) == []


def test_room_is_held_until_given_back(small_disk):
    def free() -> int:
        found = os.statvfs(small_disk)
        return found.f_bavail * found.f_frsize

    before = free()
    room = Room(small_disk)
    assert before - free() >= SIZE_BYTES
    assert room.give_back(100_000)
    assert before - free() < SIZE_BYTES - 100_000
    while room.give_back(100_000):
        pass
    assert free() == before
    assert list(small_disk.iterdir()) == []
    room.close()
