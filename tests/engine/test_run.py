"""The engine plays compiled pipelines as a cluster would."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.errors import InputError
from dalsegno.runs.reader import find_run, read_log, read_task
from dalsegno.runs.record import State
from tests.engine import samples


@pytest.mark.parametrize(
    ("pipeline", "arguments", "output"),
    [
        pytest.param(samples.chain, {"a": 4}, 7, id="chain"),
        pytest.param(samples.artifacts, {}, "hello!:5", id="artifacts"),
        pytest.param(samples.branches, {"a": 1}, "one", id="if"),
        pytest.param(samples.branches, {"a": 2}, "two", id="elif"),
        pytest.param(samples.branches, {"a": 3}, "it's other", id="else"),
        pytest.param(samples.loops, {"n": 4}, 46, id="loop-collected"),
        pytest.param(samples.loops, {"n": 0}, 0, id="empty-loop"),
        pytest.param(samples.collected_artifacts, {}, "a,b,c", id="collected-artifacts"),
        pytest.param(samples.nested, {}, "deep:4", id="nested-artifact-input"),
        pytest.param(
            samples.all_types, {}, "int,int,bool,str,int,int,float,str,list,int", id="go-numbers"
        ),
        pytest.param(samples.all_optional, {}, "None/given/default", id="optional"),
        pytest.param(samples.all_optional, {"a": 5, "b": "x"}, "5/x/default", id="optional-given"),
    ],
)
def test_pipeline_ends_with_output(run, pipeline, arguments, output):
    record = run(pipeline, **arguments)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"] == output


def test_failure_stops_what_depends_on_it(run, store):
    record = run(samples.failing)
    states = {path: task.state for path, task in record.tasks.items()}
    assert record.state is State.FAILED
    assert states == {"add": "succeeded", "fail": "failed", "add-2": "skipped"}
    failed = read_task(store, record, "fail")
    assert failed.error["type"] == "ValueError"
    assert failed.error["message"] == "boom"
    assert failed.error["function"] == "fail"
    assert "about to fail" in read_log(store, failed)


def test_exit_task_runs_after_failure(run, store):
    record = run(samples.exits)
    last = read_task(store, record, "final-state")
    assert record.state is State.FAILED
    assert last.executor_output["parameterValues"]["Output"] == "FAILED:exit-handler-1"


def test_ignored_failure_still_fails_run(run):
    record = run(samples.ignores)
    assert record.state is State.FAILED
    assert record.tasks["final-state"].state is State.SUCCEEDED


def test_retry_keeps_every_attempt(run, store, tmp_path):
    record = run(samples.retries, marker=str(tmp_path / "marker"))
    assert record.state is State.SUCCEEDED
    assert read_task(store, record, "fail-below", 1).error["message"] == "try 1"
    assert read_task(store, record, "fail-below").attempt == 3


def test_killed_task_is_failed(run, store):
    record = run(samples.dying)
    assert record.state is State.FAILED
    task = read_task(store, record, "die")
    assert task.exit_code == -9
    assert "SIGKILL" in task.error["message"]


def test_independent_tasks_run_side_by_side(store):
    started = time.monotonic()
    record = run_pipeline(compile_object(samples.sleeping), {"seconds": 1.0}, store, jobs=4)
    assert record.state is State.SUCCEEDED
    assert time.monotonic() - started < 3.0  # one after the other would take four


def test_record_digests_inputs_and_outputs(run, store):
    record = run(samples.artifacts)
    written, read = (read_task(store, record, name) for name in ("write", "read"))
    assert written.outputs["data"] == read.inputs["data"]
    assert read.inputs["data"][0]["sha256"].startswith("2cf24dba5fb0a30e")  # SHA-256 of "hello"
    assert Path(written.outputs["data"][0]["uri"]).read_text() == "hello"


def test_importer_names_file_that_exists(run, tmp_path):
    source = tmp_path / "data.txt"
    source.write_text("content")
    assert run(samples.imported, uri=str(source)).outputs["parameters"]["Output"] == "content:7"
    assert run(samples.imported, uri=str(tmp_path / "none")).state is State.FAILED


def test_placeholder_gives_run_id(run):
    record = run(samples.job_name)
    assert record.outputs["parameters"]["Output"] == record.run_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"b": 1}, "got parameter 'b'", id="unknown"),
        pytest.param({"a": "x"}, "parameter 'a': got str \"x\", want an integer", id="wrong-type"),
        pytest.param({"a": 1.5}, "parameter 'a': got 1.5, want an integer", id="fraction"),
    ],
)
def test_wrong_arguments_are_refused(run, store, arguments, message):
    with pytest.raises(InputError, match=message.split(":")[0]) as caught:
        run(samples.chain, **arguments)
    assert message in str(caught.value)
    assert store.folders("runs") == []


def test_missing_argument_is_named(run):
    with pytest.raises(InputError, match=r"'marker' of pipeline 'retries': got nothing"):
        run(samples.retries)


def test_run_is_found_by_part_of_id(run, store):
    record = run(samples.chain)
    assert find_run(store, record.run_id[-6:]).run_id == record.run_id


def test_missing_module_says_where_to_install_it(run):
    record = run(samples.with_missing_module)
    assert "no_such_module_anywhere" in record.error
    assert "add it to this environment" in record.error


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
def test_standard_input_is_empty_as_in_a_pod(store, is_cold):
    pipeline = compile_object(samples.reads_input)
    with WarmWorkers(is_cold=is_cold) as workers:
        if not is_cold:
            workers.load([])
        record = run_pipeline(pipeline, {}, store, workers=workers)
    assert (record.state, record.outputs["parameters"]) == (State.SUCCEEDED, {"Output": ""})
