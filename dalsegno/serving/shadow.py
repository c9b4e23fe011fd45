"""Asks a challenger in the shadow: its answers are logged, and nobody waits for them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dalsegno.serving.tensors import Array, check_given

if TYPE_CHECKING:
    from dalsegno.serving.endpoint import Live, Prediction, Served

_logger = logging.getLogger(__name__)
_WAITING = 256


@dataclass
class ShadowCounts:
    """What has become of the requests that a shadow was to answer.

    Attributes:
        answered: Answers of the challenger, logged.
        failed: Requests it could not answer.
        skipped: Requests it was not asked, because too many waited.
    """

    answered: int = 0
    failed: int = 0
    skipped: int = 0


class Shadow:
    """Asks the challenger in a thread, from a bounded queue.

    Args:
        append: Logs an answer, with why the model gave none.

    Attributes:
        counts: What has become of the requests.
    """

    def __init__(self, append: Callable[[Prediction, Live | None, str], bool]) -> None:
        self.counts = ShadowCounts()
        self._append = append
        self._waiting: queue.Queue[tuple[Prediction, Served]] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def ask(self, prediction: Prediction, challenger: Served) -> None:
        """Let the challenger answer what the champion has answered; returns at once."""
        try:
            self._waiting.put_nowait((prediction, challenger))
        except queue.Full:
            self.counts.skipped += 1

    def _run(self) -> None:
        while True:
            self._answer(*self._waiting.get())

    def _answer(self, prediction: Prediction, challenger: Served) -> None:
        began = time.perf_counter()
        error = ""
        try:
            inputs = _choose(prediction, challenger)
            probabilities = challenger.model.run(inputs)
            self.counts.answered += 1
        except Exception as failure:  # a challenger's failure is its evidence, and no harm
            inputs, probabilities = prediction.inputs, np.empty(0, dtype=np.float32)
            error = f"{type(failure).__name__}: {failure}"
            self.counts.failed += 1
        answer = replace(
            prediction,
            served=challenger,
            inputs=inputs,
            probabilities=probabilities,
            at=time.time(),
            seconds=time.perf_counter() - began,
        )
        self._append(answer, None, error)


def _choose(prediction: Prediction, challenger: Served) -> dict[str, Array]:
    """Return the columns that the challenger takes.

    Raises:
        InputError: The request did not bring them all.
    """
    given = prediction.inputs
    check_given(given, challenger.model.inputs)
    return {name: given[name] for name in challenger.model.inputs}
