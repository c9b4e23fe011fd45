"""Source `log`: the logs that the launcher leaves in the bucket, also of a task that failed.

It needs the object store alone. It has only Python components, which print what they were given,
and not those whose whole container was killed. The path of a log names the task without the graphs
around it: of tasks in loops each folder becomes a task of its own, `train-3f2a91c0`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.compiled import CompiledPipeline, known_pipeline
from dalsegno.cluster.log_text import error_in, executor_input_in, has_succeeded
from dalsegno.cluster.reading import Reading, run_record, task_record
from dalsegno.errors import NotFoundError
from dalsegno.runs.record import State, summarise, timestamp
from dalsegno.store import Store

_LOG = re.compile(r"executor-logs(?:-(\d+))?")
_MAX_LOG_BYTES = 64 * 1024 * 1024
OpenStore = Callable[[str], Store]


@dataclass(frozen=True)
class FoundLog:
    """One executor log in the bucket.

    Attributes:
        task: Name of the task, without the graphs around it.
        folder: The driver's random name for this execution.
        attempt: From 1.
    """

    task: str
    folder: str
    attempt: int
    key: str
    size_bytes: int
    written_at: str


@dataclass(frozen=True)
class LogSource:
    """Reads a run from its executor logs.

    Attributes:
        root: Pipeline root of the cluster: `minio://mlpipeline/v2/artifacts`.
        open_store: Opens the bucket of a URI.
    """

    root: str
    open_store: OpenStore
    api: KfpApi
    name: str = "log"

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            NotFoundError: There is no log of the run below the pipeline root.
            DalsegnoError: The store does not answer.
        """
        current, pipeline = known_pipeline(self.api, run_id)
        root = (current.get("runtime_config") or {}).get("pipeline_root") or self.root
        store = self.open_store(root)
        folder = find_run_folder(store, root, run_id, pipeline.name)
        run = run_record(run_id, current, pipeline, self.api.access.host)
        if run.pipeline == "unknown":
            run.pipeline = folder.split("/")[-2]
        reading = Reading(run, pipeline=pipeline)
        found = list(find_logs(store, folder))
        for log, path in zip(found, _paths(found, pipeline), strict=True):
            _add(reading, store, log, path)
        if not reading.tasks:
            got = f"{len(found)} logs without an executor input" if found else "no executor logs"
            raise NotFoundError(f"{store.uri_of(folder)}: got {got}, want some")
        _complete(reading, bool(current), found)
        return reading


def find_run_folder(store: Store, root: str, run_id: str, pipeline: str) -> str:
    """Return the key of the folder of a run: `<root>/<pipeline>/<run id>`.

    Raises:
        NotFoundError: No pipeline below the root has a folder of the run.
    """
    top = store.key_of(root.partition("?")[0] + "/_").removesuffix("/_").removesuffix("_")
    for name in [pipeline] if pipeline else store.folders(top):
        folder = "/".join(part for part in (top, name, run_id) if part)
        if store.folders(folder):
            return folder
    raise NotFoundError(f"{root}: got no folder of run {run_id}, want one below a pipeline's")


def find_logs(store: Store, folder: str) -> Iterator[FoundLog]:
    """Yield the executor logs of a run, in the order in which they were written."""
    found = []
    for item in store.list(folder):
        parts = item.key.removeprefix(f"{folder}/").split("/")
        log = _LOG.fullmatch(parts[-1]) if len(parts) == 3 else None  # noqa: PLR2004
        if log:
            number = int(log[1] or 0) + 1
            written = timestamp(item.modified_at)
            found.append(FoundLog(parts[0], parts[1], number, item.key, item.size_bytes, written))
    yield from sorted(found, key=lambda log: (log.written_at, log.key))


def _paths(found: list[FoundLog], pipeline: CompiledPipeline) -> list[str]:
    folders = defaultdict(set)
    for log in found:
        folders[log.task].add(log.folder)
    whole = pipeline.paths()
    paths = []
    for log in found:
        known = whole.get(log.task, [])
        path = known[0] if len(known) == 1 else log.task
        alone = len(folders[log.task]) == 1
        paths.append(path if alone else f"{path}-{log.folder[:8]}")
    return paths


def _add(reading: Reading, store: Store, log: FoundLog, path: str) -> None:
    if log.size_bytes > _MAX_LOG_BYTES:
        reading.lacking[path] = f"its log of {log.size_bytes} bytes is too large to read"
        return
    text = store.get(log.key).decode(errors="replace")
    given = executor_input_in(text)
    if given is None:
        reading.lacking[path] = "its log has no executor input: no Python component"
        return
    component = reading.pipeline.component(path.removesuffix(f"-{log.folder[:8]}"))
    record = task_record(reading.run.run_id, path, log.attempt, given, component)
    record.state = State.SUCCEEDED if has_succeeded(text) else State.FAILED
    record.finished_at = log.written_at
    if record.state is State.FAILED:
        record.error = error_in(text) or {"type": "TaskFailed", "message": "its log has no end"}
    reading.tasks.append(record)
    reading.logs[f"{path}/{log.attempt}"] = text
    reading.run.tasks[path] = summarise(record)


def _complete(reading: Reading, is_known: bool, found: list[FoundLog]) -> None:
    """Say of the run what its logs tell, where the run API does not answer."""
    if is_known:
        return
    reading.run.created_at = found[0].written_at
    states: list[Any] = [task.state for task in reading.run.tasks.values()]
    reading.run.state = State.FAILED if State.FAILED in states else State.SUCCEEDED
