"""How good probabilities are: proper scores, calibration, and decisions at a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BINS = 10


def log_loss(labels: Array, probabilities: Array) -> float:
    """Give the mean negative log likelihood (0 and up); certainty ends at float32's precision."""
    tiny = float(np.finfo(np.float32).eps)
    likely = np.clip(np.asarray(probabilities, dtype=float), tiny, 1 - tiny)
    return float(-np.where(labels == 1, np.log(likely), np.log1p(-likely)).mean())


def brier_score(labels: Array, probabilities: Array) -> float:
    """Give the mean squared error of the probabilities (0-1; Brier, 1950)."""
    return float(np.square(np.asarray(probabilities, dtype=float) - labels).mean())


def calibration_curve(labels: Array, probabilities: Array) -> tuple[Array, Array, Array]:
    """Cut the rows at the deciles of their probabilities; equal probabilities stay together.

    Returns:
        Mean probability, share of positives and rows, an entry a bin that holds rows.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    edges = np.unique(np.quantile(probabilities, np.arange(1, BINS) / BINS))
    bins = np.searchsorted(edges, probabilities, side="left")
    rows = np.bincount(bins, minlength=len(edges) + 1)
    held = rows > 0
    expected = np.bincount(bins, probabilities, len(rows))[held] / rows[held]
    observed = np.bincount(bins, labels, len(rows))[held] / rows[held]
    return expected, observed, rows[held]


def calibration_error(labels: Array, probabilities: Array) -> float:
    """Give the expected calibration error (0-1) over quantile bins (Nguyen and O'Connor, 2015)."""
    expected, observed, rows = calibration_curve(labels, probabilities)
    return float(np.average(np.abs(expected - observed), weights=rows))


def accuracy(labels: Array, decisions: Array) -> float:
    """Give the share of right decisions (0-1)."""
    return float((np.asarray(decisions) == np.asarray(labels)).mean())


def f1_score(labels: Array, decisions: Array) -> float:
    """Give the harmonic mean of precision and recall (0-1); 0 where neither finds a positive."""
    hits = int(np.sum((np.asarray(labels) == 1) & (np.asarray(decisions) == 1)))
    marked = int(np.sum(np.asarray(decisions) == 1) + np.sum(np.asarray(labels) == 1))
    return 2 * hits / marked if marked else 0.0
