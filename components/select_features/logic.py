"""Keep the features that trees gain from."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dalsegno.boosting import DEFAULTS, fit_booster, matrix
from dalsegno.encoding import fit_encoder
from dalsegno.errors import InputError
from dalsegno.labels import read_labels

ROUNDS = 100


@dataclass(frozen=True)
class Selection:
    """Features that were looked at, the most important first.

    Attributes:
        gain_shares: By feature its share (0-1) of the loss that all splits took off.
        kept: The fewest features that have the gain share asked for together, in that order.
    """

    gain_shares: dict[str, float]
    kept: list[str]


def select(
    train: pd.DataFrame, *, entity: str, target: str, gain_share: float = 0.995, seed: int = 0
) -> Selection:
    """Rank every column but entity and target by the gain of its splits in XGBoost.

    Args:
        train: One row an entity, labelled.
        entity: Column that tells the rows apart.
        target: Label column, 0 or 1.
        gain_share: Share (0-1) of the total gain to keep.
        seed: Of row and column samples.

    Raises:
        InputError: The share or the examples are not as they must be, or no feature tells
            anything.
    """
    if not 0 < gain_share <= 1:
        raise InputError(f"gain_share: got {gain_share}, want above 0 and at most 1")
    labels = read_labels("training split", train, target, each=1)
    names = [str(name) for name in train.columns if name not in (entity, target)]
    values = fit_encoder(train, names).transform(train)
    booster = fit_booster(matrix(values, labels), {**DEFAULTS, "rounds": ROUNDS}, seed=seed)
    gains = booster.get_score(importance_type="total_gain")
    total = sum(gains.values())
    if not total > 0:
        raise InputError(f"features: got no gain from any of {names}, want at least one that tells")
    shares = {name: gains.get(f"f{place}", 0.0) / total for place, name in enumerate(names)}
    ranked = dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
    return Selection(ranked, _first_with(ranked, gain_share))


def render(selection: Selection) -> str:
    """Draw the gain shares as a self-contained HTML page; features left out are paler."""
    from matplotlib.figure import Figure

    from dalsegno.report import figure_svg, page, paragraph, table

    names = list(selection.gain_shares)
    figure = Figure(figsize=(8, 0.4 + 0.28 * len(names)))
    axes = figure.add_subplot()
    axes.barh(
        names,
        list(selection.gain_shares.values()),
        color=["#2f6fb0" if name in selection.kept else "#b9c3cf" for name in names],
    )
    axes.invert_yaxis()
    axes.set_xlabel("share of the total gain")
    axes.spines[["top", "right"]].set_visible(False)
    rows = [
        {"feature": name, "gain share": share, "kept": name in selection.kept}
        for name, share in selection.gain_shares.items()
    ]
    text = f"{len(selection.kept)} of {len(names)} features kept"
    sections = [("Gain", paragraph(text) + figure_svg(figure)), ("Features", table(rows))]
    return page("Selected features", sections)


def _first_with(ranked: dict[str, float], gain_share: float) -> list[str]:
    kept: list[str] = []
    gained = 0.0
    for name, share in ranked.items():
        if gained >= gain_share - 1e-9 or share <= 0:
            break
        kept.append(name)
        gained += share
    return kept
