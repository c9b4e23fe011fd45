"""Source `mlmd`: ML Metadata, where the driver writes what a task gets before its pod starts.

It has failed tasks, cached ones, and those of runs whose workflow is too large or gone. Of a task
with several attempts it knows the last.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.compiled import Component, known_pipeline
from dalsegno.cluster.mlmd import MetadataStore
from dalsegno.cluster.pod_spec import EXECUTOR_LOGS
from dalsegno.cluster.reading import (
    Reading,
    artifacts_of,
    run_record,
    seconds_between,
    state_of,
    task_record,
)
from dalsegno.runs.record import State, TaskRecord, TaskSummary, summarise, timestamp

if TYPE_CHECKING:
    from dalsegno.cluster.mlmd_stubs import metadata_store_pb2 as forms

_GRAPH, _CONTAINER = "system.DAGExecution", "system.ContainerExecution"
_INPUTS, _OUTPUTS = (2, 3, 5), (1, 4, 6)  # Event.Type: (DECLARED_, INTERNAL_)INPUT, …OUTPUT


@dataclass(frozen=True)
class MetadataSource:
    """Reads a run from ML Metadata; code and parameters from the run API where it answers."""

    store: MetadataStore
    api: KfpApi
    name: str = "mlmd"

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            NotFoundError: ML Metadata does not know the run.
            InfrastructureError: It does not answer.
        """
        context = self.store.run_context(run_id)
        found = {item.id: item for item in self.store.executions_of(context.id)}
        kinds = self.store.type_names({item.type_id for item in found.values()})
        current, pipeline = known_pipeline(self.api, run_id)
        run = run_record(run_id, current, pipeline, self.api.access.host)
        root = _text(context, "pipeline_root")
        if run.pipeline == "unknown" and run_id in root:
            run.pipeline = root.partition(f"/{run_id}")[0].rpartition("/")[2]
        reading = Reading(run, pipeline=pipeline, endpoint=_endpoint(context))
        for execution in found.values():
            path = task_path(execution, found)
            kind = execution.type or kinds.get(execution.type_id, "")
            if path and kind == _CONTAINER:
                self._add(reading, execution, path, root)
            elif path and kind != _GRAPH:  # an importer has nothing to play again
                run.tasks[path] = TaskSummary(_state(execution), 0)
        if not current:
            _derive(reading, found)
        return reading

    def _add(self, reading: Reading, execution: forms.Execution, path: str, root: str) -> None:
        state = _state(execution)
        if state is State.SKIPPED:
            reading.run.tasks[path] = TaskSummary(state, 0, error="its condition is false")
            return
        component = reading.pipeline.component(path)
        ran = self._that_ran(execution)
        record = self._record(reading, execution, ran, path, component, root)
        reading.tasks.append(record)
        reading.run.tasks[path] = summarise(record)

    def _that_ran(self, execution: forms.Execution) -> forms.Execution:
        """Return the execution whose outputs a cached one took; else itself."""
        cached = _text(execution, "cached_execution_id")
        if execution.last_known_state != execution.CACHED or not cached.isdigit():
            return execution
        return next(iter(self.store.executions([int(cached)])), execution)

    def _record(
        self,
        reading: Reading,
        execution: forms.Execution,
        ran: forms.Execution,
        path: str,
        component: Component,
        root: str,
    ) -> TaskRecord:
        given, _ = self._artifacts(execution, component)
        own_given, written = self._artifacts(ran, component)
        values = _struct(execution, "inputs") or _struct(ran, "inputs")
        name = path.rpartition("/")[2]
        executor_input = _executor_input(
            values, given or own_given, written, component, f"{root}/{name}/mlmd-{ran.id}"
        )
        record = task_record(reading.run.run_id, path, 1, executor_input, component)
        record.image = record.image or _text(execution, "image") or _text(ran, "image")
        record.state = _state(execution)
        own = {key: value for key, value in written.items() if not key.startswith(EXECUTOR_LOGS)}
        record.outputs = artifacts_of(own)
        record.executor_output = {"parameterValues": _struct(ran, "outputs")}
        if own:
            record.executor_output["artifacts"] = own
        if record.state is State.FAILED:
            record.error = {"type": "TaskFailed", "message": "ML Metadata says FAILED"}
        record.started_at = _moment(execution.create_time_since_epoch)
        if record.state.is_final:
            record.finished_at = _moment(execution.last_update_time_since_epoch)
        record.seconds = seconds_between(record.started_at, record.finished_at)
        if pod := _text(execution, "pod_name"):
            reading.pods[f"{path}/1"] = pod
        return record

    def _artifacts(
        self, execution: forms.Execution, component: Component
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what an execution read and wrote, as lists of artifacts by name."""
        events = [event for event in self.store.events([execution.id]) if event.path.steps]
        known = {item.id: item for item in self.store.artifacts(sorted(_ids(events)))}
        given: dict[str, Any] = {}
        written: dict[str, Any] = {}
        for event in events:
            artifact, key = known.get(event.artifact_id), event.path.steps[0].key
            if artifact is None:
                continue
            is_input = event.type in _INPUTS
            group = "inputDefinitions" if is_input else "outputDefinitions"
            kind = component.spec.get(group, {}).get("artifacts", {}).get(key, {})
            target = given if is_input else written if event.type in _OUTPUTS else {}
            entry = target.setdefault(key, {"artifacts": []})
            read = _plain if is_input else _as_written
            entry["artifacts"].append(_artifact(artifact, kind.get("artifactType"), read))
        return given, written


def task_path(execution: forms.Execution, known: dict[int, forms.Execution]) -> str:
    """Return the address in the run of an execution; empty for the pipeline's own.

    A loop has an execution of its own (`iteration_count`), and one for each iteration below it.
    """
    parts: list[str] = []
    current: forms.Execution | None = execution
    while current is not None and len(parts) <= len(known):
        name = _text(current, "task_name")
        properties = current.custom_properties
        if name and "iteration_index" in properties:
            parts.append(f"{name}-iteration-{properties['iteration_index'].int_value}")
        elif name and "iteration_count" not in properties:
            parts.append(name)
        parent = properties["parent_dag_id"].int_value if "parent_dag_id" in properties else 0
        current = known.get(parent)
    return "/".join(reversed(parts))


def _executor_input(
    values: dict[str, Any],
    given: dict[str, Any],
    written: dict[str, Any],
    component: Component,
    fallback: str,
) -> dict[str, Any]:
    """Build the executor input again as the driver wrote it; outputs go where they went."""
    logs = next((item for key, item in written.items() if key.startswith(EXECUTOR_LOGS)), None)
    any_output = logs or next(iter(written.values()), None)
    folder = any_output["artifacts"][0]["uri"].rpartition("/")[0] if any_output else fallback
    definitions = component.spec.get("outputDefinitions", {})
    artifacts = {
        name: written.get(name)
        or {
            "artifacts": [
                {"name": name, "type": kind.get("artifactType", {}), "uri": f"{folder}/{name}"}
            ]
        }
        for name, kind in definitions.get("artifacts", {}).items()
    }
    if logs:
        artifacts[EXECUTOR_LOGS] = logs
    parameters = {
        name: {"outputFile": f"/tmp/kfp/outputs/{name}"}  # noqa: S108
        for name in definitions.get("parameters", {})
    }
    inputs = {"parameterValues": values, "artifacts": given}
    scheme, _, rest = folder.partition("://")
    root = {"gs": "/gcs", "s3": "/s3"}.get(scheme, "/minio")
    outputs = {
        "parameters": parameters,
        "artifacts": artifacts,
        "outputFile": f"{root}/{rest.partition('?')[0]}/output_metadata.json",
    }
    return {
        "inputs": {key: value for key, value in inputs.items() if value},
        "outputs": {key: value for key, value in outputs.items() if value},
    }


def _artifact(
    artifact: forms.Artifact, kind: dict[str, Any] | None, read: Callable[[forms.Value], Any]
) -> dict[str, Any]:
    metadata = {
        key: read(value)
        for group in (artifact.properties, artifact.custom_properties)
        for key, value in group.items()
    }
    return {
        "name": str(artifact.id),
        "type": kind or {"schemaTitle": artifact.type or "system.Artifact"},
        "uri": artifact.uri,
        "metadata": metadata,
    }


def _state(execution: forms.Execution) -> State:
    name = execution.State.Name(execution.last_known_state)
    return State.SKIPPED if name == "CANCELED" else state_of(name)  # KFP: it was not triggered


def _derive(reading: Reading, found: dict[int, forms.Execution]) -> None:
    """Say of the run what its tasks tell, where the run API does not answer."""
    states = [task.state for task in reading.run.tasks.values()]
    if State.FAILED in states:
        reading.run.state = State.FAILED
    elif any(not state.is_final for state in states):
        reading.run.state = State.RUNNING
    else:
        reading.run.state = State.SUCCEEDED
    starts = [item.create_time_since_epoch for item in found.values()]
    reading.run.created_at = (_moment(min(starts)) if starts else None) or ""


def _endpoint(context: forms.Context) -> str | None:
    """Return the address of the run's store, from the session that KFP keeps with it."""
    with contextlib.suppress(json.JSONDecodeError, AttributeError):
        session = json.loads(_text(context, "store_session_info") or "{}")
        endpoint: str | None = (session.get("Params") or {}).get("endpoint")
        return endpoint
    return None


def _ids(events: list[forms.Event]) -> set[int]:
    return {event.artifact_id for event in events}


def _text(item: Any, key: str) -> str:
    """Return a custom property that is a string; empty without it."""
    return str(item.custom_properties[key].string_value) if key in item.custom_properties else ""


def _struct(item: Any, key: str) -> dict[str, Any]:
    if key not in item.custom_properties:
        return {}
    fields = item.custom_properties[key].struct_value.fields
    return {name: _json(value) for name, value in fields.items()}


def _plain(value: forms.Value) -> Any:
    kind = value.WhichOneof("value")
    if kind == "struct_value":
        return {name: _json(item) for name, item in value.struct_value.fields.items()}
    found = getattr(value, kind) if kind else None
    return _number(found) if isinstance(found, float) else found


def _as_written(value: forms.Value) -> Any:
    """Return metadata as the task wrote it: KFP keeps booleans as 0 and 1, lists below `list`.

    What a task is given stays as it is kept (`StructValueToMLMDValue` in backend/src/v2/metadata).
    """
    found = _plain(value)
    if value.WhichOneof("value") == "int_value":
        return bool(found)
    return found.get("list", found.get("struct", found)) if isinstance(found, dict) else found


def _json(value: Any) -> Any:
    """Read a JSON value of protobuf, whose numbers are all doubles, as Go writes it."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _json(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_json(item) for item in value.list_value.values]
    if kind in (None, "null_value"):
        return None
    return _number(value.number_value) if kind == "number_value" else getattr(value, kind)


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _moment(milliseconds: int) -> str | None:
    return timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC)) if milliseconds else None
