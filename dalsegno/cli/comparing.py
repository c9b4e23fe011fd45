"""`diff`: what a task was given, compared with the last good run of it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dalsegno.cli.output import as_typed, console, print_json
from dalsegno.errors import DalsegnoError, NotFoundError

if TYPE_CHECKING:
    from dalsegno.replay.diff import Side
    from dalsegno.runs.record import RunRecord, TaskRecord
    from dalsegno.store import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


def diff(
    address: str = typer.Argument(help="RUN/TASK; of a run with one failed task, RUN is enough."),
    reference: str | None = typer.Argument(
        None, help="RUN/TASK to compare with; default: the last good run of the task."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the changes as JSON."),
) -> None:
    """Compare what a task was given with the last good run of it: inputs, code, environment.

    Example: dalsegno diff 7f3a/train-model
    """
    from dalsegno.replay.diff import all_changes, side_of, summary
    from dalsegno.replay.recorded import fetch_into
    from dalsegno.settings import open_default_store

    store = open_default_store()
    new = side_of(store, *_attempt(store, address))
    other = _attempt(store, reference) if reference else _last_good(store, new)
    old = side_of(store, *other)
    with tempfile.TemporaryDirectory(prefix="dalsegno-") as folder:
        changes = all_changes(old, new, fetch_into(Path(folder), store))
    same = summary(old, new, changes)
    if as_json:
        listed = [asdict(change) for change in changes]
        fields = {"task": new.address, "compared_with": old.address, "inputs_are_same": bool(same)}
        print_json({**fields, "changes": listed})
        return
    out = console()
    out.print(f"{new.address}\n  compared with {old.address}", markup=False, soft_wrap=True)
    for line in [same] if same else changes:
        out.print(f"  {line}", markup=False, soft_wrap=True)


def changes_beside(store: Store, run: RunRecord, task: str) -> list[str]:
    """Return the lines that stand beside the failure of a task; none where nothing is known."""
    from dalsegno.replay import failure

    return failure.what_changed(store, run, task, seconds=failure.BUDGET_SECONDS)


def print_changes(store: Store, run: RunRecord, task: str) -> None:
    """Print what stands beside the failure of a task, and what to run next."""
    out = console()
    for line in changes_beside(store, run, task):
        out.print(f"  {line}", markup=False, soft_wrap=True)
    command = as_typed(replay_command(store, run, task))
    out.print(f"  next: {command}", markup=False, soft_wrap=True)


def replay_command(store: Store, run: RunRecord, task: str) -> str:
    """Return the command that plays a failed task again where it ran, or shows why none could."""
    from dalsegno.runs.reader import read_task

    address = f"{run.run_id}/{task}"
    if not run.tasks[task].attempts:
        return f"dalsegno show {address}"  # it had no inputs
    try:
        executor = read_task(store, run, task).executor
    except DalsegnoError:
        executor = ""
    if executor in {"importer", "driver"}:
        return f"dalsegno show {address}"  # it ran no code
    return f"dalsegno replay {address}" + (" --in container" if executor == "container" else "")


def print_ways_on(store: Store, run: RunRecord) -> None:
    """Print what to run next after a run that came to no good end; nothing after another one."""
    failed = [path for path, task in run.tasks.items() if task.state == "failed" and task.attempts]
    resume = as_typed(f"dalsegno resume {run.run_id}")
    if run.state in {"lost", "cancelled"}:
        lines = [f"  next: {resume}"]
    elif run.state == "failed" and failed:
        replay = as_typed(replay_command(store, run, failed[0]))
        lines = [f"  next: {replay}", f"  then: {resume}"]
    else:
        return
    console().print("\n".join(lines), markup=False, soft_wrap=True)


def _attempt(store: Store, address: str) -> tuple[RunRecord, TaskRecord]:
    from dalsegno.runs.address import read_address
    from dalsegno.runs.reader import read_task

    run, task = read_address(store, address)
    if task:
        return run, task
    failed = [path for path, summary in run.tasks.items() if summary.state == "failed"]
    if len(failed) == 1:
        return run, read_task(store, run, failed[0])
    known = ", ".join(failed or run.tasks) or "none"
    raise NotFoundError(f"task of run {run.run_id}: got none, want one of {known}")


def _last_good(store: Store, new: Side) -> tuple[RunRecord, TaskRecord]:
    from dalsegno.replay.last_good import last_good

    found = last_good(store, new.run, new.task.task)
    if found is None:
        raise NotFoundError(
            f"task {new.task.task!r}: got no run of {new.run.pipeline!r} before "
            f"{new.run.run_id} in which it succeeded, want one to compare with",
            f"dalsegno diff {new.address} OTHER_RUN/TASK",
        )
    return found
