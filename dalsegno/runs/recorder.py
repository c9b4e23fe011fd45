"""Writes the record of a local run while it happens."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dalsegno.errors import DalsegnoError, InfrastructureError
from dalsegno.runs.environment import write_environment
from dalsegno.runs.liveness import HEARTBEAT_SECONDS, this_process
from dalsegno.runs.record import (
    RunRecord,
    State,
    TaskRecord,
    TaskSummary,
    check_run_id,
    new_run_id,
    run_key,
    summarise,
    timestamp,
    to_json,
)
from dalsegno.runs.room import Room, is_full
from dalsegno.store import Store

_log = logging.getLogger(__name__)


class Recorder:
    """Keeps `run.json` and the tasks' records true, before and after anything happens.

    A heartbeat rewrites `run.json` every few seconds. Safe to use from several threads.

    Args:
        room: Space that is given up for records once the disk is full; None: a remote store.
    """

    def __init__(self, store: Store, run: RunRecord, room: Room | None = None) -> None:
        self.store = store
        self.run = run
        self._room = room
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._started = time.monotonic()
        self._beat = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)

    @classmethod
    def start(
        cls,
        store: Store,
        pipeline: str,
        text: str,
        sha256: str,
        parameters: dict[str, Any],
        *,
        run_id: str | None = None,
        commit: str | None = None,
        sources: Sequence[str] = (),
        source: str | None = None,
        resumed_from: str | None = None,
    ) -> Recorder:
        """Write the record of a run that begins now.

        Args:
            text: The compiled pipeline.
            run_id: Given where somebody else names the run; must be new.
            sources: Files in which its components may be defined.
            source: What the pipeline was loaded by.
            resumed_from: Id of the run whose results it takes over.

        Raises:
            ConflictError: The run id is taken.
            InfrastructureError: The store is full, or cannot be written.
        """
        room = None if "://" in store.uri else Room(Path(store.uri))
        now = datetime.now(UTC)
        run_id = check_run_id(run_id or new_run_id(pipeline, now))
        run = RunRecord(
            run_id, pipeline, State.RUNNING, parameters, sha256, timestamp(now), commit=commit
        )
        run.process, run.heartbeat_at = this_process(), timestamp()
        run.sources = list(sources)
        run.source, run.resumed_from = source, resumed_from
        store.create(run_key(run_id, "run.json"), to_json(run))
        store.put(run_key(run_id, "pipeline.yaml"), text.encode())
        recorder = cls(store, run, room)
        recorder._beat.start()
        return recorder

    def notice(self, text: str) -> None:
        """Keep a line that a person should read, once."""
        with self._lock:
            if text not in self.run.notices:
                self.run.notices.append(text)

    def task(self, record: TaskRecord) -> None:
        """Write one attempt's record, and its line in the run's record."""
        self._put(f"{record.folder}/record.json", to_json(record))
        self.summary(record.task, summarise(record))

    def summary(self, path: str, summary: TaskSummary) -> None:
        """Change one task's line in the run's record; the next heartbeat writes it."""
        with self._lock:
            self.run.tasks[path] = summary

    def finish(self, state: State, error: str | None, outputs: dict[str, Any]) -> RunRecord:
        """Write how the run ended."""
        self._stopped.set()
        self._beat.join()
        with self._lock:
            self.run.state, self.run.error, self.run.outputs = state, error, outputs
            self.run.finished_at = timestamp()
            self.run.seconds = round(time.monotonic() - self._started, 3)
            self._put(run_key(self.run.run_id, "run.json"), to_json(self.run))
        if self._room:
            self._room.close()
        return self.run

    def _heartbeat(self) -> None:
        try:
            write_environment(self.store, self.run.run_id)
        except DalsegnoError as error:
            _log.warning("run %s: environment not written: %s", self.run.run_id, error)
        told = ""
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with self._lock:
                self.run.heartbeat_at = timestamp()
                try:
                    self.store.put(run_key(self.run.run_id, "run.json"), to_json(self.run))
                except DalsegnoError as error:
                    if str(error) != told:
                        _log.warning("run %s: heartbeat not written: %s", self.run.run_id, error)
                    told = str(error)

    def _put(self, key: str, data: bytes) -> None:
        """Write to the store; on a full disk, into the room that was held for that."""
        while True:
            try:
                return self.store.put(key, data)
            except InfrastructureError as error:
                if not (self._room and is_full(error) and self._room.give_back(len(data))):
                    raise
