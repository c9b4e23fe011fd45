"""Reads the records of runs, and says which of them are lost."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

from dalsegno.errors import NotFoundError
from dalsegno.runs.liveness import is_lost
from dalsegno.runs.record import RunRecord, State, TaskRecord, attempt_key, run_key, summarise
from dalsegno.store import Store

CLUSTER_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What Kubeflow Pipelines names its runs."""


def list_runs(store: Store, limit: int | None = None) -> list[RunRecord]:
    """Read the runs of a store, newest first."""
    known = run_ids(store)
    of_clusters = [run_id for run_id in known if CLUSTER_RUN_ID.fullmatch(run_id)]
    here = [run_id for run_id in known if not CLUSTER_RUN_ID.fullmatch(run_id)]
    found: list[RunRecord] = []
    for run_id in here:
        if limit is not None and len(found) >= limit:
            break
        with contextlib.suppress(NotFoundError):  # killed before it wrote its first record
            found.append(_read(store, run_id))
    for run_id in of_clusters:  # their names do not tell the time
        with contextlib.suppress(NotFoundError):
            found.append(_read(store, run_id))
    return sorted(found, key=lambda run: run.created_at, reverse=True)[:limit]


def run_ids(store: Store) -> list[str]:
    """List the ids of all runs in a store, newest first."""
    return sorted(store.folders("runs"), reverse=True)


def find_run(store: Store, name: str) -> RunRecord:
    """Read a run by its id, or by a part that only one run has.

    Raises:
        NotFoundError: No run, or more than one, goes by that name.
    """
    known = run_ids(store)
    exact = [run_id for run_id in known if run_id == name]
    matches = exact or [run_id for run_id in known if name and name in run_id]
    if len(matches) == 1:
        return _read(store, matches[0])
    if not matches:
        shown = ", ".join(known[:3]) or "no runs yet"
        raise NotFoundError(f"run {name!r}: not found, known are {shown}", "dalsegno runs")
    raise NotFoundError(
        f"run {name!r}: got {len(matches)} runs, want one: {', '.join(matches[:3])}"
    )


def read_task(store: Store, run: RunRecord, task: str, attempt: int | None = None) -> TaskRecord:
    """Read the record of a task's attempt (default: the last).

    Raises:
        NotFoundError: The run has no such task or attempt.
    """
    numbers = attempts(store, run, task)
    if not numbers:
        known = ", ".join(sorted(run.tasks)) or "none"
        raise NotFoundError(
            f"task {task!r} of run {run.run_id}: no record, tasks are {known}",
            f"dalsegno show {run.run_id}",
        )
    number = attempt or numbers[-1]
    if number not in numbers:
        raise NotFoundError(
            f"task {task!r} of run {run.run_id}: got attempt {number}, want one of {numbers}",
            f"dalsegno show {run.run_id}/{task}/{numbers[-1]}",
        )
    key = attempt_key(run.run_id, task, number, "record.json")
    return _derive(TaskRecord.from_json(store.get(key)), run)


def attempts(store: Store, run: RunRecord, task: str) -> list[int]:
    """List the attempts that a task has a record of, oldest first."""
    folder = run_key(run.run_id, "tasks", task)
    return sorted(int(name) for name in store.folders(folder) if name.isdigit())


def task_records(store: Store, run: RunRecord) -> Iterator[TaskRecord]:
    """Read the records of all attempts of all tasks of a run."""
    for item in store.list(run_key(run.run_id, "tasks") + "/"):
        if item.key.endswith("/record.json"):
            yield _derive(TaskRecord.from_json(store.get(item.key)), run)


def read_log(store: Store, record: TaskRecord) -> str:
    """Read what a task wrote to its standard output and error."""
    try:
        return store.get(f"{record.folder}/log.txt").decode(errors="replace")
    except NotFoundError:
        return ""


def _read(store: Store, run_id: str) -> RunRecord:
    run = RunRecord.from_json(store.get(run_key(run_id, "run.json")))
    if run.state.is_final or run.origin or not is_lost(run.process, run.heartbeat_at):
        return run
    run = replace(run, state=State.LOST, error=run.error or "the process of the run is gone")
    for record in task_records(store, run):
        known = run.tasks.get(record.task)
        if known is None or known.attempts <= record.attempt:
            run.tasks[record.task] = summarise(record)
    return run


def _derive(record: TaskRecord, run: RunRecord) -> TaskRecord:
    if record.state.is_final or run.origin or run.state is State.RUNNING:
        return record
    return replace(record, state=State.LOST)
