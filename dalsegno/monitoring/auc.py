"""Area under the ROC curve (AUC), exact with ties: its standard error, and paired bootstraps."""

from __future__ import annotations

import numpy as np

from dalsegno.errors import InputError
from dalsegno.monitoring.sketch import Array

CHUNK_CELLS = 500_000  # bounds memory: draws times rows held at once


def auc(labels: Array, scores: Array) -> float:
    """Give the chance (0-1) that a positive scores above a negative; a tie counts half."""
    above, _ = _placements(labels, scores)
    return float(above.mean())


def auc_error(labels: Array, scores: Array) -> float:
    """Give the standard error of the AUC (DeLong, DeLong and Clarke-Pearson, 1988)."""
    above, below = _placements(labels, scores)
    return float(np.sqrt(_variance_of_mean(above) + _variance_of_mean(below)))


def expected_auc(scores: Array) -> float:
    """Give the AUC that the scores would have if they were the true probabilities.

    The label of each row counts as positive with weight p and as negative with weight 1 - p.
    It needs no labels, and is the reference where none was stored.
    """
    order = np.sort(np.asarray(scores, dtype=float))
    below = np.concatenate([[0.0], np.cumsum(1 - order)])
    low, high = (np.searchsorted(order, order, side=side) for side in ("left", "right"))
    own = order * (1 - order) / 2  # a row is no pair with itself
    pairs = float(np.sum(order * (below[low] + below[high]) / 2 - own))
    total = float(order.sum() * (1 - order).sum() - 2 * own.sum())
    return pairs / total if total > 0 else 0.5


def bootstrap_aucs(labels: Array, models: list[Array], *, draws: int, seed: int) -> Array:
    """Draw rows with replacement within each label, the same rows for every model.

    Each model is sorted once; a draw is a vector of row weights, so ties stay exact.

    Args:
        labels: Shape (n,), 0 or 1, both present.
        models: Scores, one array of shape (n,) a model.
        draws: Number of bootstrap draws.
        seed: Of the draws.

    Returns:
        AUCs of shape (draws, models).
    """
    positive, negative = _split(labels)
    ranks = [_rank(positive, negative, np.asarray(scores)) for scores in models]
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // len(labels))
    parts = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        upper = _weights(rng, size, len(positive))
        lower = _weights(rng, size, len(negative))
        parts.append(np.column_stack([_weighted_aucs(upper, lower, *rank) for rank in ranks]))
    return np.concatenate(parts)


def roc_curve(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Give false and true positive rates (0-1), one point a distinct score, from (0, 0) on."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    last = np.append(np.flatnonzero(np.diff(np.asarray(scores)[order])), len(order) - 1)
    hits = np.cumsum(np.asarray(labels)[order])[last]
    misses = last + 1 - hits
    return np.append(0, misses / misses[-1]), np.append(0, hits / hits[-1])


def _split(labels: Array) -> tuple[Array, Array]:
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if not len(positive) or not len(negative):
        raise InputError(
            f"labels: got {len(positive)} positives and {len(negative)} negatives, want both"
        )
    return positive, negative


def _rank(positive: Array, negative: Array, scores: Array) -> tuple[Array, Array, Array, Array]:
    """Sort both classes; give both orders, and negatives below and not above each positive."""
    down, up = np.argsort(scores[negative]), np.argsort(scores[positive])
    lower, upper = scores[negative][down], scores[positive][up]
    low, high = (np.searchsorted(lower, upper, side=side) for side in ("left", "right"))
    return up, down, low, high


def _weights(rng: np.random.Generator, draws: int, rows: int) -> Array:
    """Give how often each row was drawn, shape (draws, rows)."""
    picks = rng.integers(0, rows, size=(draws, rows), dtype=np.int32)
    picks = picks + rows * np.arange(draws)[:, None]
    counts = np.bincount(picks.ravel(), minlength=draws * rows)
    return counts.reshape(draws, rows).astype(np.float32)


def _weighted_aucs(
    upper: Array, lower: Array, up: Array, down: Array, low: Array, high: Array
) -> Array:
    """Give one AUC a draw; whole and half counts below 2^24 are exact in float32."""
    below = np.zeros((lower.shape[0], lower.shape[1] + 1), dtype=np.float32)
    np.cumsum(lower[:, down], axis=1, out=below[:, 1:])
    beaten = below[:, low] + below[:, high]
    pairs = np.einsum("ij,ij->i", upper[:, up], beaten, dtype=np.float64)
    aucs: Array = pairs / (2.0 * upper.shape[1] * lower.shape[1])
    return aucs


def _placements(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Give the share of the other class that each positive beats, and that beats each negative."""
    positive, negative = _split(labels)
    upper, lower = np.sort(scores[positive]), np.sort(scores[negative])
    above = _mean_rank(lower, upper) / len(lower)
    below = 1 - _mean_rank(upper, lower) / len(upper)
    return above, below


def _mean_rank(others: Array, own: Array) -> Array:
    low, high = np.searchsorted(others, own, "left"), np.searchsorted(others, own, "right")
    ranks: Array = (low + high) / 2
    return ranks


def _variance_of_mean(values: Array) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.25
