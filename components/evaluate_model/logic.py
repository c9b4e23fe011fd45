"""Judge a model on labelled examples: overall, and slice by slice."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from dalsegno.encoding import Array
from dalsegno.errors import InputError
from dalsegno.labels import Labels, read_labels
from dalsegno.monitoring.auc import auc, roc_curve
from dalsegno.monitoring.slices import each_slice
from dalsegno.scores import (
    accuracy,
    brier_score,
    calibration_curve,
    calibration_error,
    f1_score,
    log_loss,
)

SLICE_SCORES = ("rows", "auc", "log_loss", "positive_share", "mean_probability")


@dataclass(frozen=True)
class SliceScores:
    """How the model does on the rows with one value of one column.

    `auc` is None when only one label occurs; shares, probabilities and AUC are 0-1.
    """

    column: str
    value: str
    rows: int
    auc: float | None
    log_loss: float
    positive_share: float
    mean_probability: float


@dataclass(frozen=True)
class Evaluation:
    """How the model does.

    Attributes:
        scores: `auc`, `log_loss`, `brier`, `calibration_error` (10 quantile bins), `accuracy` and
            `f1` at `threshold`, `positive_share`, `rows`.
        slices: One entry a value of each column.
    """

    scores: dict[str, float]
    slices: list[SliceScores]


def evaluate(
    test: pd.DataFrame, probabilities: Array, *, target: str, threshold: float, slices: list[str]
) -> Evaluation:
    """Compare probabilities with labels.

    Args:
        test: One row an entity, labelled.
        probabilities: Of class 1 (0-1), shape (rows,).
        target: Label column, 0 or 1.
        threshold: Class 1 from there on (0-1).
        slices: Columns by whose values the model is judged apart.

    Raises:
        InputError: A column is missing, or the labels are not as they must be.
    """
    if len(probabilities) != len(test):
        raise InputError(f"probabilities: got {len(probabilities)}, want {len(test)}")
    labels = read_labels("test split", test, target, each=1)
    decisions = probabilities >= threshold
    scores = {
        "auc": auc(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "brier": brier_score(labels, probabilities),
        "calibration_error": calibration_error(labels, probabilities),
        "accuracy": accuracy(labels, decisions),
        "f1": f1_score(labels, decisions),
        "threshold": threshold,
        "positive_share": float(labels.mean()),
        "rows": len(labels),
    }
    found = [
        _score_slice(column, value, labels[rows], probabilities[rows])
        for column, value, rows in each_slice(test, slices)
    ]
    return Evaluation(scores, found)


def flatten(evaluation: Evaluation) -> dict[str, float]:
    """Give all scores as finite numbers by names that MLflow takes: `auc`, `auc.sex.female`."""
    flat = dict(evaluation.scores)
    for part in evaluation.slices:
        for score in SLICE_SCORES:
            value = getattr(part, score)
            if value is not None:
                flat[re.sub(r"[^\w.-]+", "_", f"{score}.{part.column}.{part.value}")] = value
    return flat


def render(evaluation: Evaluation, labels: Labels, probabilities: Array) -> str:
    """Draw ROC curve, calibration and slices as a self-contained HTML page."""
    from dalsegno.report import page, table

    overall = [{"score": name, "value": value} for name, value in evaluation.scores.items()]
    slices = [
        {"slice": f"{part.column} = {part.value}"}
        | {name.replace("_", " "): getattr(part, name) for name in SLICE_SCORES}
        for part in evaluation.slices
    ]
    curves = _draw_curves(labels, probabilities)
    return page(
        "Evaluated model",
        [("Scores", table(overall)), ("Curves", curves), ("Slices", table(slices))],
    )


def _score_slice(column: str, value: str, labels: Labels, probabilities: Array) -> SliceScores:
    has_both = 0 < labels.sum() < len(labels)
    return SliceScores(
        column=column,
        value=value,
        rows=len(labels),
        auc=auc(labels, probabilities) if has_both else None,
        log_loss=log_loss(labels, probabilities),
        positive_share=float(labels.mean()),
        mean_probability=float(probabilities.mean()),
    )


def _draw_curves(labels: Labels, probabilities: Array) -> str:
    from matplotlib.figure import Figure

    from dalsegno.report import figure_svg

    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    left.plot(*roc_curve(labels, probabilities), color="#2f6fb0")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC curve")
    expected, observed, _ = calibration_curve(labels, probabilities)
    right.plot(expected, observed, "o-", color="#2f6fb0")
    right.set(xlabel="mean probability", ylabel="share of positives", title="Calibration")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], "--", color="#9aa5b4", linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
    return figure_svg(figure)
