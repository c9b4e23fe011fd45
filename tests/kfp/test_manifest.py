"""Runs read from the workflow manifest are the runs that they are."""

from __future__ import annotations

import pytest

from dalsegno.cluster.manifest import ManifestSource
from dalsegno.errors import NotFoundError
from dalsegno.runs.record import State
from tests.kfp.expected import PLAYED, defaults, given, values


@pytest.fixture
def source(api):
    return ManifestSource(api)


@pytest.mark.parametrize("retried", [False, True], ids=["plain", "attempts-everywhere"])
@pytest.mark.parametrize("name", PLAYED)
def test_manifest_gives_what_the_tasks_had(name, retried, play, kfp, source):
    there = play(name, retried=retried)
    kfp.add(there)
    reading = source.read(there.run_id)
    found = {(task.task, task.attempt): task for task in reading.tasks}
    assert set(found) == {(record.task, record.attempt) for record in there.records}
    for record in there.records:
        task = found[record.task, record.attempt]
        assert task.executor_input["outputs"] == record.executor_input["outputs"]
        assert given(task) == given(record)
        assert values(task) == defaults(record) | values(record)
        assert (task.image, task.command, task.args) == (record.image, record.command, record.args)
        assert task.component_spec == record.component_spec
        assert task.component == record.component
        assert task.state == record.state
    assert not reading.lacking
    assert reading.run.state == there.run.state
    assert reading.run.parameters == there.run.parameters
    assert reading.pipeline.spec == there.pipeline.spec


def test_manifest_unpacks_compressed_nodes(play, kfp, source):
    there = play("loops")
    kfp.add(there, workflow=there.workflow("compressed"))
    found = {task.task for task in source.read(there.run_id).tasks}
    assert found == {task.task for task in there.records}


def test_manifest_says_that_nodes_are_offloaded(play, kfp, source):
    there = play("chain")
    kfp.add(there, workflow=there.workflow("offloaded"))
    with pytest.raises(NotFoundError, match="offloaded to Argo's database"):
        source.read(there.run_id)


def test_manifest_lacks_cached_tasks(play, kfp, source):
    there = play("chain", cached=frozenset({"add"}))
    kfp.add(there)
    reading = source.read(there.run_id)
    assert reading.lacking == {"add": "it was taken from the cache"}
    assert reading.run.tasks["add"].state == "cached"


def test_manifest_keeps_every_attempt(play, kfp, source, tmp_path):
    there = play("retries", {"marker": str(tmp_path / "marker"), "tries": 3})
    kfp.add(there)
    tasks = source.read(there.run_id).tasks
    assert [(task.attempt, task.state) for task in tasks] == [
        (1, "failed"),
        (2, "failed"),
        (3, "succeeded"),
    ]
    assert tasks[0].error == {"type": "PodFailed", "message": "main: Error (exit code 1)"}
    assert tasks[0].exit_code == 1


def test_values_of_secrets_are_not_read(play, kfp, source):
    there = play("chain")
    kfp.add(there)
    assert all(not task.environment for task in source.read(there.run_id).tasks)


def test_run_that_has_not_started_is_pending_and_without_tasks(play, kfp, source):
    """CreateRun (resource_manager.go) keeps the workflow before Argo has given it a status."""
    there = play("chain")
    kfp.add(there, workflow={"metadata": {"name": there.workflow_name}})
    kfp.runs[there.run_id] |= {"state": "PENDING"}
    reading = source.read(there.run_id)
    assert (reading.run.state, reading.tasks) == (State.PENDING, [])
    kfp.runs[there.run_id] |= {"state": "FAILED"}
    with pytest.raises(NotFoundError, match="got no nodes in it"):
        source.read(there.run_id)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("inner-driver", "inner"),
        ("for-loop-1.iteration-driver", "for-loop-1"),
        ("for-loop-1.iteration-iterations(0:0).iteration-item-driver", "for-loop-1-iteration-0"),
    ],
)
def test_failed_driver_of_a_graph_is_told_by_the_graph(name, path, play, kfp, source):
    """Names of argocompiler/dag.go: `iterationItemTask` and what it asks of `task`."""
    there = play("chain")
    node = {
        "id": f"{there.workflow_name}-1",
        "name": f"{there.workflow_name}.root.{name}",
        "type": "Pod",
        "templateName": "system-dag-driver",
        "phase": "Failed",
        "message": "bad condition",
    }
    workflow = {"metadata": {"name": there.workflow_name}, "status": {"nodes": {"1": node}}}
    kfp.add(there, workflow=workflow)
    tasks = source.read(there.run_id).run.tasks
    assert {key: item.error for key, item in tasks.items()} == {path: "bad condition"}
