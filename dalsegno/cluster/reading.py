"""What a source of a cluster's runs gives: the same form, whichever it is."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from dalsegno.cluster.compiled import CompiledPipeline, Component
from dalsegno.runs.record import RunRecord, State, TaskRecord

_STATES = {
    "PENDING": State.PENDING,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.SUCCEEDED,
    "SKIPPED": State.SKIPPED,
    "OMITTED": State.SKIPPED,
    "FAILED": State.FAILED,
    "ERROR": State.FAILED,
    "CANCELING": State.RUNNING,
    "CANCELED": State.CANCELLED,
    "CANCELLED": State.CANCELLED,
    "TERMINATED": State.CANCELLED,
    "PAUSED": State.RUNNING,
    "COMPLETE": State.SUCCEEDED,
    "CACHED": State.CACHED,
}


@dataclass
class Reading:
    """A run as one source knows it.

    Attributes:
        run: Its record; `tasks` has a line for every task that the source knows of.
        tasks: Records of attempts, with what the task was given.
        lacking: Tasks whose inputs this source does not have, with the reason.
        pipeline: The compiled pipeline, empty where it is not known.
        pods: Names of pods by `TASK/ATTEMPT`, where known.
        logs: Logs by `TASK/ATTEMPT`, where they were read.
        endpoint: `host:port` of the run's store as the cluster names it, where known.
    """

    run: RunRecord
    tasks: list[TaskRecord] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)
    pipeline: CompiledPipeline = field(default_factory=CompiledPipeline)
    pods: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    endpoint: str | None = None


class Source(Protocol):
    """Reads runs of a cluster from one place."""

    @property
    def name(self) -> str:
        """What `--source` calls it."""

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            DalsegnoError: The place does not answer, or does not know the run.
        """


def state_of(name: str) -> State:
    """Translate a state of KFP, Argo or ML Metadata."""
    return _STATES.get(name.upper(), State.PENDING)


def run_record(
    run_id: str, run: dict[str, Any], pipeline: CompiledPipeline, host: str
) -> RunRecord:
    """Make the record of a run from what the v2beta1 API says of it, which may be nothing.

    Args:
        run: `Run` of the API; the v1beta1 form does too where the names agree.
        host: The cluster, for the record.
    """
    config = run.get("runtime_config") or {}
    created, finished = run.get("created_at"), moment(run.get("finished_at"))
    error = run.get("error") or {}
    return RunRecord(
        run_id=run_id,
        pipeline=pipeline.name or run.get("display_name", "") or "unknown",
        state=state_of(run.get("state", "")),
        parameters=config.get("parameters") or {},
        pipeline_sha256=pipeline.sha256 if pipeline.spec else "",
        created_at=moment(created) or "",
        finished_at=finished,
        seconds=seconds_between(moment(created), finished),
        error=error.get("message") if isinstance(error, dict) else str(error),
        origin={"host": host, "sources": []},
    )


def moment(text: str | None) -> str | None:
    """Write a time of the API as records have it; None for none (KFP writes the year 1970)."""
    if not text or text.startswith(("1970-", "0001-")):
        return None
    return datetime.fromisoformat(text).isoformat(timespec="milliseconds")


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Return how long something took."""
    if not start or not end:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)


def with_defaults(executor_input: dict[str, Any], component: dict[str, Any]) -> dict[str, Any]:
    """Add the defaults that the launcher adds to what the driver resolved."""
    merged = copy.deepcopy(executor_input)
    inputs = merged.setdefault("inputs", {})
    values = inputs.setdefault("parameterValues", {})
    for name, definition in component.get("inputDefinitions", {}).get("parameters", {}).items():
        if definition.get("defaultValue") is not None:
            values.setdefault(name, definition["defaultValue"])
    if not values:
        inputs.pop("parameterValues")
    return merged


def artifacts_of(lists: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Shorten artifact lists of an executor input to what a record keeps; digests come later."""
    return {
        name: [
            {"uri": item.get("uri", ""), "sha256": None, "size_bytes": None}
            for item in entry.get("artifacts", [])
        ]
        for name, entry in lists.items()
    }


def task_record(
    run_id: str, path: str, attempt: int, executor_input: dict[str, Any], component: Component
) -> TaskRecord:
    """Make the record of an attempt from the input it had and the component it ran."""
    container = component.container
    return TaskRecord(
        run_id=run_id,
        task=path,
        attempt=attempt,
        component=component.name or path.rpartition("/")[2],
        state=State.PENDING,
        executor="kubernetes",
        image=container.get("image", ""),
        command=list(container.get("command", [])),
        args=list(container.get("args", [])),
        executor_input=with_defaults(executor_input, component.spec),
        component_spec=component.spec,
        environment={item["name"]: item.get("value", "") for item in container.get("env", [])},
        inputs=artifacts_of(executor_input.get("inputs", {}).get("artifacts", {})),
    )
