"""Moves sealed segments of the prediction log to the store, in a thread of its own."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import threading
import time
from pathlib import Path

from dalsegno.errors import DalsegnoError, InfrastructureError
from dalsegno.serving.batches import Batch, read_segment
from dalsegno.serving.predictions import PredictionLog, segments
from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.5
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 30.0
_BROKEN = ".broken"


class Shipper:
    """Seals what is old enough and moves what is sealed; left-overs of servers that died, too.

    Args:
        log: The log.
        store: Where batches go.
    """

    def __init__(self, log: PredictionLog, store: Store) -> None:
        self._log = log
        self._store = store
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._stopping = threading.Event()
        self._shipping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ship-predictions", daemon=True)

    def start(self) -> None:
        """Begin to move segments."""
        self._thread.start()

    def stop(self, patience_seconds: float = 10.0) -> bool:
        """Seal and move what is there, if the store takes it in time.

        Returns:
            Whether all of it is in the store; the rest waits here for the next start.
        """
        self._stopping.set()
        self._log.seal()
        last = threading.Thread(target=self.ship, name="ship-last-predictions", daemon=True)
        last.start()
        last.join(patience_seconds)
        left = len(segments(self._log.folder))
        if left:
            _logger.warning("%d segments of predictions wait in %s", left, self._log.folder)
        return not left

    def ship(self) -> bool:
        """Move every segment that nobody writes; nothing is raised.

        Returns:
            Whether the store took them all.
        """
        with self._shipping:
            for path in segments(self._log.folder):
                try:
                    self._ship(path)
                except Exception as error:
                    self._report(path, error)
                    return False
            self._recover()
            return True

    def _ship(self, path: Path) -> None:
        """Move one segment, locked meanwhile, unless somebody writes or moves it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        with open(descriptor, "rb") as segment:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if os.fstat(descriptor).st_nlink:
                os.fdatasync(descriptor)  # a loss of power may cost what came after the last seal
                content = segment.read()
                self._move(path, content)
                self._log.forget(len(content))

    def _move(self, path: Path, content: bytes) -> None:
        try:
            batch = read_segment(path, content)
        except InfrastructureError as error:
            _logger.error("%s: %s; it is kept as %s", path.name, error, path.stem + _BROKEN)
            path.rename(path.with_suffix(_BROKEN))
            return
        if batch.torn_lines:
            _logger.warning("%s: %d torn lines left out", path.name, batch.torn_lines)
            self._log.counts.torn_lines += batch.torn_lines
        if batch.key:
            self._store.put(batch.key, _parquet(batch))
            self._log.counts.shipped_rows += batch.table.num_rows
        path.unlink()

    def _report(self, path: Path, error: Exception) -> None:
        counts = self._log.counts
        counts.failed_shipments += 1
        trouble = f"predictions wait for the store: {error}"
        if trouble != counts.trouble:
            known = isinstance(error, DalsegnoError)
            _logger.error("%s: %s", path.name, trouble, exc_info=None if known else error)
        counts.trouble = trouble
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)

    def _recover(self) -> None:
        if self._log.counts.trouble:
            _logger.info("the prediction log flows again: %s is over", self._log.counts.trouble)
        self._log.counts.trouble = ""
        self._retry_seconds, self._retry_at = _FIRST_RETRY_SECONDS, 0.0

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            self._log.seal(older_than_seconds=self._log.limits.seal_seconds)
            if time.monotonic() >= self._retry_at:
                self.ship()


def _parquet(batch: Batch) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(batch.table, buffer, compression="zstd")
    return buffer.getvalue()
