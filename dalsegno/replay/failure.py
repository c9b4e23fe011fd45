"""The few lines that say, beside a failure, what is another than in the last good run."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from dalsegno.replay.changes import Change
from dalsegno.replay.diff import identity_changes, in_order, input_changes, side_of, summary
from dalsegno.replay.last_good import last_good
from dalsegno.replay.recorded import fetch_into
from dalsegno.runs.reader import read_task
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
    work = _Work(store, run, task, time.monotonic() + seconds)
    thread = threading.Thread(target=work.run, name="diff", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        work.stop()
        _log.debug("diff of %s/%s: not done in %s s", run.run_id, task, seconds)
    return work.lines()


class _Work:
    """A diff that may be left in the middle, with what it found by then."""

    def __init__(self, store: Store, run: RunRecord, task: str, until: float) -> None:
        self.store, self.record, self.task, self.until = store, run, task, until
        self.changes: list[Change] = []
        self.connection: Any = None
        self.good_run = ""
        self.same: str | None = None

    def run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="dalsegno-") as folder:
                self._compare(Path(folder))
        except Exception:  # it stands beside a failure, and must not hide it
            _log.debug("diff of %s/%s left out", self.record.run_id, self.task, exc_info=True)

    def stop(self) -> None:
        """Interrupt what reads a large table."""
        if self.connection is not None:
            self.connection.interrupt()

    def lines(self) -> list[str]:
        """Write what was found, most telling first."""
        if self.same:
            return [self.same]
        changes = in_order(list(self.changes))
        if not changes:
            return []
        more = len(changes) - _LINES
        shown = [f"  {change}" for change in changes[: _LINES if more <= 0 else _LINES - 1]]
        rest = [f"  and {more + 1} more: dalsegno diff {self.record.run_id}/{self.task}"]
        return [f"changed since {self.good_run}:", *shown, *(rest if more > 0 else [])]

    def _compare(self, folder: Path) -> None:
        good = last_good(self.store, self.record, self.task, until=self.until)
        if good is None:
            return
        new = side_of(self.store, self.record, read_task(self.store, self.record, self.task))
        old = side_of(self.store, *good)
        self.good_run = old.run.run_id
        self.changes += identity_changes(old, new)
        fetch = fetch_into(folder, self.store, verify=False, most_bytes=_REMOTE_BYTES)
        from dalsegno.replay.profile import connect

        self.connection = connect()
        for change in input_changes(old, new, fetch, self.connection):
            self.changes.append(change)
            if time.monotonic() > self.until:
                return
        self.same = summary(old, new, in_order(self.changes))
