"""Runs read from the workflow manifest are the runs that they are."""

from __future__ import annotations

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.manifest import ManifestSource
from dalsegno.errors import NotFoundError
from tests.engine import samples
from tests.kfp.answers import ClusterRun
from tests.kfp.server import FakeKfp, serve

PLAYED = [
    "chain",
    "artifacts",
    "branches",
    "loops",
    "collected_artifacts",
    "nested",
    "exits",
    "failing",
    "all_types",
    "all_optional",
]


@pytest.fixture
def kfp():
    return FakeKfp()


@pytest.fixture
def source(kfp):
    with serve(kfp) as url:
        yield ManifestSource(KfpApi(ClusterAccess(url, timeout_seconds=5)))


def play(name, run, store, **options):
    pipeline = compile_object(getattr(samples, name))
    return ClusterRun.of(run(pipeline), store, pipeline, **options)


def given(task):
    return task.executor_input.get("inputs", {}).get("artifacts", {})


def values(task):
    return task.executor_input.get("inputs", {}).get("parameterValues", {})


def defaults(task):
    parameters = task.component_spec.get("inputDefinitions", {}).get("parameters", {})
    return {
        name: definition["defaultValue"]
        for name, definition in parameters.items()
        if "defaultValue" in definition
    }


@pytest.mark.parametrize("retried", [False, True], ids=["plain", "attempts-everywhere"])
@pytest.mark.parametrize("name", PLAYED)
def test_manifest_gives_what_the_tasks_had(name, retried, run, store, kfp, source):
    there = play(name, run, store, retried=retried)
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


def test_manifest_unpacks_compressed_nodes(run, store, kfp, source):
    there = play("loops", run, store)
    kfp.add(there, workflow=there.workflow("compressed"))
    found = {task.task for task in source.read(there.run_id).tasks}
    assert found == {task.task for task in there.records}


def test_manifest_says_that_nodes_are_offloaded(run, store, kfp, source):
    there = play("chain", run, store)
    kfp.add(there, workflow=there.workflow("offloaded"))
    with pytest.raises(NotFoundError, match="offloaded to Argo's database"):
        source.read(there.run_id)


def test_manifest_lacks_cached_tasks(run, store, kfp, source):
    there = play("chain", run, store, cached=frozenset({"add"}))
    kfp.add(there)
    reading = source.read(there.run_id)
    assert reading.lacking == {"add": "it was taken from the cache"}
    assert reading.run.tasks["add"].state == "cached"


def test_manifest_keeps_every_attempt(run, store, kfp, source, tmp_path):
    pipeline = compile_object(samples.retries)
    local = run(pipeline, marker=str(tmp_path / "marker"), tries=3)
    there = ClusterRun.of(local, store, pipeline)
    kfp.add(there)
    tasks = source.read(there.run_id).tasks
    assert [(task.attempt, task.state) for task in tasks] == [
        (1, "failed"),
        (2, "failed"),
        (3, "succeeded"),
    ]
    assert tasks[0].error == {"type": "PodFailed", "message": "main: Error (exit code 1)"}
    assert tasks[0].exit_code == 1


def test_values_of_secrets_are_not_read(run, store, kfp, source):
    there = play("chain", run, store)
    kfp.add(there)
    assert all(not task.environment for task in source.read(there.run_id).tasks)
