"""The verdict as a page: the decision and its reasons first, the evidence after."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from components.compare_models.verdict import Scored, Verdict
from dalsegno.monitoring.auc import auc, roc_curve
from dalsegno.monitoring.drift import Drift
from dalsegno.report import figure_svg, page, paragraph, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#4c78a8", "#c44e52", "#8a8f98"
SLICE_COLUMNS = ("column", "value", "rows", "positives", "auc_champion", "auc_challenger")


def render(verdict: Verdict, golden: Scored, drift: Drift) -> str:
    """Lay out the HTML page of a verdict."""
    tone, word = ("good", "Blessed") if verdict.blessed else ("bad", "Refused")
    reasons = "".join(paragraph(reason) for reason in verdict.reasons)
    sections = [("Verdict", paragraph(word, tone) + reasons)]
    if verdict.golden:
        sections.append(("Difference of AUC", figure_svg(interval_figure(verdict))))
        sections.append(("Power", paragraph(f"{verdict.power}.")))
    sections.append(("ROC on the golden dataset", figure_svg(roc_figure(golden))))
    sections.append(("Slices", table(_slice_rows(verdict))))
    sections.append(
        ("Golden dataset against the fresh validation split", table(_drift_rows(drift)))
    )
    return page("Challenger against champion", sections)


def interval_figure(verdict: Verdict) -> Figure:
    """Draw each interval of the difference beside the margin."""
    from matplotlib.figure import Figure

    parts = [("golden dataset", verdict.golden), ("validation split", verdict.validation)]
    known = [(name, part) for name, part in parts if part is not None]
    figure = Figure(figsize=(7, 0.9 + 0.5 * len(known)))
    axes = figure.subplots()
    for row, (name, part) in enumerate(known):
        axes.plot([part.lower, part.upper], [row, row], color=BLUE, linewidth=3)
        axes.plot(part.difference, row, "o", color=BLUE)
        axes.annotate(f"{name}, {part.rows:,} rows", (part.lower, row + 0.2), fontsize=9)
    axes.axvline(-verdict.margin, color=RED, linestyle="--", label=f"margin {-verdict.margin:+g}")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(yticks=[], ylim=(len(known) - 0.4, -0.5), xlabel="AUC, challenger minus champion")
    axes.legend(frameon=False, fontsize=9)
    return figure


def roc_figure(golden: Scored) -> Figure:
    """Draw both models' ROC curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5))
    axes = figure.subplots()
    models = [("challenger", golden.challenger, BLUE), ("champion", golden.champion, RED)]
    for name, scores, colour in models:
        if scores is not None:
            label = f"{name}, AUC {auc(golden.labels, scores):.4f}"
            axes.plot(*roc_curve(golden.labels, scores), color=colour, label=label, linewidth=1.5)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return figure


def _slice_rows(verdict: Verdict) -> list[dict[str, object]]:
    rows = []
    for result in verdict.slices:
        known = asdict(result)
        finding = "not judged" if not result.judged else "worse" if result.worse else "not worse"
        rows.append(
            {name: known[name] for name in SLICE_COLUMNS}
            | {"difference": result.difference, "p (Holm)": result.p_value, "finding": finding}
        )
    return rows


def _drift_rows(drift: Drift) -> list[dict[str, object]]:
    return [
        {
            "feature": column.column,
            "PSI": column.psi,
            "threshold": column.threshold,
            "drifted": column.drifted,
            "change": column.text.partition(": ")[2],
        }
        for column in drift.features
    ]
