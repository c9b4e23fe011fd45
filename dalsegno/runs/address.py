"""Addresses of tasks: `RUN/TASK[/ATTEMPT]`."""

from __future__ import annotations

from dalsegno.runs.reader import find_run, read_task
from dalsegno.runs.record import RunRecord, TaskRecord
from dalsegno.store import Store


def read_address(store: Store, address: str) -> tuple[RunRecord, TaskRecord | None]:
    """Read the run of an address, and its task if it names one.

    Raises:
        NotFoundError: There is no such run, task or attempt.
    """
    run_name, _, rest = address.strip("/").partition("/")
    run = find_run(store, run_name)
    if not rest:
        return run, None
    task, _, last = rest.rpartition("/")
    if task and last.isdigit():
        return run, read_task(store, run, task, int(last))
    return run, read_task(store, run, rest)
