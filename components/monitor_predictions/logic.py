"""Look at one batch of predictions: broken, drifted, worse or biased?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.monitor_predictions.bias import find_bias
from components.monitor_predictions.breaks import are_probabilities, find_breaks, find_missing
from components.monitor_predictions.findings import (
    Baseline,
    Findings,
    MonitorSettings,
    Quality,
    SliceFinding,
)
from components.monitor_predictions.quality import measure_quality
from dalsegno.errors import InputError
from dalsegno.monitoring.drift import Drift, compare_frame
from dalsegno.monitoring.policy import Alarm, decide
from dalsegno.monitoring.sketch import SCORE, Array, as_numbers

GAPS = {
    "score": "a mean score as in the baseline",
    "calibration": "as many positives as the scores promise",
    "auc": "the AUC of the baseline",
}


def monitor(
    frame: pd.DataFrame,
    baseline: Baseline,
    settings: MonitorSettings,
    *,
    entity: str,
    target: str,
    slices: list[str],
    released_recently: bool = False,
) -> Findings:
    """Raise the alarms of a batch, and choose the action they ask for.

    A broken batch is judged no further where the break shows: its broken rows and columns are left
    out of what follows.

    Args:
        frame: One row a prediction: features, `probability`, `decision`, and the target where
            labels have come.
        baseline: Of the champion that predicted.
        settings: When a finding becomes an alarm.
        entity: Column that tells the rows apart.
        target: Label column; it may be absent, or NaN where a label has not come.
        slices: Columns to look for bias by.
        released_recently: Whether a loss of quality may be the release's fault.

    Raises:
        InputError: The batch is empty, or no table of predictions.
    """
    check_predictions(frame)
    wanted = [entity, *dict.fromkeys([*baseline.features, *slices])]
    breaks = [
        *find_missing(frame, wanted),
        *find_breaks(frame, baseline, entity=entity, target=target, settings=settings),
    ]
    sound = frame[are_probabilities(frame[SCORE])].reset_index(drop=True)
    labels = labels_of(sound, target)
    drift = compare_frame(baseline.sketch, sound, settings.drift)
    quality = measure_quality(sound[SCORE].to_numpy(dtype=float), labels, baseline, settings)
    found = find_bias(
        sound,
        labels,
        baseline.sketch,
        [name for name in slices if name in sound.columns],
        settings,
    )
    alarms = [
        *breaks,
        *_quality_alarms(quality, settings),
        *_drift_alarms(drift),
        *_bias_alarms(found),
    ]
    action = decide(alarms, released_recently=released_recently)
    return Findings(len(frame), alarms, action, drift, quality, found)


def check_predictions(frame: pd.DataFrame) -> None:
    """Refuse what is no table of predictions.

    Raises:
        InputError: Names what came and what was wanted.
    """
    wanted = [SCORE, "decision"]
    if missing := [name for name in wanted if name not in frame.columns]:
        raise InputError(f"predictions: got no column {missing}, want {wanted} and the features")
    if not len(frame):
        raise InputError("predictions: got 0 rows, want at least 1")


def labels_of(frame: pd.DataFrame, target: str) -> Array:
    """Give the labels as shape (n,); NaN where there is none or no 0 or 1."""
    if target not in frame.columns:
        return np.full(len(frame), np.nan)
    labels = as_numbers(frame[target])
    return np.where(np.isin(labels, (0, 1)), labels, np.nan)


def _quality_alarms(quality: Quality | None, settings: MonitorSettings) -> list[Alarm]:
    if quality is None or quality.p_value >= settings.alpha:
        return []
    if quality.wanted_auc - quality.auc <= quality.floor:
        return []
    source = "as its scores promise" if quality.promised else "as at training"
    return [
        Alarm(
            kind="quality",
            subject="auc",
            got=f"{quality.auc:.3f} on {quality.rows} labelled rows",
            want=f"{quality.wanted_auc:.3f} {source}, or up to {quality.floor} less",
            severity="critical",
        )
    ]


def _drift_alarms(drift: Drift) -> list[Alarm]:
    return [
        Alarm(
            kind="drift",
            subject=column.column,
            got=f"PSI {column.psi:.2f} ({column.text.partition(': ')[2]})",
            want=f"PSI of at most {column.threshold:.2f}",
        )
        for column in drift.drifted
    ]


def _bias_alarms(slices: list[SliceFinding]) -> list[Alarm]:
    return [
        Alarm(
            kind="bias",
            subject=f"{found.column}={found.value}",
            got=f"{gap.kind} off by {gap.size:+.2f} on {found.rows} rows",
            want=GAPS[gap.kind],
        )
        for found in slices
        for gap in found.gaps
        if gap.biased
    ]
