"""Reads a cluster's run from the best place that still has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.reading import Reading, Source
from dalsegno.errors import DalsegnoError, InputError, NotFoundError
from dalsegno.runs.record import check_run_id, summarise
from dalsegno.store import Store

NAMES = ("v1beta1", "mlmd", "log", "pods", "v3")
"""The sources, best first."""

_COMPLETING = ("mlmd", "log")  # what may know a task that another source lacks


def open_sources(
    access: ClusterAccess, root: str, open_store: Callable[[str], Store]
) -> list[Source]:
    """Return the sources of a cluster, best first.

    Args:
        root: Pipeline root of runs that have none of their own.
        open_store: Opens the bucket of a URI.
    """
    from dalsegno.cluster.executor_logs import LogSource
    from dalsegno.cluster.kubernetes_api import KubernetesApi
    from dalsegno.cluster.manifest import ManifestSource
    from dalsegno.cluster.metadata import MetadataSource
    from dalsegno.cluster.mlmd import open_metadata_store
    from dalsegno.cluster.pods import PodSource
    from dalsegno.cluster.task_api import TaskApiSource

    api = KfpApi(access)
    return [
        ManifestSource(api),
        MetadataSource(open_metadata_store(access), api),
        LogSource(root, open_store, api),
        PodSource(KubernetesApi(access), api),
        TaskApiSource(api),
    ]


def read_run(sources: Sequence[Source], run_id: str, only: str | None = None) -> Reading:
    """Read a run from the first source that has it; what that lacks comes from the next ones.

    Args:
        only: Name of the one source to ask.

    Raises:
        NotFoundError: No source has the run; the error says what each of them said.
        InputError: There is no source of that name.
    """
    check_run_id(run_id)
    if only and only not in NAMES:
        raise InputError(f"--source: got {only!r}, want one of {', '.join(NAMES)}")
    asked = [source for source in sources if only in (None, source.name)]
    reading: Reading | None = None
    said: list[str] = []
    for source in asked:
        if reading and (not reading.lacking or source.name not in _COMPLETING):
            continue
        try:
            found = source.read(run_id)
        except DalsegnoError as error:
            said.append(f"{source.name}: {error}")
            continue
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said.append(f"{source.name}: got an answer in an unknown form ({error!r})")
            continue
        _note(found, source.name)
        if reading is None:
            reading = found
        else:
            _complete(reading, found, source.name)
    if reading is None:
        tried = "\n  ".join(said)
        raise NotFoundError(
            f"run {run_id}: got no source that has it. Tried:\n  {tried}", "dalsegno cluster check"
        )
    _sort(reading)
    return reading


def _sort(reading: Reading) -> None:
    """Put the tasks in the order in which they started."""
    lines = sorted(reading.run.tasks.items(), key=lambda item: (item[1].started_at or "9", item[0]))
    reading.run.tasks = dict(lines)


def add_outputs(reading: Reading, sources: Sequence[Source]) -> None:
    """Add what the tasks returned, which of all sources ML Metadata alone knows in KFP 2."""
    wanted = {
        task.task: task
        for task in reading.tasks
        if task.state.is_success and task.executor_output is None
    }
    source = next((item for item in sources if item.name == "mlmd"), None)
    if not wanted or source is None:
        return
    try:
        found = source.read(reading.run.run_id)
    except DalsegnoError:
        return
    for other in found.tasks:
        task = wanted.get(other.task)
        if task is not None:
            task.executor_output, task.outputs = other.executor_output, other.outputs
    reading.endpoint = reading.endpoint or found.endpoint


def _note(reading: Reading, name: str) -> None:
    if reading.run.origin is not None:
        reading.run.origin["sources"] = [name]


def _complete(reading: Reading, other: Reading, name: str) -> None:
    """Take from another source the tasks that the first one lacks."""
    taken = [task for task in other.tasks if task.task in reading.lacking]
    for task in taken:
        known = reading.run.tasks.get(task.task)
        if known and known.state.is_final and not task.state.is_final:
            task.state = known.state
        reading.tasks.append(task)
        reading.run.tasks[task.task] = summarise(task)
    for task in taken:
        reading.lacking.pop(task.task, None)
    keys = {f"{task.task}/{task.attempt}" for task in taken}
    reading.pods |= {key: pod for key, pod in other.pods.items() if key in keys}
    reading.logs |= {key: text for key, text in other.logs.items() if key in keys}
    reading.endpoint = reading.endpoint or other.endpoint
    if not reading.pipeline.spec:
        reading.pipeline = other.pipeline
    if taken and reading.run.origin is not None:
        reading.run.origin["sources"].append(name)
