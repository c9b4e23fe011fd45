"""Source `v3`: the task API of KFP 3.0, which replaces ML Metadata.

Its form: `name`, `task_id`, `parent_task_id`, `type`, `type_attributes.iteration_index`, `state`,
`inputs.parameters[] {parameter_key, value}`, `inputs.artifacts[] {artifact_key, artifacts[]}`. The
draft of it said `name`, `parameter_name`, `value` and `status` for some of these: both are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dalsegno.cluster.api import Item, KfpApi
from dalsegno.cluster.compiled import pipeline_of
from dalsegno.cluster.reading import (
    Reading,
    artifacts_of,
    moment,
    run_record,
    seconds_between,
    state_of,
    task_record,
)
from dalsegno.errors import NotFoundError
from dalsegno.runs.record import State, TaskSummary, summarise

_KINDS = {"Dataset": "system.Dataset", "Model": "system.Model", "HTML": "system.HTML"}
_ITERATION = "LOOP_ITERATION"


@dataclass(frozen=True)
class TaskApiSource:
    """Reads a run from the task API."""

    api: KfpApi
    name: str = "v3"

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            NotFoundError: The server has no task API (KFP 2), or no such run.
        """
        current = self.api.run(run_id)
        tasks = {task["task_id"]: task for task in self.api.tasks(run_id)}
        if not tasks:
            raise NotFoundError(f"task API: got no tasks of run {run_id}, want some")
        pipeline = pipeline_of(self.api, current)
        run = run_record(run_id, current, pipeline, self.api.access.host)
        reading = Reading(run, pipeline=pipeline)
        for task in tasks.values():
            if task.get("type") == "RUNTIME":
                _add(reading, task, task_path(task, tasks))
        return reading


def task_path(task: Item, known: dict[str, Item]) -> str:
    """Return the address in the run of a task."""
    parts: list[str] = []
    current: Item | None = task
    while current is not None and current.get("type") != "ROOT" and len(parts) <= len(known):
        index = (current.get("type_attributes") or {}).get("iteration_index")
        if current.get("type") == _ITERATION or (index is not None and current is task):
            parts.append(f"{current['name']}-iteration-{index or 0}")
        elif current.get("type") != "LOOP":
            parts.append(current["name"])
        current = known.get(current.get("parent_task_id", ""))
    return "/".join(reversed(parts))


def _add(reading: Reading, task: Item, path: str) -> None:
    state = state_of(task.get("state") or task.get("status") or "")
    component = reading.pipeline.component(path)
    if state is State.SKIPPED:
        reading.run.tasks[path] = TaskSummary(state, 0)
        return
    given, written = task.get("inputs") or {}, task.get("outputs") or {}
    artifacts = dict(_artifacts(written))
    outputs = {
        "artifacts": artifacts,
        "parameters": {
            name: {"outputFile": f"/tmp/kfp/outputs/{name}"}  # noqa: S108
            for name in component.spec.get("outputDefinitions", {}).get("parameters", {})
        },
        "outputFile": f"/minio/outputs/{task['task_id']}/output_metadata.json",
    }
    inputs = {"parameterValues": dict(_parameters(given)), "artifacts": dict(_artifacts(given))}
    executor_input = {"inputs": {key: value for key, value in inputs.items() if value}}
    record = task_record(
        reading.run.run_id, path, 1, {**executor_input, "outputs": outputs}, component
    )
    record.state, record.outputs = state, artifacts_of(artifacts)
    record.executor_output = {"parameterValues": dict(_parameters(written))}
    record.started_at = moment(task.get("start_time") or task.get("create_time"))
    record.finished_at = moment(task.get("end_time"))
    record.seconds = seconds_between(record.started_at, record.finished_at)
    if state is State.FAILED:
        said = (task.get("error") or {}).get("message") or "the task API says FAILED"
        record.error = {"type": "TaskFailed", "message": said}
    reading.tasks.append(record)
    reading.run.tasks[path] = summarise(record)


def _parameters(group: Item) -> Iterator[tuple[str, Any]]:
    for item in group.get("parameters") or []:
        name = item.get("parameter_key") or item.get("name")
        if name:
            yield name, item.get("value")


def _artifacts(group: Item) -> Iterator[tuple[str, Any]]:
    for item in group.get("artifacts") or []:
        name = item.get("artifact_key") or item.get("parameter_name")
        found = item.get("artifacts") or [item.get("value") or {}]
        if name:
            yield name, {"artifacts": [_artifact(artifact) for artifact in found]}


def _artifact(artifact: Item) -> Item:
    kind = artifact.get("type", "Artifact")
    return {
        "name": artifact.get("artifact_id") or artifact.get("name", ""),
        "type": {"schemaTitle": _KINDS.get(kind, f"system.{kind}")},
        "uri": artifact.get("uri", ""),
        "metadata": artifact.get("metadata") or {},
    }
