"""Fixed-size pictures of columns, so that monitoring never reads the reference rows again.

A sketch is plain JSON. Its size depends on the number of columns, never on the number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BINS = 10
DISCRETE = 20  # a number with at most so many values gets a bin per value
CATEGORIES = 50
SAMPLE = 100_000  # rows that place the bin edges; every row is counted
SCORE = "probability"

Array = npt.NDArray[Any]
Sketch = dict[str, Any]


def sketch_frame(frame: pd.DataFrame, *, seed: int = 0) -> Sketch:
    """Sketch every column, as the reference for drift and bias.

    `dalsegno.monitoring.baseline.sketch_model` adds how well a model ranks, where labels are known.

    Args:
        frame: One row an entity. When it has a column `probability`, columns with few values
            also keep its mean by value (`scores`), the reference for bias over slices.
        seed: Chooses the rows that place bin edges in frames of more than 100,000 rows.

    Returns:
        `{"rows": n, "columns": {name: {"kind": "number" | "category", "rows", "nulls", …}}}`. A
        number has `edges` (inner, ascending; a bin is `[edge, next)`), `counts` (one more than
        edges), `mean` and `std` (None without values), and `values` when every value has its own
        bin. A category has `counts` by value (at most 50) and `other`.
    """
    columns = {str(name): sketch_column(frame[name], seed=seed) for name in frame.columns}
    if SCORE in frame.columns:
        for name, column in columns.items():
            if name != SCORE and (column["kind"] == "category" or "values" in column):
                column["scores"] = _scores(frame[name], frame[SCORE], column)
    return {"rows": len(frame), "columns": columns}


def sketch_column(column: pd.Series[Any], *, seed: int = 0) -> Sketch:
    """Sketch one column; what it is (number or category) follows from its type."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _sketch_number(as_numbers(column), seed)
    return _sketch_category(as_labels(column))


def count_number(sketch: Sketch, column: pd.Series[Any]) -> tuple[Array, int]:
    """Count a column over the bins of a stored sketch.

    Returns:
        Rows per bin, and rows without a usable number.
    """
    numbers = as_numbers(column)
    present = numbers[~np.isnan(numbers)]
    return _histogram(present, np.asarray(sketch["edges"], dtype=float)), len(numbers) - len(
        present
    )


def count_category(sketch: Sketch, column: pd.Series[Any]) -> tuple[dict[str, int], int, int]:
    """Count a column over the values of a stored sketch.

    Returns:
        Rows by known value, rows with any other value, and rows without one.
    """
    labels = as_labels(column)
    found = labels.value_counts()
    counts = {value: int(found.get(value, 0)) for value in sketch["counts"]}
    nulls = int(labels.isna().sum())
    return counts, len(labels) - nulls - sum(counts.values()), nulls


def as_numbers(column: pd.Series[Any]) -> Array:
    """Give float64 of shape (n,); what is no finite number becomes NaN."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def as_labels(column: pd.Series[Any]) -> pd.Series[Any]:
    """Give text labels: whole numbers without a point, missing and empty values as None."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        values, places = np.unique(as_numbers(column), return_inverse=True)
        names = [None if np.isnan(value) else label_of(value) for value in values]
        return pd.Series(np.array(names, dtype=object)[places], index=column.index, dtype=object)
    labels = column.astype(object)
    return labels.where(~is_absent(column), None).map(str, na_action="ignore")


def is_absent(column: pd.Series[Any]) -> Array:
    """Tell which rows have no value: NaN, None or the empty text."""
    return (column.isna() | (column.astype(object) == "")).to_numpy(dtype=bool)


def label_of(number: float) -> str:
    """Name one number, the same for 3 and 3.0."""
    return f"{number:.10g}"


def _sketch_number(numbers: Array, seed: int) -> Sketch:
    present = numbers[~np.isnan(numbers)]
    sketch: Sketch = {"kind": "number", "rows": len(numbers), "nulls": len(numbers) - len(present)}
    values = np.unique(_sample(present, seed))
    if len(values) <= DISCRETE:
        edges = (values[1:] + values[:-1]) / 2
        sketch["values"] = values.tolist()
    else:
        edges = _quantile_edges(_sample(present, seed))
    sketch["edges"] = edges.tolist()
    sketch["counts"] = _histogram(present, edges).tolist()
    sketch["mean"] = float(present.mean()) if len(present) else None
    sketch["std"] = float(present.std()) if len(present) else None
    return sketch


def _sketch_category(labels: pd.Series[Any]) -> Sketch:
    found = labels.value_counts()
    kept = sorted(found.items(), key=lambda item: (-item[1], str(item[0])))[:CATEGORIES]
    return {
        "kind": "category",
        "rows": len(labels),
        "nulls": int(labels.isna().sum()),
        "counts": {str(value): int(count) for value, count in kept},
        "other": int(found.sum()) - sum(int(count) for _, count in kept),
    }


def _scores(column: pd.Series[Any], score: pd.Series[Any], sketch: Sketch) -> Sketch:
    """Give rows, mean and standard deviation of the score, by value of the column."""
    kept = sketch["counts"] if sketch["kind"] == "category" else map(label_of, sketch["values"])
    labels, scores = as_labels(column).to_numpy(), as_numbers(score)
    groups = {value: scores[(labels == value) & ~np.isnan(scores)] for value in kept}
    return {
        value: {"rows": len(part), "mean": float(part.mean()), "std": float(part.std())}
        for value, part in groups.items()
        if len(part)
    }


def _quantile_edges(present: Array) -> Array:
    """Place edges at the deciles; a value that fills several deciles gives one edge."""
    edges = np.unique(np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    above: Array = edges[edges > present.min()]
    return above


def _histogram(present: Array, edges: Array) -> Array:
    bins = np.searchsorted(edges, present, side="right")
    return np.bincount(bins, minlength=len(edges) + 1)


def _sample(present: Array, seed: int) -> Array:
    if len(present) <= SAMPLE:
        return present
    return present[np.random.default_rng(seed).integers(0, len(present), SAMPLE)]
