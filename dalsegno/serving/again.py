"""Lets a released model answer a logged prediction once more, here, on the row it had."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dalsegno import releases
from dalsegno.errors import InputError
from dalsegno.serving import history
from dalsegno.serving.history import LoggedPrediction
from dalsegno.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from dalsegno.encoding import Array
    from dalsegno.model import ScoringModel

Call = Callable[[Callable[..., Any], Any], Any]


@dataclass(frozen=True)
class PlayedPrediction:
    """A prediction, and what its model says now.

    Attributes:
        logged: As it was answered.
        release: Number of the release that answered.
        examples: The rows, one column an input.
        recorded: Probabilities that were answered, float32 of shape (rows,).
        played: Probabilities now.
    """

    logged: LoggedPrediction
    release: int
    examples: pd.DataFrame
    recorded: Array
    played: Array

    @property
    def is_identical(self) -> bool:
        """Whether every bit is the same."""
        return bool(np.array_equal(self.recorded, self.played, equal_nan=True))

    @property
    def largest_difference(self) -> float:
        """Between two probabilities of one row (0-1)."""
        return float(np.max(np.abs(self.recorded - self.played), initial=0.0))


def play_prediction(
    store: Store,
    prediction_id: str,
    log_folder: Path | None = None,
    *,
    call: Call | None = None,
) -> PlayedPrediction:
    """Fetch the model that answered, verified by its digest, and let it answer again.

    Args:
        store: Where log and releases are.
        prediction_id: As the server's answer has it.
        log_folder: Where a server on this machine keeps what it has not moved yet.
        call: Calls the model's `predict` with the rows: `pdb.Pdb().runcall` steps into it.

    Raises:
        NotFoundError: There is no such prediction, or no such release any more.
        InputError: Columns of it were not logged, being on the redaction list.
        InfrastructureError: The store no longer holds the model as it was.
    """
    import dalsegno.encoding  # noqa: F401 (so that a debugger does not step through its import)
    from dalsegno.model import ScoringModel

    logged = history.find(store, prediction_id, log_folder)[0]
    if logged.redacted:
        names = ", ".join(logged.redacted)
        raise InputError(
            f"prediction {prediction_id}: got {names} redacted from the log, want every input",
            f"dalsegno lineage {prediction_id}",
        )
    release = releases.find(store, logged.endpoint, logged.release)
    examples = logged.examples()
    with tempfile.TemporaryDirectory() as scratch:
        model = ScoringModel.load(releases.fetch_model(store, release, Path(scratch, "model")))
        played = _call(model, examples, call)
    recorded = logged.rows["probability"].to_numpy(dtype=np.float32)
    return PlayedPrediction(logged, release.number, examples, recorded, played)


def _call(model: ScoringModel, examples: pd.DataFrame, call: Call | None) -> Array:
    played: Array = call(model.predict, examples) if call else model.predict(examples)
    return played
