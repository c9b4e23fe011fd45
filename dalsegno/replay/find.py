"""Finds the attempt that a person means by `RUN`, `RUN/TASK` or `RUN/TASK/ATTEMPT`."""

from __future__ import annotations

import difflib

from dalsegno.engine.volumes import CREATE, DELETE
from dalsegno.errors import ConflictError, InputError, NotFoundError
from dalsegno.runs.reader import find_run, read_task
from dalsegno.runs.record import RunRecord, State, TaskRecord
from dalsegno.store import Store

_SHOWN = 12
_FAILED = (State.FAILED, State.LOST)


def find_task(store: Store, address: str) -> tuple[RunRecord, TaskRecord]:
    """Read the record of the attempt that an address means.

    A task goes by its path in the run, or by the end of the path or a part of it that no other
    task has. A run alone means its failed task, when there is one.

    Raises:
        NotFoundError: There is no such run, task or attempt.
        InputError: Several tasks could be meant, or the task runs no code.
        ConflictError: The task is still running.
    """
    run_name, _, rest = address.strip("/").partition("/")
    run = find_run(store, run_name)
    task, attempt = _split(rest, run) if rest else (_failed_task(run), None)
    record = read_task(store, run, task, attempt)
    _refuse_unplayable(run, record)
    return run, record


def _split(rest: str, run: RunRecord) -> tuple[str, int | None]:
    task, _, last = rest.rpartition("/")
    if task and last.isdigit() and rest not in run.tasks:
        return resolve_task(run, task), int(last)
    return resolve_task(run, rest), None


def resolve_task(run: RunRecord, name: str) -> str:
    """Return the path of the task that a name means.

    Raises:
        NotFoundError: No task of the run goes by that name.
        InputError: Several do.
    """
    started = sorted(path for path, task in run.tasks.items() if task.attempts)
    if name in started:
        return name
    for matches in (
        [path for path in started if path.endswith(f"/{name}")],
        [path for path in started if name in path],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(
                f"task {name!r} of run {run.run_id}: got {len(matches)} tasks, want one of "
                f"{_few(matches)}",
                f"dalsegno replay {run.run_id}/{matches[0]}",
            )
    raise _unknown(run, name, started)


def _unknown(run: RunRecord, name: str, started: list[str]) -> NotFoundError:
    show = f"dalsegno show {run.run_id}"
    summary = run.tasks.get(name)
    if summary is not None:
        why = f" ({summary.error})" if summary.error else ""
        return NotFoundError(
            f"task {name!r} of run {run.run_id}: got one that was {summary.state} before it "
            f"started{why}, want one that ran: {_few(started)}",
            show,
        )
    if not run.state.is_final:
        return NotFoundError(
            f"task {name!r} of run {run.run_id}: not found while the run is still {run.state}, "
            f"known so far are {_few(started)}",
            show,
        )
    close = difflib.get_close_matches(name, started, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return NotFoundError(
        f"task {name!r} of run {run.run_id}: not found{hint}, known are {_few(started)}", show
    )


def _failed_task(run: RunRecord) -> str:
    failed = [path for path, task in run.tasks.items() if task.state in _FAILED and task.attempts]
    if len(failed) == 1:
        return failed[0]
    started = sorted(failed) or sorted(path for path, task in run.tasks.items() if task.attempts)
    what = f"{len(failed)} failed tasks" if failed else f"no failed task ({run.state})"
    raise InputError(
        f"run {run.run_id}: got {what}, want a task named: {_few(started)}",
        f"dalsegno replay {run.run_id}/{started[0]}" if started else f"dalsegno show {run.run_id}",
    )


def _refuse_unplayable(run: RunRecord, record: TaskRecord) -> None:
    address = f"{run.run_id}/{record.task}"
    if not record.state.is_final:
        raise ConflictError(
            f"task {record.task!r} of run {run.run_id}: got one that is still {record.state}, "
            "want one that ended",
            f"dalsegno show {address}",
        )
    if record.executor == "importer":
        raise InputError(
            f"task {record.task!r} of run {run.run_id}: got an importer, which runs no code, want "
            "a task that uses what it imported",
            f"dalsegno show {run.run_id}",
        )
    if record.executor == "driver" or record.image in {CREATE, DELETE}:
        raise InputError(
            f"task {record.task!r} of run {run.run_id}: got one that makes or deletes a volume, "
            "which runs no code, want a task that uses the volume",
            f"dalsegno show {run.run_id}",
        )
    if not record.executor_input:
        raise InputError(
            f"task {record.task!r} of run {run.run_id}: got a record without executor input, want "
            "one that started",
            f"dalsegno show {address}",
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
