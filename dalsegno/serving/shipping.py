"""Seals the prediction log by age, and has what is sealed moved to the store."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from dalsegno.serving.mover import Moved, Mover
from dalsegno.serving.predictions import PredictionLog, segments
from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.5
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 15.0


class Moving(Protocol):
    """Whatever moves segments, here or in a process of its own."""

    def move(self) -> Moved:
        """Move all that nobody writes."""

    def close(self) -> None:
        """Let go."""


class Shipper:
    """Keeps the log flowing to the store; left-overs of servers that died, too.

    Args:
        log: The log.
        store: Where batches go.
        mover: What moves them; this process if not given.
    """

    def __init__(self, log: PredictionLog, store: Store, mover: Moving | None = None) -> None:
        self._log = log
        self._mover = mover or Mover(log.folder, store)
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

        What another process writes or moves at this moment is left to it.

        Returns:
            Whether the store took it; the rest waits here for the next start.
        """
        self._stopping.set()
        self._log.seal()
        moved: list[bool] = []
        last = threading.Thread(
            target=lambda: moved.append(self.ship()), name="ship-last-predictions", daemon=True
        )
        last.start()
        last.join(patience_seconds)
        self._mover.close()
        if moved == [True]:
            return True
        left = len(segments(self._log.folder))
        _logger.warning("%d segments of predictions wait in %s", left, self._log.folder)
        return False

    def ship(self) -> bool:
        """Have every segment moved that nobody writes; nothing is raised.

        Returns:
            Whether the store took them all.
        """
        with self._shipping:
            if not self._log.take_stock():
                return True
            moved = self._mover.move()
            self._log.take_stock()
            counts = self._log.counts
            counts.shipped_rows += moved.rows
            counts.torn_lines += moved.torn_lines
            if moved.trouble:
                self._report(moved.trouble)
            else:
                self._recover()
            return not moved.trouble

    def _report(self, got: str) -> None:
        counts = self._log.counts
        counts.failed_shipments += 1
        trouble = f"predictions wait for the store: {got}"
        if trouble != counts.trouble:
            _logger.error("%s", trouble)
        counts.trouble = trouble
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)

    def _recover(self) -> None:
        if self._log.counts.trouble:
            _logger.info("the prediction log flows again: %s is over", self._log.counts.trouble)
        self._log.counts.trouble = ""
        self._retry_seconds, self._retry_at = _FIRST_RETRY_SECONDS, 0.0

    def _run(self) -> None:
        """Seal and move; while the store is gone nothing is sealed by age, to keep segments few."""
        while not self._stopping.wait(_TICK_SECONDS):
            if time.monotonic() >= self._retry_at:
                self._log.seal(older_than_seconds=self._log.limits.seal_seconds)
                self.ship()
