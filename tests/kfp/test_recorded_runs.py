"""Runs of a real KFP 2.17, read from each of its services, are those of the local engine."""

from __future__ import annotations

from typing import Any

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.executor_logs import LogSource
from dalsegno.cluster.log_text import error_in
from dalsegno.cluster.manifest import ManifestSource
from dalsegno.cluster.metadata import MetadataSource
from dalsegno.cluster.mlmd import WebMetadataStore
from dalsegno.cluster.sources import read_run
from dalsegno.cluster.task_logs import add_logs
from dalsegno.runs.record import TaskRecord
from dalsegno.store import open_store
from tests.kfp.expected import defaults, values
from tests.kfp.recorded_runs import RecordedRun

SAME = [
    "all_types",
    "branches",
    "chain",
    "collected_artifacts",
    "exits",
    "ignores",
    "loops",
    "nested",
]


@pytest.fixture
def recorded(kfp):
    """Let the cluster answer as one did of a run."""

    def recorded(name: str) -> RecordedRun:
        there = RecordedRun.read(name)
        kfp.add(there)
        kfp.versions.append(there.answers["version"])
        kfp.metadata = there.metadata()
        return there

    return recorded


@pytest.fixture
def bucket(s3_server):
    return open_store("minio://tests", s3_server)


@pytest.fixture
def sources(api, host, bucket):
    metadata = WebMetadataStore(ClusterAccess(host, timeout_seconds=5))
    root = "minio://tests/v2/artifacts"
    return {
        "v1beta1": ManifestSource(api),
        "mlmd": MetadataSource(metadata, KfpApi(api.access)),
        "log": LogSource(root, lambda uri: bucket, api),
    }


def told(task: TaskRecord) -> dict[str, Any]:
    """What any engine must say the same of a task."""
    given = task.executor_input.get("inputs", {}).get("artifacts", {})
    status = values(task).get("status", {})
    status.pop("pipelineJobResourceName", None)  # each run has its own
    return {
        "state": task.state,
        "image": task.image,
        "words": (task.command, task.args),
        "component": {**task.component_spec, "executorLabel": ""},  # equal ones share the first's
        "values": defaults(task) | values(task),
        "inputs": {name: len(item["artifacts"]) for name, item in given.items()},
    }


@pytest.mark.parametrize("source", ["v1beta1", "mlmd"])
@pytest.mark.parametrize("name", SAME)
def test_tasks_are_those_of_the_local_engine(name, source, recorded, sources, play):
    there, here = recorded(name), play(name)
    reading = sources[source].read(there.run_id)
    found = {task.task: told(task) for task in reading.tasks}
    assert found == {record.task: told(record) for record in here.records}
    assert reading.run.state == here.run.state
    assert not reading.lacking


@pytest.mark.parametrize(("name", "count"), [("retries", 1), ("attempts", 4)])
def test_manifest_keeps_every_attempt(name, count, recorded, sources):
    """With `set_retry(1)`: none as KFP configures Argo; else of the pod, and of its graph."""
    tasks = sources["v1beta1"].read(recorded(name).run_id).tasks
    found = [(task.attempt, str(task.state), task.exit_code) for task in tasks]
    assert found == [(number, "failed", 1) for number in range(1, count + 1)]
    starts = [task.started_at for task in tasks]
    assert starts == sorted(starts)


def test_cached_tasks_come_from_metadata(recorded, sources):
    there = recorded("cached")
    reading = read_run([sources["v1beta1"], sources["mlmd"]], there.run_id)
    assert {task.task: task.state for task in reading.tasks} == {"add": "cached", "add-2": "cached"}
    assert [values(task) for task in reading.tasks] == [{"a": 1, "b": 2}, {"a": 3, "b": 1}]
    assert [task.executor_output["parameterValues"] for task in reading.tasks] == [
        {"Output": 3},
        {"Output": 4},
    ]
    assert reading.run.origin["sources"] == ["v1beta1", "mlmd"]


@pytest.mark.parametrize("name", ["chain", "nested", "failing"])
def test_logs_give_what_the_manifest_gives(name, recorded, sources, bucket):
    there = recorded(name)
    for key, text in there.logs.items():
        bucket.put(key, text.encode())
    expected = {task.task: task for task in sources["v1beta1"].read(there.run_id).tasks}
    tasks = sources["log"].read(there.run_id).tasks
    assert {task.task for task in tasks} == set(expected)
    for task in tasks:
        same = expected[task.task]
        assert (values(task), task.state) == (values(same), same.state)
        given, known = (item.executor_input["inputs"].get("artifacts") for item in (task, same))
        assert given == known


def test_log_tells_where_a_task_raised(recorded):
    text = next(text for key, text in recorded("failing").logs.items() if "/parse/" in key)
    raised = error_in(text)
    assert (raised["type"], raised["line"], raised["function"]) == ("ValueError", 11, "parse")
    assert raised["message"] == "invalid literal for int() with base 10: 'forty-two'"


def test_log_of_a_failed_task_is_found_by_its_output(recorded, sources, bucket):
    there = recorded("failing")
    for key, text in there.logs.items():
        bucket.put(key, text.encode())
    reading = sources["v1beta1"].read(there.run_id)
    add_logs(reading, lambda uri, endpoint=None: bucket, pytest.fail)
    assert {task.task: (task.error or {}).get("type") for task in reading.tasks} == {
        "write": None,
        "parse": "ValueError",
    }
