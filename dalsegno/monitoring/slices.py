"""Cut a frame into slices, and correct for how many of them are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dalsegno.errors import InputError
from dalsegno.monitoring.sketch import DISCRETE, Array, as_labels, as_numbers

MISSING = "missing"


def each_slice(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[str, str, Array]]:
    """Give column, value and the mask of its rows, the values of a column in order.

    A number with more than 20 values is cut at its quartiles; only a category's 20 most
    frequent values are given.

    Raises:
        InputError: A column is not there.
    """
    for column in columns:
        if column not in frame.columns:
            raise InputError(
                f"slices: got column '{column}', want one of {sorted(map(str, frame.columns))}"
            )
        labels = slice_labels(frame[column]).fillna(MISSING)
        for value in sorted(labels.value_counts().index[:DISCRETE]):
            yield column, str(value), (labels == value).to_numpy()


def slice_labels(column: pd.Series[Any]) -> pd.Series[Any]:
    """Name the slice of each row; None where the value is missing."""
    if not pd.api.types.is_numeric_dtype(column.dtype) or column.nunique() <= DISCRETE:
        return as_labels(column)
    numbers = pd.Series(as_numbers(column), index=column.index)
    edges = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
    return (
        pd.cut(numbers, edges.tolist(), include_lowest=True)
        .astype(object)
        .map(str, na_action="ignore")
    )


def holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for their number (Holm, 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
