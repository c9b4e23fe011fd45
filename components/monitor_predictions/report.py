"""The findings as a page: alarms and the action first, what drifted next, the rest after."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from components.monitor_predictions.findings import Findings, Quality
from dalsegno.monitoring.drift import ColumnDrift, Drift
from dalsegno.report import figure_svg, page, paragraph, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#4c78a8", "#c44e52", "#8a8f98"
SHOWN = 12  # bars of a category: the largest changes
ACTIONS = {
    "none": "Nothing to do.",
    "freeze": "Freeze: the batch is broken; mend the data before anything else.",
    "retrain": "Retrain: the champion no longer fits the traffic.",
    "roll_back": "Roll back: the quality fell right after a release.",
}


def render(findings: Findings) -> str:
    """Lay out the HTML page of one batch."""
    tone = "bad" if findings.alarms else "good"
    action = paragraph(ACTIONS[findings.action], tone)
    alarms = table([asdict(alarm) for alarm in findings.alarms]) if findings.alarms else ""
    return page(
        f"Predictions: {len(findings.alarms)} alarms in {findings.rows:,} rows",
        [
            ("Action", action + alarms),
            *[(column.column, _drifted(column)) for column in findings.drift.drifted],
            ("Drift of every column", _drift(findings.drift)),
            ("Quality", _quality(findings.quality)),
            ("Slices", table(_slice_rows(findings))),
        ],
    )


def column_figure(column: ColumnDrift) -> Figure:
    """Draw the shares of a column's values, baseline beside batch."""
    from matplotlib.figure import Figure

    changes = np.abs(np.subtract(column.current, column.reference))
    shown = sorted(np.argsort(-changes, kind="stable")[:SHOWN].tolist())
    places = np.arange(len(shown))
    figure = Figure(figsize=(7, 2.4))
    axes = figure.subplots()
    for offset, name, shares, colour in (
        (-0.2, "baseline", column.reference, GREY),
        (0.2, "this batch", column.current, BLUE),
    ):
        axes.bar(places + offset, [shares[i] for i in shown], 0.4, label=name, color=colour)
    axes.set_xticks(places, [column.labels[i] for i in shown], rotation=30, ha="right", fontsize=8)
    axes.set_ylabel("share of rows")
    axes.legend(frameon=False, fontsize=9)
    return figure


def drift_figure(drift: Drift) -> Figure:
    """Draw the PSI of every column with its threshold."""
    from matplotlib.figure import Figure

    columns = drift.columns[::-1]
    figure = Figure(figsize=(7, 0.8 + 0.28 * len(columns)))
    axes = figure.subplots()
    places = np.arange(len(columns))
    colours = [RED if column.drifted else BLUE for column in columns]
    axes.barh(places, [column.psi for column in columns], color=colours)
    thresholds = [column.threshold for column in columns]
    axes.plot(thresholds, places, "k|", markersize=12, markeredgewidth=2, label="threshold")
    axes.set_yticks(places, [column.column for column in columns], fontsize=9)
    axes.set_xlabel("population stability index (PSI)")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def calibration_figure(quality: Quality) -> Figure:
    """Draw the share of positives over the mean score, a tenth of the rows a point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    points = [(part["mean_score"], part["positive_rate"]) for part in quality.calibration]
    axes.plot(*zip(*points, strict=True), "o-", color=BLUE)
    axes.set(xlabel="mean score", ylabel="share of positives", aspect="equal")
    return figure


def _drifted(column: ColumnDrift) -> str:
    return paragraph(column.text) + figure_svg(column_figure(column))


def _drift(drift: Drift) -> str:
    rows = [
        {"column": column.column, "PSI": column.psi, "threshold": column.threshold}
        | {"drifted": column.drifted, "change": column.text.partition(": ")[2]}
        for column in drift.columns
    ]
    return (figure_svg(drift_figure(drift)) if rows else "") + table(rows)


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return paragraph("Not judged: too few labels have come.", "soft")
    shown = {name: value for name, value in asdict(quality).items() if name != "calibration"}
    return table([shown]) + figure_svg(calibration_figure(quality))


def _slice_rows(findings: Findings) -> list[dict[str, object]]:
    rows = []
    for found in findings.slices:
        known = {name: value for name, value in asdict(found).items() if name != "gaps"}
        gaps = {f"{gap.kind} gap": gap.size for gap in found.gaps}
        rows.append({**known, **gaps, "biased": any(gap.biased for gap in found.gaps)})
    return rows
