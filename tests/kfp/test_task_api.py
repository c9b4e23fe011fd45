"""Runs read from the task API of KFP 3.0, in its form and in its draft's. From source alone."""

from __future__ import annotations

import pytest

from dalsegno.cluster.task_api import TaskApiSource
from dalsegno.errors import NotFoundError

RUN = "0a1b2c3d-0000-4000-8000-000000000001"
DATASET = {"artifact_id": "9", "type": "Dataset", "uri": "minio://b/k/data", "metadata": {"n": 1}}
FINAL = {
    "inputs": {
        "parameters": [{"parameter_key": "rows", "value": 3, "type": "RUNTIME_VALUE_INPUT"}],
        "artifacts": [
            {"artifact_key": "data", "type": "COLLECTED_INPUTS", "artifacts": [DATASET, DATASET]}
        ],
    },
    "state": "FAILED",
    "error": {"message": "exit code 1"},
}
DRAFT = {
    "inputs": {
        "parameters": [{"name": "rows", "value": 3}],
        "artifacts": [{"parameter_name": "data", "value": DATASET}],
    },
    "status": "SUCCEEDED",
}


def tasks_of(leaf):
    return [
        {"task_id": "t0", "name": "root", "type": "ROOT"},
        {"task_id": "t1", "name": "for-loop-1", "type": "LOOP", "parent_task_id": "t0"},
        {
            "task_id": "t2",
            "name": "for-loop-1",
            "type": "LOOP_ITERATION",
            "type_attributes": {"iteration_index": 2},
            "parent_task_id": "t1",
        },
        {
            "task_id": "t3",
            "name": "train",
            "type": "RUNTIME",
            "parent_task_id": "t2",
            "start_time": "2026-09-21T12:53:20Z",
            "end_time": "2026-09-21T12:53:24Z",
            **leaf,
        },
    ]


@pytest.mark.parametrize(("leaf", "count"), [(FINAL, 2), (DRAFT, 1)], ids=["final", "draft"])
def test_task_api_gives_inputs_and_path(leaf, count, kfp, api):
    kfp.runs[RUN] = {"run_id": RUN, "display_name": "later", "state": "FAILED"}
    kfp.tasks[RUN] = tasks_of(leaf)
    (task,) = TaskApiSource(api).read(RUN).tasks
    assert task.task == "for-loop-1-iteration-2/train"
    assert task.executor_input["inputs"]["parameterValues"] == {"rows": 3}
    artifacts = task.executor_input["inputs"]["artifacts"]["data"]["artifacts"]
    assert [item["uri"] for item in artifacts] == ["minio://b/k/data"] * count
    assert artifacts[0]["type"] == {"schemaTitle": "system.Dataset"}
    assert task.seconds == 4


def test_server_without_task_api_says_so(kfp, api):
    kfp.runs[RUN] = {"run_id": RUN, "display_name": "now", "state": "FAILED"}
    with pytest.raises(NotFoundError):
        TaskApiSource(api).read(RUN)
