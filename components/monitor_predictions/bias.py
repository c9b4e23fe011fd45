"""Does the model treat some slices differently from what it was, or from what is true?

Three gaps a slice: its mean score against the baseline; with labels, its AUC against the baseline,
and its share of positives against its mean score. A slice is never compared with another one: a
model may well score first-class women higher. The gaps of all slices are corrected together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from components.monitor_predictions.findings import Gap, MonitorSettings, SliceFinding
from dalsegno.monitoring.auc import auc, auc_error
from dalsegno.monitoring.sketch import SCORE, Array
from dalsegno.monitoring.slices import each_slice, holm


def find_bias(
    frame: pd.DataFrame,
    labels: Array,
    sketch: dict[str, Any],
    slices: list[str],
    settings: MonitorSettings,
) -> list[SliceFinding]:
    """Measure every slice, and mark those whose gaps are sure and large.

    Args:
        frame: The batch, with `probability` and `decision`.
        labels: Shape (n,), 0 or 1, NaN where the label has not come.
        sketch: Baseline with `scores` by value.
        slices: Columns to cut by.
        settings: Level and floor.
    """
    measured = [
        _measure(column, value, frame[mask], labels[mask], sketch, settings)
        for column, value, mask in each_slice(frame, slices)
    ]
    p_values = iter(holm([gap.p_value for finding in measured for gap in finding.gaps]))
    return [
        replace(finding, gaps=[_marked(gap, next(p_values), settings) for gap in finding.gaps])
        for finding in measured
    ]


def _measure(
    column: str,
    value: str,
    part: pd.DataFrame,
    labels: Array,
    sketch: dict[str, Any],
    settings: MonitorSettings,
) -> SliceFinding:
    scores, known = part[SCORE].to_numpy(dtype=float), ~np.isnan(labels)
    judgeable = min((labels == 1).sum(), (labels == 0).sum()) >= settings.min_labels
    before = sketch["columns"].get(column, {}).get("scores", {}).get(value)
    gaps: list[Gap] = []
    if before and min(len(scores), before["rows"]) >= settings.min_labels:
        gaps.append(_score_gap(scores, before, settings))
    if judgeable:
        gaps.append(_calibration_gap(scores[known], labels[known], settings))
    if judgeable and before and "auc" in before:
        gaps.append(_auc_gap(scores[known], labels[known], before, settings))
    return SliceFinding(
        column=column,
        value=value,
        rows=len(part),
        decided_rate=float(part["decision"].mean()),
        mean_score=float(scores.mean()),
        positive_rate=float(labels[known].mean()) if known.any() else None,
        auc=auc(labels[known], scores[known]) if judgeable else None,
        gaps=gaps,
    )


def _score_gap(scores: Array, before: dict[str, float], settings: MonitorSettings) -> Gap:
    variance = scores.var() / len(scores) + before["std"] ** 2 / before["rows"]
    return _gap("score", scores.mean() - before["mean"], variance, settings)


def _calibration_gap(scores: Array, labels: Array, settings: MonitorSettings) -> Gap:
    variance = max(labels.var(), np.mean(scores * (1 - scores))) / len(labels)
    return _gap("calibration", labels.mean() - scores.mean(), variance, settings)


def _auc_gap(
    scores: Array, labels: Array, before: dict[str, float], settings: MonitorSettings
) -> Gap:
    variance = auc_error(labels, scores) ** 2 + before["auc_error"] ** 2
    return _gap("auc", auc(labels, scores) - before["auc"], variance, settings)


def _gap(kind: str, size: float, variance: float, settings: MonitorSettings) -> Gap:
    from scipy.special import ndtr

    error = np.sqrt(max(variance, 1e-12) * settings.design_effect)
    return Gap(kind, float(size), p_value=float(2 * ndtr(-abs(size) / error)))


def _marked(gap: Gap, p_value: float, settings: MonitorSettings) -> Gap:
    """Adjust the p-value; only a lower AUC is a bias."""
    size = -gap.size if gap.kind == "auc" else abs(gap.size)
    biased = p_value < settings.alpha and size > settings.bias_floor
    return replace(gap, p_value=p_value, biased=biased)
