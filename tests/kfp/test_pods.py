"""Runs read from live workflows and pods, from an API server that answers from source."""

from __future__ import annotations

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.pods import PodSource
from dalsegno.errors import ConfigurationError, NotFoundError
from tests.kfp.expected import defaults, given, values


@pytest.fixture
def source(kubernetes, api):
    return PodSource(KubernetesApi(ClusterAccess("http://x", timeout_seconds=5)), api)


def pod(there, record, number):
    name = there.argo_name(record.task)
    exit_code = 0 if record.state == "succeeded" else 1
    return {
        "metadata": {
            "name": f"pod-{number}",
            "creationTimestamp": f"2026-09-21T12:53:{number:02}Z",
            "labels": {
                "pipeline/runid": there.run_id,
                "workflows.argoproj.io/workflow": there.workflow_name,
            },
            "annotations": {
                "workflows.argoproj.io/node-name": f"{there.workflow_name}.{name}.executor"
            },
        },
        "spec": there.pod_spec(record),
        "status": {
            "phase": "Failed" if exit_code else "Succeeded",
            "containerStatuses": [
                {
                    "name": "main",
                    "state": {
                        "terminated": {
                            "exitCode": exit_code,
                            "reason": "OOMKilled" if exit_code else "Completed",
                            "startedAt": "2026-09-21T12:53:20Z",
                            "finishedAt": "2026-09-21T12:53:22Z",
                        }
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize("name", ["chain", "loops", "exits", "failing"])
def test_pods_give_what_the_tasks_had(name, play, kfp, kubernetes, source):
    there = play(name)
    kfp.add(there)
    kubernetes.pods = [pod(there, record, n) for n, record in enumerate(there.records)]
    found = {task.task: task for task in source.read(there.run_id).tasks}
    assert set(found) == {record.task for record in there.records}
    for record in there.records:
        task = found[record.task]
        assert given(task) == given(record)
        assert values(task) == defaults(record) | values(record)
        assert (task.command, task.args) == (record.command, record.args)
        if record.state == "failed":
            assert task.error == {"type": "OOMKilled", "message": "exit code 1"}


def test_live_workflow_is_enough(play, kubernetes, source):
    there = play("loops")
    kubernetes.workflows = [there.workflow()]
    reading = source.read(there.run_id)
    assert {task.task for task in reading.tasks} == {record.task for record in there.records}
    assert reading.run.created_at.startswith("2026-09-21T12:53:20")


def test_nothing_alive_is_not_found(source):
    with pytest.raises(NotFoundError, match="got no workflow and no pods"):
        source.read("1234")


def test_missing_right_is_named(kubernetes, source):
    kubernetes.status = 403
    with pytest.raises(ConfigurationError, match="got 403"):
        source.read("1234")
