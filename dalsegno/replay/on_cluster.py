"""Plays a capsule as a pod: inputs into the cluster's store, one task, caching off."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.publishing import kubernetes_name, publish, submit, wait_for
from dalsegno.cluster.reading import Reading, Source
from dalsegno.cluster.sources import read_run
from dalsegno.cluster.task_logs import add_logs
from dalsegno.engine.spec import parse_pipeline
from dalsegno.errors import DalsegnoError, InfrastructureError, NotFoundError
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.one_task import TASK, one_task_pipeline
from dalsegno.replay.outcome import Replayed, new_replay, write_outcome
from dalsegno.runs.record import State, TaskRecord
from dalsegno.store import Store

_FOLDER = "dalsegno/replays"
_SCHEMES = ("minio://", "s3://", "gs://", "oci://")  # what KFP's importer takes


@dataclass(frozen=True)
class Cluster:
    """Where a capsule is played.

    Attributes:
        api: The cluster's KFP.
        sources: What reads a run of it, best first.
        store: Its object store, below the pipeline root.
        open_store: Opens the bucket of a URI of one of its artifacts.
    """

    api: KfpApi
    sources: Sequence[Source]
    store: Store
    open_store: Callable[..., Store]


def play_on_cluster(
    capsule: Capsule,
    cluster: Cluster,
    tell: Callable[[str], None],
    *,
    seconds: float | None = None,
) -> Replayed:
    """Play a capsule on a cluster and bring its outputs here.

    Args:
        tell: Told, in a line, how it goes on.
        seconds: How long to wait at most.

    Raises:
        InputError: The task cannot be played as one task of a pipeline.
        InfrastructureError: The cluster did not play it to an end.
    """
    artifacts = upload_inputs(capsule, cluster.store)
    name = pipeline_name(capsule)
    text = one_task_pipeline(capsule.record, name, artifacts)
    compiled = parse_pipeline(text, name)
    published = publish(cluster.api, name, text, compiled.sha256, "Plays one recorded task again.")
    number, folder = new_replay(capsule.folder)
    started = Replayed(number, folder, "cluster")
    title = f"replay {capsule.manifest.address} {time.strftime('%H:%M:%S')}"
    run_id = submit(cluster.api, published, {}, display_name=title[:120])
    tell(f"run      {run_id}")
    wait_for(cluster.api, run_id, lambda state: tell(f"         {state}"), seconds)
    reading = _read(cluster, run_id, tell)
    add_logs(reading, cluster.open_store, tell)
    record = _last_attempt(reading.tasks, run_id)
    started.log.write_text(reading.logs.get(f"{record.task}/{record.attempt}", ""))
    outcome = _with_outputs(started, record, cluster.open_store)
    write_outcome(outcome)
    return outcome


def _read(cluster: Cluster, run_id: str, tell: Callable[[str], None]) -> Reading:
    """Read the run where its outputs are known: ML Metadata alone has those of parameters."""
    try:
        return read_run(cluster.sources, run_id, "mlmd")
    except DalsegnoError as error:
        tell(f"outputs  parameters are not known: {str(error).splitlines()[-1].strip()}")
        return read_run(cluster.sources, run_id)


def upload_inputs(capsule: Capsule, store: Store) -> dict[str, list[dict[str, Any]]]:
    """Put a capsule's inputs where the cluster's pods find them; what is there stays.

    Returns:
        Artifacts by input name, as in the executor input, with their URIs in the store.
    """
    inputs = copy.deepcopy(capsule.record.executor_input.get("inputs", {}))
    artifacts: dict[str, list[dict[str, Any]]] = {}
    for name, group in inputs.get("artifacts", {}).items():
        paths = capsule.input_paths(name)
        described = capsule.manifest.inputs[name]
        for artifact, path, item in zip(group["artifacts"], paths, described, strict=True):
            if path is not None and item.sha256:
                key = f"{_FOLDER}/{item.sha256}/{path.name}"
                _upload(store, path, key)
                artifact["uri"] = store.uri_of(key)
            elif not artifact["uri"].startswith(_SCHEMES):  # metadata alone: nothing lies there
                artifact["uri"] = store.uri_of(f"{_FOLDER}/nothing/{name}")
        artifacts[name] = group["artifacts"]
    return artifacts


def _upload(store: Store, path: Path, key: str) -> None:
    """Upload, unless all of it is there already: the key names the content."""
    if path.is_file():
        try:
            if store.stat(key).size_bytes == path.stat().st_size:
                return
        except NotFoundError:
            pass
    store.upload(path, key)


def pipeline_name(capsule: Capsule) -> str:
    """Name of the pipeline of a replay: one for each component."""
    task = capsule.record.task.rpartition("/")[2]
    return kubernetes_name(f"replay-{task}")


def _last_attempt(tasks: Sequence[TaskRecord], run_id: str) -> TaskRecord:
    found = [task for task in tasks if task.task == TASK]
    if not found:
        raise InfrastructureError(
            f"run {run_id}: got no record of its task, want one; an importer or a driver failed",
            f"dalsegno show {run_id}",
        )
    return max(found, key=lambda task: task.attempt)


def _with_outputs(
    started: Replayed, record: TaskRecord, open_store: Callable[..., Store]
) -> Replayed:
    """Bring what the pod wrote, and say how it ended."""
    artifacts: dict[str, list[Path]] = {}
    metadata: dict[str, list[dict[str, Any]]] = {}
    is_good = record.state in {State.SUCCEEDED, State.CACHED}
    planned = record.executor_input.get("outputs", {}).get("artifacts", {}) if is_good else {}
    for name in record.component_spec.get("outputDefinitions", {}).get("artifacts", {}):
        items = planned.get(name, {}).get("artifacts", [])
        artifacts[name] = [started.folder / "outputs" / name / str(n) for n in range(len(items))]
        metadata[name] = [item.get("metadata", {}) for item in items]
        for item, place in zip(items, artifacts[name], strict=True):
            _bring(item["uri"], place, open_store)
    raised = record.error or {"type": "Failed", "message": f"the task is {record.state}"}
    error = {"file": None, "line": None, **raised, "source_line": _source_line(raised)}
    return replace(
        started,
        parameters=(record.executor_output or {}).get("parameterValues", {}),
        artifacts=artifacts,
        metadata=metadata,
        error=None if is_good else error,
        exit_code=0 if is_good else (record.exit_code or 1),
        seconds=record.seconds,
    )


def _source_line(error: dict[str, Any]) -> int | None:
    """Return the line in the component's source text, which a pod runs as a file of that name."""
    name = str(error.get("file") or "").rpartition("/")[2]
    return error.get("line") if name == "ephemeral_component.py" else None


def _bring(uri: str, place: Path, open_store: Callable[..., Store]) -> None:
    """Download an artifact; one that is metadata alone has nothing to bring."""
    try:
        store = open_store(uri)
        store.download(store.key_of(uri), place)
    except NotFoundError:
        return
    except DalsegnoError as error:
        raise InfrastructureError(f"output {uri}: not brought, {error}") from error
