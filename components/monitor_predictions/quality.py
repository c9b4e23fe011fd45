"""Does the model still rank as it did, now that labels have come?"""

from __future__ import annotations

import numpy as np

from components.monitor_predictions.findings import Baseline, MonitorSettings, Quality
from dalsegno.monitoring.auc import auc, auc_error, expected_auc
from dalsegno.monitoring.sketch import Array

BINS = 10


def measure_quality(
    scores: Array, labels: Array, baseline: Baseline, settings: MonitorSettings
) -> Quality | None:
    """Compare the labelled rows' AUC with the baseline; None when there are too few.

    Without a stored AUC the reference is the one that the scores promise, were they calibrated.

    Args:
        scores: Probabilities, shape (n,).
        labels: Shape (n,), 0 or 1, NaN where the label has not come.
        baseline: With the stored AUC, if any.
        settings: Level and floor.
    """
    from scipy.special import ndtr

    known = ~np.isnan(labels)
    labels, scores = labels[known], scores[known].astype(float)
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) < settings.min_labels:
        return None
    found, error = auc(labels, scores), auc_error(labels, scores)
    wanted = expected_auc(scores) if baseline.auc is None else baseline.auc
    before = _stored_error(wanted, float(labels.mean()), baseline.auc_rows)
    spread = np.sqrt(settings.design_effect * (error**2 + before**2))
    return Quality(
        rows=len(labels),
        positives=positives,
        auc=found,
        auc_error=error,
        wanted_auc=wanted,
        promised=baseline.auc is None,
        p_value=float(ndtr((found - wanted) / max(spread, 1e-12))),
        mean_score=float(scores.mean()),
        positive_rate=float(labels.mean()),
        log_loss=_log_loss(labels, scores),
        calibration=_calibration(labels, scores),
    )


def _stored_error(wanted: float, positive_rate: float, rows: int | None) -> float:
    """Give the standard error of a stored AUC from its rows (Hanley and McNeil, 1982)."""
    if not rows:
        return 0.0
    positives = max(rows * positive_rate, 1)
    negatives = max(rows - positives, 1)
    triples = (positives - 1) * (wanted / (2 - wanted) - wanted**2)
    triples += (negatives - 1) * (2 * wanted**2 / (1 + wanted) - wanted**2)
    return float(np.sqrt((wanted * (1 - wanted) + triples) / (positives * negatives)))


def _log_loss(labels: Array, scores: Array) -> float:
    chance = np.clip(np.where(labels == 1, scores, 1 - scores), 1e-7, 1)
    return float(-np.log(chance).mean())


def _calibration(labels: Array, scores: Array) -> list[dict[str, float]]:
    order = np.argsort(scores, kind="stable")
    return [
        {
            "rows": len(part),
            "mean_score": float(scores[part].mean()),
            "positive_rate": float(labels[part].mean()),
        }
        for part in np.array_split(order, BINS)
        if len(part)
    ]
