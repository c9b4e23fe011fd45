"""Decide whether a challenger may replace the champion: a test of non-inferiority.

A challenger is blessed when the golden dataset proves, with the confidence asked for, that it is
not worse than the champion by `margin` or more, and when no slice and no fresh row says otherwise.
The burden of proof lies with the challenger: too few golden rows refuse it, they do not pass it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd

from components.compare_models import reasons
from components.compare_models.verdict import (
    POWER,
    Difference,
    GateSettings,
    Power,
    Scored,
    SliceResult,
    Verdict,
)
from dalsegno.errors import InputError
from dalsegno.monitoring.auc import auc, bootstrap_aucs
from dalsegno.monitoring.drift import Drift, DriftSettings, compare_frame
from dalsegno.monitoring.sketch import Array, sketch_frame
from dalsegno.monitoring.slices import each_slice, holm

GOLDEN_DRIFT = DriftSettings(alpha=0.01, design_effect=1.0)


def compare(
    golden: Scored,
    validation: Scored,
    slices: pd.DataFrame,
    drift: Drift,
    settings: GateSettings,
) -> Verdict:
    """Compare the challenger with the champion, or with the floor when there is no champion.

    Args:
        golden: The fixed evaluation set, scored.
        validation: The fresh validation split, scored.
        slices: The golden rows' slice columns, aligned with `golden`.
        drift: The fresh validation split against the golden dataset.
        settings: What has to be proven.

    Raises:
        InputError: Scores or labels are unusable.
    """
    check_scored(golden)
    check_scored(validation, both=False)
    measured = _against_champion(golden, settings)
    fresh = _against_champion(validation, settings)
    power = power_of(measured, settings) if measured else None
    judged = measure_slices(golden, slices, settings)
    auc_challenger = auc(golden.labels, golden.challenger)
    findings = [
        reasons.judge_rows(len(golden.labels), power, settings),
        reasons.judge_age(drift, settings),
        reasons.judge_floor(auc_challenger, settings),
        *([reasons.judge_golden(measured, settings)] if measured else []),
        *(reasons.judge_fresh(validation, fresh, settings) if golden.champion is not None else []),
        *reasons.judge_slices(judged, settings),
    ]
    blessed = all(passed for passed, _ in findings)
    return Verdict(
        blessed=blessed,
        reasons=[reason for passed, reason in findings if passed == blessed],
        golden_rows=len(golden.labels),
        auc_challenger=auc_challenger,
        auc_champion=measured.auc_champion if measured else None,
        margin=settings.margin,
        confidence=settings.confidence,
        golden=measured,
        validation=fresh,
        power=power,
        slices=judged,
        drift_share=drift.drift_share,
        drifted=[column.text for column in drift.features if column.drifted],
    )


class Model(Protocol):
    """What the gate asks of a model."""

    @property
    def features(self) -> list[str]:
        """Give the columns it reads."""

    def predict(self, frame: pd.DataFrame) -> Array:
        """Give the probability of label 1, shape (n,)."""


def score(
    name: str, frame: pd.DataFrame, target: str, challenger: Model, champion: Model | None
) -> Scored:
    """Score one labelled dataset with both models.

    Raises:
        InputError: The target or a feature is not there.
    """
    wanted = {target, *features_of(challenger, champion)}
    if missing := sorted(wanted - set(frame.columns)):
        raise InputError(f"{name}: got no column {missing}, want {sorted(wanted)}")
    return Scored(
        name=name,
        labels=frame[target].to_numpy(dtype=float, na_value=np.nan),
        challenger=challenger.predict(frame),
        champion=champion.predict(frame) if champion else None,
    )


def features_of(challenger: Model, champion: Model | None) -> list[str]:
    """Give the features that either model reads."""
    return sorted({*challenger.features, *(champion.features if champion else [])})


def slice_columns(golden: pd.DataFrame, slices: list[str]) -> pd.DataFrame:
    """Take the slice columns of the golden dataset.

    Raises:
        InputError: One is not there; the known ones are named.
    """
    if missing := [name for name in slices if name not in golden.columns]:
        raise InputError(f"slices: got {missing}, want some of {sorted(map(str, golden.columns))}")
    return golden[slices]


def golden_drift(golden: pd.DataFrame, validation: pd.DataFrame, features: list[str]) -> Drift:
    """Compare the fresh validation split with the golden dataset, feature by feature.

    It is more easily moved than an alarm is, because many features must have drifted, not one. Nor
    does it allow for families: the splits are dealt row by row, which parts them.
    """
    return compare_frame(sketch_frame(golden[features]), validation, GOLDEN_DRIFT)


def check_scored(scored: Scored, *, both: bool = True) -> None:
    """Refuse labels and scores that no AUC can be made of.

    Raises:
        InputError: Names the dataset, what came and what was wanted.
    """
    labels = scored.labels
    if not len(labels):
        raise InputError(f"{scored.name}: got 0 rows, want labelled rows")
    if not np.isin(labels, (0, 1)).all():
        raise InputError(
            f"{scored.name}: got {int((~np.isin(labels, (0, 1))).sum())} labels outside 0 and 1, "
            "want only 0 and 1"
        )
    if both and not np.ptp(labels):
        raise InputError(f"{scored.name}: got only label {labels[0]:g}, want both 0 and 1")
    for model, scores in (("challenger", scored.challenger), ("champion", scored.champion)):
        if scores is not None and not (len(scores) == len(labels) and np.isfinite(scores).all()):
            raise InputError(
                f"{model} on {scored.name}: got {int(np.isfinite(scores).sum())} finite scores, "
                f"want {len(labels)}"
            )


def difference(
    labels: Array, champion: Array, challenger: Array, settings: GateSettings
) -> Difference:
    """Measure the paired difference with a percentile bootstrap, stratified by label."""
    models = [champion, challenger]
    draws = bootstrap_aucs(labels, models, draws=settings.bootstraps, seed=settings.seed)
    differences = draws[:, 1] - draws[:, 0]
    lower, upper = np.quantile(differences, [1 - settings.confidence, settings.confidence])
    before, after = (auc(labels, scores) for scores in models)
    return Difference(
        rows=len(labels),
        auc_champion=before,
        auc_challenger=after,
        difference=after - before,
        lower=float(lower),
        upper=float(upper),
        standard_error=float(differences.std()),
    )


def _against_champion(scored: Scored, settings: GateSettings) -> Difference | None:
    if scored.champion is None or not np.ptp(scored.labels):
        return None
    return difference(scored.labels, scored.champion, scored.challenger, settings)


def power_of(measured: Difference, settings: GateSettings) -> Power:
    """State the power from the standard error, taking the difference as normal.

    Refused is who has difference - z * error <= -margin, so a true loss L is refused with
    probability Phi((L - margin + z * error) / error).
    """
    from scipy.special import ndtr, ndtri

    error, z = measured.standard_error, ndtri(settings.confidence)
    detectable = settings.margin + (ndtri(POWER) - z) * error
    equal = ndtr(z - settings.margin / error) if error > 0 else 0.0
    return Power(detectable_loss=float(max(detectable, 0.0)), equal_refused=float(equal))


def measure_slices(
    golden: Scored, slices: pd.DataFrame, settings: GateSettings
) -> list[SliceResult]:
    """Test every slice for a loss past the slice margin, and correct for their number."""
    found = [
        _measure_slice(golden, column, value, mask, settings)
        for column, value, mask in each_slice(slices, list(map(str, slices.columns)))
    ]
    adjusted = iter(holm([result.p_value for result in found if result.p_value is not None]))
    return [
        result if result.p_value is None else _with_p_value(result, next(adjusted), settings)
        for result in found
    ]


def _measure_slice(
    golden: Scored, column: str, value: str, mask: Array, settings: GateSettings
) -> SliceResult:
    from scipy.special import ndtr

    labels = golden.labels[mask]
    positives = int(labels.sum())
    unjudged = SliceResult(column, value, rows=len(labels), positives=positives)
    if min(positives, len(labels) - positives) < settings.min_slice_rows:
        return unjudged
    if golden.champion is None:
        return replace(unjudged, auc_challenger=auc(labels, golden.challenger[mask]))
    measured = difference(labels, golden.champion[mask], golden.challenger[mask], settings)
    excess = measured.difference + settings.slice_margin
    error = max(measured.standard_error, 1e-12)
    return replace(
        unjudged,
        auc_champion=measured.auc_champion,
        auc_challenger=measured.auc_challenger,
        difference=measured.difference,
        p_value=float(ndtr(excess / error)),
        judged=True,
    )


def _with_p_value(result: SliceResult, p_value: float, settings: GateSettings) -> SliceResult:
    return replace(result, p_value=p_value, worse=p_value < 1 - settings.confidence)
