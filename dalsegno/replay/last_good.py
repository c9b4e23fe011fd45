"""Finds the last good run of a task: the same pipeline, the same task, the same iteration."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from dalsegno.errors import NotFoundError
from dalsegno.runs.reader import CLUSTER_RUN_ID, list_runs, read_task, run_ids
from dalsegno.runs.record import RunRecord, TaskRecord, run_key
from dalsegno.store import Store

_GENERATED = re.compile(r"\d{8}-\d{9}-(.+)-[0-9a-f]{6}")


def last_good(
    store: Store, run: RunRecord, task: str, *, until: float | None = None
) -> tuple[RunRecord, TaskRecord] | None:
    """Find the newest run before this one in which a task succeeded.

    Args:
        task: Path of the task in its run; the number of a loop's iteration belongs to it.
        until: When to give up, by `time.monotonic`.

    Returns:
        The run and the task's last attempt; None when it never succeeded before.
    """
    for candidate in _before(store, run):
        if until is not None and time.monotonic() > until:
            return None
        summary = candidate.tasks.get(task)
        if candidate.pipeline == run.pipeline and summary and summary.state.is_success:
            try:
                return candidate, read_task(store, candidate, task)
            except NotFoundError:
                continue  # its record was pruned
    return None


def _before(store: Store, run: RunRecord) -> Iterator[RunRecord]:
    """Yield the runs before a run, newest first; of those named by us only the same pipeline's."""
    if CLUSTER_RUN_ID.fullmatch(run.run_id):
        yield from (item for item in list_runs(store) if item.created_at < run.created_at)
        return
    ours = _GENERATED.fullmatch(run.run_id)
    for run_id in run_ids(store):
        name = _GENERATED.fullmatch(run_id)
        if run_id == run.run_id or CLUSTER_RUN_ID.fullmatch(run_id):
            continue
        if ours and name and (run_id >= run.run_id or name[1] != ours[1]):
            continue
        try:
            found = RunRecord.from_json(store.get(run_key(run_id, "run.json")))
        except NotFoundError:
            continue  # killed before it wrote its first record
        if found.created_at < run.created_at:
            yield found
