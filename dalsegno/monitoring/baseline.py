"""What a model was like at training, to compare it with later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dalsegno.monitoring.auc import auc, auc_error
from dalsegno.monitoring.sketch import SCORE, Array, Sketch, as_labels, as_numbers, sketch_frame

MIN_LABELS = 10  # of each kind, for an AUC that says anything


def sketch_model(frame: pd.DataFrame, labels: Array, *, seed: int = 0) -> Sketch:
    """Sketch the rows a model learned from, with how well it ranked them.

    Args:
        frame: One row an entity: its features, and `probability` as scored by a model that was not
            fitted on that row.
        labels: Shape (n,), 0 or 1.
        seed: As for `sketch_frame`.

    Returns:
        As `sketch_frame`, with `quality` of all rows, and in `scores` of each value: `auc`,
        `auc_error` (standard error) and `rows`; without an AUC where a label is rare.
    """
    sketch = sketch_frame(frame, seed=seed)
    scores = as_numbers(frame[SCORE])
    sketch["quality"] = rank_quality(np.asarray(labels), scores) | {"rows": len(frame)}
    for name, column in sketch["columns"].items():
        values = as_labels(frame[name]).to_numpy() if "scores" in column else None
        for value, found in column.get("scores", {}).items():
            mask = values == value
            found.update(rank_quality(np.asarray(labels)[mask], scores[mask]))
    return sketch


def rank_quality(labels: Array, scores: Array) -> dict[str, float]:
    """Give `auc` and `auc_error`, or nothing when a label is rare."""
    if min((labels == 1).sum(), (labels == 0).sum()) < MIN_LABELS:
        return {}
    return {"auc": auc(labels, scores), "auc_error": auc_error(labels, scores)}
