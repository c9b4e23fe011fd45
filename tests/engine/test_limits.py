"""What would break a cluster's limits is told by name, once, and runs here."""

from dataclasses import replace

import pytest
from kfp import dsl, kubernetes

from dalsegno.cli.pipelines import compile_object, load_pipeline
from dalsegno.engine.left_out import left_out
from dalsegno.engine.limits import ARGUMENT_BYTES, input_warnings, task_warnings, warnings_for
from dalsegno.runs.record import State

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def length(text: str) -> int:
    return len(text)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def repeat(times: int) -> str:
    return "x" * times


@dsl.pipeline
def passing(times: int) -> int:
    return length(text=repeat(times=times).output).output


@dsl.pipeline
def wide() -> None:
    for _ in range(51):
        length(text="x")


@dsl.pipeline
def looping() -> None:
    with dsl.ParallelFor([str(number) for number in range(51)]) as text:
        length(text=text)


@dsl.pipeline
def settled() -> int:
    task = length(text="x").set_cpu_limit("1")
    kubernetes.add_toleration(task, key="k", operator="Exists")
    kubernetes.add_node_selector(task, "disk", "ssd")
    kubernetes.set_image_pull_policy(task, "Always")
    return task.output


@dsl.pipeline
def limited() -> int:
    task = length(text="x").set_cpu_limit("1")
    kubernetes.set_security_context(task, run_as_non_root=True)
    return task.output


def test_large_parameter_is_named_and_runs(run):
    record = run(passing, times=ARGUMENT_BYTES)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"] == ARGUMENT_BYTES
    (notice,) = record.notices
    assert "executor input of task 'length' takes 128 KiB" in notice
    assert "parameter 'text' alone 128 KiB" in notice


def test_small_pipeline_is_told_nothing(run):
    assert run(passing, times=10).notices == []


@pytest.mark.parametrize(("extra", "is_told"), [(0, False), (1, True)])
def test_limit_of_an_argument_is_exact(extra, is_told):
    empty = len('{"inputs":{"parameterValues":{"a":""}}}')
    value = "x" * (ARGUMENT_BYTES - empty + extra)
    told = input_warnings("task", {"inputs": {"parameterValues": {"a": value}}})
    assert bool(told) is is_told


def test_many_tasks_are_told():
    assert "has 51 tasks" in task_warnings(compile_object(wide), 0)[0]
    assert task_warnings(compile_object(passing), 50) == []


def test_iterations_of_a_loop_count_as_tasks(run):
    assert "has 51 tasks" in run(looping).notices[0]


def test_large_arguments_and_specs_are_told():
    pipeline = compile_object(passing)
    label = next(iter(pipeline.spec["deploymentSpec"]["executors"]))
    container = pipeline.spec["deploymentSpec"]["executors"][label]["container"]
    container["command"][-1] += "#" * 2_000_000
    told = warnings_for(replace(pipeline, text="#" * 33_600_000), {"times": "9" * 140_000})
    assert [text.split(" take")[0] for text in told] == [
        "limit: pipeline 'passing'",
        "limit: the command of component 'length' has an argument of 1.9 MiB, Linux",
        "limit: the arguments of pipeline 'passing'",
    ]
    assert "workflow of pipeline 'passing'" in warnings_for(pipeline, {})[0]


def test_settings_without_meaning_are_told_in_one_line(run):
    record = run(settled)
    assert record.state is State.SUCCEEDED
    assert record.notices == left_out(compile_object(settled))
    assert record.notices == [
        "not applied on this machine: node selectors, tolerations, image pull policy; "
        "in processes: resources"
    ]


def test_settings_that_containers_apply_are_told_of_processes_alone():
    pipeline = compile_object(limited)
    assert left_out(pipeline) == ["not applied in processes: security contexts, resources"]
    assert left_out(pipeline, "container") == []


@pytest.mark.parametrize("name", ["feature", "training", "inference", "monitoring", "loop"])
def test_note_of_our_own_pipelines_is_short(name):
    (note,) = left_out(load_pipeline(name))
    assert len(note) < 80
