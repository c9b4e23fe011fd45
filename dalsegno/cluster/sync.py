"""Keeps what was read of a cluster's run in the store, in the record that local runs have.

Written in an order in which nothing torn can be seen: tasks first, `run.json` last. Doing it again
gives the same, and takes away nothing that an earlier reading knew and this one does not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dalsegno.cluster.reading import Reading
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.runs.record import RunRecord, State, TaskRecord, run_key, to_json
from dalsegno.store import Store

DEFAULT_MAX_BYTES = 2 * 1024**3


def keep_run(store: Store, reading: Reading) -> RunRecord:
    """Write a reading to the store.

    Returns:
        The run's record as it is kept.
    """
    run = reading.run
    if reading.pipeline.spec:
        store.put(run_key(run.run_id, "pipeline.yaml"), reading.pipeline.text.encode())
        run.pipeline_sha256 = reading.pipeline.sha256
    for task in reading.tasks:
        _keep_digests(store, task)
        store.put(f"{task.folder}/record.json", to_json(task))
        log = reading.logs.get(f"{task.task}/{task.attempt}")
        if log is not None:
            store.put(f"{task.folder}/log.txt", log.encode())
    _keep_lines(store, run)
    store.put(run_key(run.run_id, "run.json"), to_json(run))
    return run


def keep_inputs(
    store: Store,
    reading: Reading,
    open_store: Callable[..., Store],
    tell: Callable[[str], None],
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> int:
    """Copy the input artifacts of the failed tasks into the store, each once.

    Args:
        open_store: Opens the bucket of a URI, given `endpoint`.
        tell: Told, in a line, what could not be kept.
        max_bytes: How much to copy at most.

    Returns:
        Bytes copied.
    """
    copied = 0
    for task in reading.tasks:
        if task.state is not State.FAILED:
            continue
        for item in [item for items in task.inputs.values() for item in items]:
            if item.get("kept_uri") or "://" not in item["uri"]:
                continue
            if copied >= max_bytes:
                tell(f"stopped at {max_bytes:,} bytes: {item['uri']} and what follows is not kept")
                return copied
            try:
                copied += _keep_input(store, task, item, open_store, reading.endpoint)
            except DalsegnoError as error:
                tell(f"input {item['uri']}: not kept, {error}")
        store.put(f"{task.folder}/record.json", to_json(task))
    return copied


def _keep_input(
    store: Store,
    task: TaskRecord,
    item: dict[str, Any],
    open_store: Callable[..., Store],
    endpoint: str | None,
) -> int:
    there = open_store(item["uri"], endpoint=endpoint)
    with tempfile.TemporaryDirectory(prefix="dalsegno-") as folder:
        path = Path(folder) / "artifact"
        digest = there.download(there.key_of(item["uri"]), path)
        key = run_key(task.run_id, "artifacts", "kept", digest.sha256)
        store.upload(path, key)
    item |= {
        "sha256": digest.sha256,
        "size_bytes": digest.size_bytes,
        "kept_uri": store.uri_of(key),
    }
    return digest.size_bytes


def _keep_digests(store: Store, task: TaskRecord) -> None:
    """Take over what an earlier reading found out of the same inputs."""
    try:
        before = TaskRecord.from_json(store.get(f"{task.folder}/record.json"))
    except NotFoundError:
        return
    known = {item["uri"]: item for items in before.inputs.values() for item in items}
    for items in task.inputs.values():
        items[:] = [item | known.get(item["uri"], {}) for item in items]


def _keep_lines(store: Store, run: RunRecord) -> None:
    """Take over the tasks that an earlier reading knew and this one does not."""
    try:
        before = RunRecord.from_json(store.get(run_key(run.run_id, "run.json")))
    except NotFoundError:
        return
    for path, summary in before.tasks.items():
        run.tasks.setdefault(path, summary)
    run.pipeline_sha256 = run.pipeline_sha256 or before.pipeline_sha256
    if run.pipeline == "unknown":
        run.pipeline = before.pipeline
