"""From an Argo workflow with its status to the records of its tasks."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from dalsegno.cluster import argo
from dalsegno.cluster.argo import Node
from dalsegno.cluster.compiled import CompiledPipeline, Component
from dalsegno.cluster.pod_spec import LaunchedTask, launched_task
from dalsegno.cluster.reading import Reading, moment, seconds_between, state_of, task_record
from dalsegno.runs.record import RunRecord, State, TaskRecord, TaskSummary, summarise

_PATCH = "pod-spec-patch"


def read_workflow(workflow: dict[str, Any], run: RunRecord, pipeline: CompiledPipeline) -> Reading:
    """Read every attempt of every task from the nodes of a workflow.

    Raises:
        NotFoundError: The nodes are not in the workflow.
    """
    name = workflow["metadata"]["name"]
    reading = Reading(run, pipeline=pipeline)
    pods: dict[str, list[Node]] = defaultdict(list)
    drivers: dict[str, Node] = {}
    for node in argo.nodes_of(workflow):
        path, template = argo.task_path(node, name), node.get("templateName", "")
        if not path:
            continue
        if argo.IMPLEMENTATION.fullmatch(template) and node.get("type") == "Pod":
            pods[path].append(node)
        elif template == argo.DRIVER:
            _keep_driver(drivers, path.removesuffix("-driver"), node)
        elif template == argo.GRAPH_DRIVER and state_of(node.get("phase", "")) is State.FAILED:
            run.tasks[_driven(path)] = _summary(node)
        elif argo.IMPORTER.fullmatch(template) or node.get("phase") in ("Skipped", "Omitted"):
            run.tasks.setdefault(path, _summary(node))
    for path in sorted({*pods, *drivers}):
        driver = drivers.get(path, {})
        if pods[path]:
            _read_attempts(reading, workflow, path, pods[path], driver)
        else:
            _read_driver(reading, path, driver)
    return reading


def _driven(path: str) -> str:
    """Return the graph that a driver works for; a loop's are named as the loop's own parts."""
    return path.removesuffix("-driver").removesuffix("/iteration-item").removesuffix("/iteration")


def _keep_driver(drivers: dict[str, Node], path: str, node: Node) -> None:
    """Keep, of a driver's attempts, the one that has outputs."""
    if path not in drivers or argo.parameter(node, "outputs", "cached-decision"):
        drivers[path] = node


def _read_attempts(
    reading: Reading, workflow: dict[str, Any], path: str, nodes: list[Node], driver: Node
) -> None:
    for attempt, node in enumerate(sorted(nodes, key=_order), start=1):
        known = reading.pipeline.component(path)
        task = _launched(workflow, node, driver, known)
        if task is None:
            reading.lacking[path] = "its pod spec patch is empty"
            reading.run.tasks[path] = _summary(node)
            continue
        record = task_record(reading.run.run_id, path, attempt, task.executor_input, task.component)
        _add_outcome(record, node)
        reading.pods[f"{path}/{attempt}"] = argo.pod_name(node, workflow)
        reading.tasks.append(record)
        reading.run.tasks[path] = summarise(record)
        if reading.run.pipeline == "unknown" and task.pipeline:
            reading.run.pipeline = task.pipeline


def _launched(
    workflow: dict[str, Any], node: Node, driver: Node, known: Component
) -> LaunchedTask | None:
    patch = argo.parameter(node, "inputs", _PATCH) or argo.parameter(driver, "outputs", _PATCH)
    if not patch:
        return None
    compiled = argo.json_parameter(workflow, driver, "container") or None
    task = argo.json_parameter(workflow, driver, "task")
    if not known.name:
        known = Component(task.get("componentRef", {}).get("name", ""))
    return launched_task(json.loads(patch), known, compiled)


def _read_driver(reading: Reading, path: str, driver: Node) -> None:
    """Keep what is known of a task that has no pod of its own."""
    summary = _summary(driver)
    if argo.parameter(driver, "outputs", "cached-decision") == "true":
        summary.state = State.CACHED
        reading.lacking[path] = "it was taken from the cache"
    elif argo.parameter(driver, "outputs", "condition") == "false":
        summary.state, summary.error = State.SKIPPED, "its condition is false"
    elif summary.state is State.FAILED:
        summary.error = f"its driver failed: {summary.error}"
        reading.lacking[path] = "its driver failed before the inputs were known"
    elif summary.state is State.SUCCEEDED:
        summary.state = State.PENDING  # its pod is still to come
    reading.run.tasks[path] = summary


def _add_outcome(record: TaskRecord, node: Node) -> None:
    record.state = state_of(node.get("phase", ""))
    record.started_at, record.finished_at = _times(node)
    record.seconds = seconds_between(record.started_at, record.finished_at)
    code = (node.get("outputs") or {}).get("exitCode")
    record.exit_code = int(code) if code is not None else None
    if record.state is State.FAILED:
        said = node.get("message") or f"exit code {record.exit_code}"
        record.error = {"type": "PodFailed", "message": said}


def _summary(node: Node) -> TaskSummary:
    started, finished = _times(node)
    state = state_of(node.get("phase", ""))
    return TaskSummary(
        state,
        0,
        started if state is not State.SKIPPED else None,
        seconds_between(started, finished) if state is not State.SKIPPED else None,
        error=node.get("message") or None,
    )


def _times(node: Node) -> tuple[str | None, str | None]:
    return moment(node.get("startedAt")), moment(node.get("finishedAt"))


def _order(node: Node) -> tuple[str, str]:
    return str(node.get("startedAt") or "9"), str(node.get("name"))
