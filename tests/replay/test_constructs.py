"""Any task of any construct can be played again, and does what its record says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dalsegno.errors import InputError, NotFoundError
from dalsegno.replay.build import build_capsule
from dalsegno.replay.find import find_task, resolve_task
from dalsegno.replay.play import play, prepare_replay
from dalsegno.replay.recorded import fetch_into
from dalsegno.replay.shelf import place_of
from dalsegno.replay.verdict import Ending, judge
from dalsegno.runs.reader import task_records
from dalsegno.runs.record import State
from dalsegno.store import open_store
from tests.engine import samples
from tests.replay import broad

DETERMINISTIC = {
    "chain": (samples.chain, {}),
    "artifacts": (samples.artifacts, {}),
    "condition": (samples.branches, {"a": 1}),
    "elif": (samples.branches, {"a": 2}),
    "else": (samples.branches, {"a": 3}),
    "loop": (samples.loops, {}),
    "collected artifacts": (samples.collected_artifacts, {}),
    "nested": (samples.nested, {}),
    "exit handler": (samples.exits, {}),
    "ignored failure": (samples.ignores, {}),
    "types": (samples.all_types, {}),
    "optional": (samples.all_optional, {}),
    "placeholder": (samples.job_name, {}),
    "failure": (samples.failing, {}),
    "missing module": (samples.with_missing_module, {}),
    "broad": (broad.broad, {}),
    "loops in loops": (broad.loops_in_loops, {}),
    "formatted text": (broad.formatted, {}),
    "workspace": (broad.in_workspace, {}),
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_deterministic_task_reproduces(name, run, store, replay, capsule_of, tmp_path):
    pipeline, arguments = DETERMINISTIC[name]
    record = run(pipeline, **arguments)
    played = [task for task in task_records(store, record) if task.executor == "process"]
    assert played
    for task in played:
        address = f"{record.run_id}/{task.task}/{task.attempt}"
        outcome = replay(address)
        verdict = judge(capsule_of(address), outcome, fetch_into(tmp_path, store))
        wanted = Ending.REPRODUCED if task.state.is_success else Ending.FAILURE_REPRODUCED
        assert verdict.ending is wanted, (task.task, verdict)


def test_task_in_loop_has_its_own_item(run, replay):
    record = run(samples.loops)
    tasks = sorted(path for path in record.tasks if path.endswith("/add"))
    assert [replay(f"{record.run_id}/{path}").parameters["Output"] for path in tasks] == [
        10,
        11,
        12,
    ]


def test_exit_task_sees_recorded_status(run, replay):
    record = run(samples.exits)
    assert replay(f"{record.run_id}/final-state").parameters["Output"] == "FAILED:exit-handler-1"


def test_each_attempt_has_its_own_capsule(run, replay, tmp_path):
    marker = tmp_path / "marker"
    record = run(samples.retries, marker=str(marker), tries=3)
    assert record.tasks["fail-below"].attempts == 3
    marker.write_text("")
    first = replay(f"{record.run_id}/fail-below/1")
    assert first.error["message"] == "try 1"
    assert replay(f"{record.run_id}/fail-below/3").folder.parts[-3:] == ("3", "replays", "1")


def test_importer_is_refused_by_name(run, store, replay, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("imported")
    record = run(samples.imported, uri=str(data))
    with pytest.raises(InputError, match="importer, which runs no code"):
        find_task(store, f"{record.run_id}/importer")
    assert replay(f"{record.run_id}/read").parameters["Output"] == "imported:7"


def test_artifact_in_workspace_is_read_from_the_capsule(run, replay, tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("imported")
    record = run(broad.imported_into_workspace, uri=str(data))
    assert replay(f"{record.run_id}/read-path").parameters["Output"] == "imported7"


def test_artifact_of_no_store_is_metadata_alone(run, store, replay, capsule_of, tmp_path):
    record = run(samples.imported, uri="oci://registry.example/model")
    outcome = replay(f"{record.run_id}/read")
    verdict = judge(capsule_of(f"{record.run_id}/read"), outcome, fetch_into(tmp_path, store))
    assert verdict.ending is Ending.FAILURE_REPRODUCED


def test_line_is_found_below_a_folder_named_kfp(tmp_path):
    from dalsegno.cli.pipelines import compile_object
    from dalsegno.engine.run import run_pipeline

    store = open_store(str(tmp_path / "kfp" / "store"))
    record = run_pipeline(compile_object(samples.failing), {}, store)
    run, task = find_task(store, record.run_id)
    capsule = build_capsule(store, run, task, place_of(store, task))
    outcome = play(prepare_replay(capsule))
    assert judge(capsule, outcome, fetch_into(tmp_path, store)).ending is Ending.FAILURE_REPRODUCED


def test_replay_leaves_the_run_alone(run, store, replay):
    record = run(samples.artifacts)
    before = {item.key: store.get(item.key) for item in store.list(f"runs/{record.run_id}")}
    replay(f"{record.run_id}/write")
    replay(f"{record.run_id}/read")
    assert {item.key: store.get(item.key) for item in store.list(f"runs/{record.run_id}")} == before


def test_run_alone_means_its_failed_task(run, store):
    record = run(samples.failing)
    assert find_task(store, record.run_id)[1].task == "fail"
    assert find_task(store, record.run_id[-6:])[1].task == "fail"


def test_run_without_failure_wants_a_task_named(run, store):
    record = run(samples.chain)
    with pytest.raises(InputError, match=r"no failed task \(succeeded\).* add, add-2"):
        find_task(store, record.run_id)


@pytest.mark.parametrize("name", ["read", "inner/read"])
def test_nested_task_goes_by_its_end(name, run, store):
    record = run(samples.nested)
    assert find_task(store, f"{record.run_id}/{name}")[1].task == "inner/read"


def test_ambiguous_name_lists_who_could_be_meant(run, store):
    record = run(samples.loops)
    with pytest.raises(InputError, match=r"got 3 tasks, want one of for-loop.*/add, for-loop"):
        find_task(store, f"{record.run_id}/add")


def test_unknown_task_lists_the_known(run, store):
    record = run(samples.chain)
    with pytest.raises(NotFoundError, match=r"did you mean 'add-2'\?\), known are add, add-2"):
        find_task(store, f"{record.run_id}/ad-2")


def test_unknown_task_of_a_running_run_may_come_yet(run, store):
    record = replace(run(samples.chain), state=State.RUNNING)
    with pytest.raises(NotFoundError, match=r"not found while the run is still running, known so"):
        resolve_task(record, "later")


def test_skipped_task_says_why_it_never_ran(run, store):
    record = run(samples.failing)
    with pytest.raises(NotFoundError, match=r"skipped before it started \(.*did not succeed"):
        find_task(store, f"{record.run_id}/add-2")


def test_default_values_apply(run, replay):
    record = run(samples.chain)
    assert replay(f"{record.run_id}/add-2").parameters["Output"] == 4


def test_task_of_compiled_yaml_has_its_source(tmp_path: Path, store, replay):
    from kfp import compiler

    from dalsegno.cli.pipelines import load_pipeline
    from dalsegno.engine.run import run_pipeline

    path = tmp_path / "chain.yaml"
    compiler.Compiler().compile(samples.chain, str(path))
    record = run_pipeline(load_pipeline(str(path)), {}, store)
    assert replay(f"{record.run_id}/add").parameters["Output"] == 3
