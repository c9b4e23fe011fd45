"""Runs importer tasks: they name an artifact that is there already."""

from __future__ import annotations

from dalsegno.engine import artifacts
from dalsegno.engine.context import Context, TaskEvent
from dalsegno.engine.placeholders import IN_WORKSPACE
from dalsegno.engine.resolve import Artifact, Result
from dalsegno.engine.task import Task, new_record
from dalsegno.engine.values import normalise
from dalsegno.errors import DalsegnoError
from dalsegno.runs.record import State, TaskRecord, message_of, timestamp


async def import_artifact(context: Context, task: Task) -> Result:
    """Run an importer task: name an artifact that is there already."""
    importer = task.executor["importer"]
    source = importer["artifactUri"]
    uri = source.get("constant") or task.inputs.parameters[source["runtimeParameter"]]
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    name, definition = next(iter(task.component["outputDefinitions"]["artifacts"].items()))
    artifact = {
        "name": name,
        "type": importer.get("typeSchema") or definition.get("artifactType"),
        "uri": uri,
        "metadata": normalise(importer.get("metadata", {})),
    }
    record = new_record(context, task, 1, {})
    record.state, record.executor, record.started_at = State.SUCCEEDED, "importer", timestamp()
    record.outputs = {name: artifacts.digest_list(context, [artifact])}
    record.seconds, record.finished_at = 0.0, timestamp()
    if "://" not in uri and record.outputs[name][0]["sha256"] is None:
        record.state = State.FAILED
        record.error = {"type": "InputError", "message": f"importer: nothing at {uri}"}
    if importer.get("downloadToWorkspace") and record.state is State.SUCCEEDED:
        _download(context, artifact, record)
    context.recorder.task(record)
    context.listener(TaskEvent(task.path, record.state, 1, 0.0, message_of(record)))
    return Result(record.state, artifacts={name: [artifact]}, error=message_of(record))


def _download(context: Context, artifact: Artifact, record: TaskRecord) -> None:
    workspace = artifacts.workspace_path(context.work_dir)
    target = workspace / artifacts.workspace_key(artifact["uri"])
    try:
        if not target.exists():
            artifacts.fetch(artifact["uri"], target)
    except DalsegnoError as error:
        record.state = State.FAILED
        record.error = {"type": type(error).__name__, "message": str(error)}
    artifact["metadata"] = {**artifact["metadata"], IN_WORKSPACE: True}
