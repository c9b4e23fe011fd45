"""The few lines that say, beside a failure, what is another than in the last good run.

They are found by a process of its own, which is ended when its time is over: what reads a large
table cannot be left behind in a thread, for the interpreter would not end cleanly below it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dalsegno.replay.changes import Change
from dalsegno.replay.diff import (
    digest_changes,
    identity_changes,
    in_order,
    input_changes,
    side_of,
    summary,
)
from dalsegno.replay.last_good import last_good
from dalsegno.replay.recorded import fetch_into
from dalsegno.runs.reader import find_run, read_task
from dalsegno.runs.record import RunRecord
from dalsegno.store import Store

BUDGET_SECONDS = 1.0
_LINES = 3
_REMOTE_BYTES = 8 * 1024 * 1024

_log = logging.getLogger(__name__)


def what_changed(
    store: Store, run: RunRecord, task: str, *, seconds: float = BUDGET_SECONDS
) -> list[str]:
    """Say in at most four lines what is another than in the last good run of a task.

    Never raises and never takes longer than its time: what is not known by then is left out.

    Args:
        task: Path of the failed task in its run.
        seconds: How long it may take.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="dalsegno-") as folder:
            output = _ask([store.uri, run.run_id, task, str(seconds), folder], seconds)
        whole = output.rpartition("\n")[0].rpartition("\n")[2]
        lines: list[str] = json.loads(whole) if whole else []
    except Exception:  # it stands beside a failure, and must not hide it
        _log.debug("diff of %s/%s left out", run.run_id, task, exc_info=True)
        return []
    return lines


def _ask(arguments: list[str], seconds: float) -> str:
    """Return what this module writes as a process of its own, by the end of its time."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", "dalsegno.replay.failure", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            _log.debug("diff of %s/%s: not done in %s s", *arguments[1:3], seconds)
    if process.returncode > 0:
        said = errors.decode(errors="replace")[-2000:]
        _log.debug("diff of %s/%s left out: %s", *arguments[1:3], said)
    return output.decode()


def main() -> None:
    """Write the lines as JSON, first those that cost nothing, then all of them."""
    uri, run_id, task, seconds, folder = sys.argv[1:]
    store = _open(uri)
    run = find_run(store, run_id)
    for lines in _found(store, run, task, time.monotonic() + float(seconds), Path(folder)):
        sys.stdout.write(json.dumps(lines) + "\n")
        sys.stdout.flush()


def _open(uri: str) -> Store:
    from dalsegno.settings import open_default_store
    from dalsegno.store import open_store

    return open_store(uri) if "://" not in uri else open_default_store()


def _found(
    store: Store, run: RunRecord, task: str, until: float, folder: Path
) -> Iterator[list[str]]:
    good = last_good(store, run, task, until=until)
    if good is None:
        return
    old, new = side_of(store, *good), side_of(store, run, read_task(store, run, task))
    known = list(identity_changes(old, new))
    rough = [*known, *digest_changes(old, new)]
    said = summary(old, new, in_order(rough))
    yield [said] if said else _written(old.run.run_id, new.address, rough)
    fetch = fetch_into(folder, store, verify=False, most_bytes=_REMOTE_BYTES)
    exact = [*known, *input_changes(old, new, fetch)]
    said = summary(old, new, in_order(exact))
    yield [said] if said else _written(old.run.run_id, new.address, exact)


def _written(good_run: str, address: str, changes: list[Change]) -> list[str]:
    more = len(changes) - _LINES
    shown = in_order(changes)[: _LINES if more <= 0 else _LINES - 1]
    rest = [f"  and {more + 1} more: dalsegno diff {address}"] if more > 0 else []
    return [f"changed since {good_run}:", *(f"  {change}" for change in shown), *rest]


if __name__ == "__main__":
    main()
