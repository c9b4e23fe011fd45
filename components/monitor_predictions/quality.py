"""Does the model still rank as it did, now that labels have come?"""

from __future__ import annotations

import numpy as np

from components.monitor_predictions.findings import Baseline, MonitorSettings, Quality
from dalsegno.monitoring.auc import auc, auc_error, expected_auc
from dalsegno.monitoring.sketch import Array

BINS = 10
PROMISED = 3  # times the floor: models promise about 0.03 more than they keep


def measure_quality(
    scores: Array, labels: Array, baseline: Baseline, settings: MonitorSettings
) -> Quality | None:
    """Compare the labelled rows' AUC with the baseline; None when there are too few.

    Without a stored AUC the reference is the one that the scores promise, were they calibrated.
    Models promise too much, so that three times the loss is then wanted for an alarm.

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
    stored = baseline.sketch.get("quality", {})
    promised = "auc" not in stored
    wanted = expected_auc(scores) if promised else stored["auc"]
    spread = np.sqrt(settings.design_effect * (error**2 + stored.get("auc_error", 0.0) ** 2))
    return Quality(
        rows=len(labels),
        positives=positives,
        auc=found,
        auc_error=error,
        wanted_auc=wanted,
        promised=promised,
        floor=settings.quality_floor * (PROMISED if promised else 1),
        p_value=float(ndtr((found - wanted) / max(spread, 1e-12))),
        mean_score=float(scores.mean()),
        positive_rate=float(labels.mean()),
        log_loss=_log_loss(labels, scores),
        calibration=_calibration(labels, scores),
    )


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
