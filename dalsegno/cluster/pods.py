"""Source `pods`: the live workflow of a run and, where that is gone, its pods.

Both are deleted an hour after the run by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dalsegno.cluster import argo
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.compiled import CompiledPipeline, known_pipeline
from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.pod_spec import launched_task
from dalsegno.cluster.reading import (
    Reading,
    moment,
    run_record,
    seconds_between,
    state_of,
    task_record,
)
from dalsegno.cluster.workflow import read_workflow
from dalsegno.errors import NotFoundError
from dalsegno.runs.record import RunRecord, State, TaskRecord, summarise

_NODE_NAME = "workflows.argoproj.io/node-name"
_WORKFLOW = "workflows.argoproj.io/workflow"


@dataclass(frozen=True)
class PodSource:
    """Reads a run from the cluster itself."""

    kubernetes: KubernetesApi
    api: KfpApi
    name: str = "pods"

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            NotFoundError: Neither a workflow nor a pod of the run lives.
        """
        workflows = self.kubernetes.workflows(run_id)
        current, pipeline = known_pipeline(self.api, run_id)
        run = run_record(run_id, current, pipeline, self.api.access.host)
        if workflows:
            _complete(run, workflows[0])
            try:
                return read_workflow(workflows[0], run, pipeline)
            except NotFoundError:
                run.tasks.clear()  # its nodes are elsewhere: the pods know as well
        reading = _read_pods(self.kubernetes.pods(run_id), run, pipeline)
        if not reading.tasks:
            where = f"namespace {self.kubernetes.namespace}"
            raise NotFoundError(f"{where}: got no workflow and no pods of run {run_id}, want some")
        return reading


def _read_pods(pods: list[dict[str, Any]], run: RunRecord, pipeline: CompiledPipeline) -> Reading:
    reading = Reading(run, pipeline=pipeline)
    seen: dict[str, int] = {}
    for pod in sorted(pods, key=lambda item: str(item["metadata"].get("creationTimestamp"))):
        metadata = pod["metadata"]
        node = {"name": (metadata.get("annotations") or {}).get(_NODE_NAME, "")}
        path = argo.task_path(node, (metadata.get("labels") or {}).get(_WORKFLOW, ""))
        task = launched_task(pod["spec"], pipeline.component(path)) if path else None
        if path is None or task is None:
            continue
        attempt = seen[path] = seen.get(path, 0) + 1
        record = task_record(run.run_id, path, attempt, task.executor_input, task.component)
        _add_outcome(record, pod)
        reading.pods[f"{path}/{attempt}"] = metadata["name"]
        reading.tasks.append(record)
        run.tasks[path] = summarise(record)
    return reading


def _add_outcome(record: TaskRecord, pod: dict[str, Any]) -> None:
    status = pod.get("status") or {}
    record.state = state_of(status.get("phase", ""))
    containers: list[dict[str, Any]] = status.get("containerStatuses") or []
    main: dict[str, Any] = next((item for item in containers if item["name"] == "main"), {})
    ended = (main.get("state") or {}).get("terminated") or {}
    record.started_at = moment(ended.get("startedAt") or status.get("startTime"))
    record.finished_at = moment(ended.get("finishedAt"))
    record.seconds = seconds_between(record.started_at, record.finished_at)
    record.exit_code = ended.get("exitCode")
    if record.state is State.FAILED:
        said = ended.get("message") or status.get("message") or f"exit code {record.exit_code}"
        record.error = {"type": ended.get("reason") or "PodFailed", "message": said}


def _complete(run: RunRecord, workflow: dict[str, Any]) -> None:
    """Say of the run what its workflow tells, where the run API does not answer."""
    if run.created_at:
        return
    status = workflow.get("status") or {}
    run.created_at = moment(workflow["metadata"].get("creationTimestamp")) or ""
    run.finished_at = moment(status.get("finishedAt"))
    run.seconds = seconds_between(run.created_at, run.finished_at)
    run.state = state_of(status.get("phase", ""))
