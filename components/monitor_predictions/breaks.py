"""Is the batch broken, so that nothing it says can be trusted?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from components.monitor_predictions.findings import Baseline, MonitorSettings
from dalsegno.monitoring.policy import Alarm
from dalsegno.monitoring.sketch import SCORE, Array, Sketch, as_numbers, is_absent


def find_breaks(
    frame: pd.DataFrame,
    baseline: Baseline,
    *,
    entity: str,
    target: str,
    settings: MonitorSettings,
) -> list[Alarm]:
    """Find unreadable features, lost values, repeated entities and senseless numbers.

    Args:
        frame: The batch of predictions.
        baseline: Of the champion that predicted.
        entity: Column whose values must differ.
        target: Label column, whose values are 0, 1 or missing.
        settings: With the share of nulls that is a break.
    """
    return [
        *_broken_features(frame, baseline, settings),
        *_broken_entity(frame, entity),
        *_broken_scores(frame),
        *_broken_labels(frame, target),
    ]


def find_missing(frame: pd.DataFrame, wanted: list[str]) -> list[Alarm]:
    """Find columns that did not come."""
    return [
        _alarm(name, "no such column", "entity, features and slices")
        for name in wanted
        if name not in frame.columns
    ]


def are_probabilities(column: pd.Series[Any]) -> Array:
    """Tell which rows have a number from 0 to 1."""
    scores = as_numbers(column)
    return (scores >= 0) & (scores <= 1)


def _broken_features(
    frame: pd.DataFrame, baseline: Baseline, settings: MonitorSettings
) -> Iterator[Alarm]:
    for name in baseline.features:
        sketch = baseline.sketch["columns"].get(name)
        if sketch and name in frame.columns:
            yield from _broken_feature(frame[name], sketch, settings)


def _broken_feature(
    column: pd.Series[Any], sketch: Sketch, settings: MonitorSettings
) -> Iterator[Alarm]:
    name, before = str(column.name), sketch["nulls"] / max(sketch["rows"], 1)
    absent = is_absent(column)
    if sketch["kind"] == "number":
        unreadable = float((np.isnan(as_numbers(column)) & ~absent).mean())
        if unreadable:
            yield _alarm(name, f"{unreadable:.0%} of the values are no numbers", "numbers")
    after = float(absent.mean())
    if after == 1 > before or after - before > settings.null_floor:
        yield _alarm(name, f"{after:.0%} nulls", f"about {before:.0%}")


def _broken_entity(frame: pd.DataFrame, entity: str) -> Iterator[Alarm]:
    repeated = int(frame[entity].duplicated().sum()) if entity in frame.columns else 0
    if repeated:
        yield _alarm(entity, f"{repeated} repeated values", "one row an entity")


def _broken_scores(frame: pd.DataFrame) -> Iterator[Alarm]:
    broken = int((~are_probabilities(frame[SCORE])).sum())
    if broken:
        yield _alarm(SCORE, f"{broken} values outside 0-1", "probabilities")


def _broken_labels(frame: pd.DataFrame, target: str) -> Iterator[Alarm]:
    if target in frame.columns:
        came = frame[target].notna().to_numpy()
        broken = int((came & ~np.isin(as_numbers(frame[target]), (0, 1))).sum())
        if broken:
            yield _alarm(target, f"{broken} labels outside 0 and 1", "0, 1 or none yet")


def _alarm(subject: str, got: str, want: str) -> Alarm:
    return Alarm("data", subject, got=got, want=want, severity="critical")
