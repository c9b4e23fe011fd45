"""Turn columns into the numbers that trees take, by what was seen in the training split alone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from dalsegno.errors import InputError

Array = npt.NDArray[Any]
Datatype = Literal["BYTES", "FP32"]

MIN_ROWS = 5  # a rarer category tells no more than "other"
OTHER = 0.0  # the code of rare, unseen and missing categories
NUMBERS = (Real, Decimal, np.bool_)


@dataclass(frozen=True)
class Imputation:
    """How a missing number is filled in.

    Attributes:
        by: Text column whose value chooses the number.
        values: Median by that value.
        otherwise: Median of all rows, for values not seen.
    """

    by: str
    values: dict[str, float]
    otherwise: float


@dataclass(frozen=True)
class Encoder:
    """What was fitted on the training split.

    Attributes:
        features: Columns of the matrix, in order.
        inputs: Columns of the frame and their datatypes: the features, then the columns that are
            only there to choose imputed values.
        categories: By text column its known values; the first has code 1.
        imputation: By number column. Other missing numbers stay NaN: the trees have learned
            which way those go.
    """

    features: list[str]
    inputs: dict[str, Datatype]
    categories: dict[str, list[str]]
    imputation: dict[str, Imputation]

    def transform(self, frame: pd.DataFrame) -> Array:
        """Encode rows as float32 of shape (rows, features)."""
        columns = read_inputs(frame, self.inputs)
        encoded = [self._encode(name, columns).reshape(-1) for name in self.features]
        return np.stack(encoded, axis=1).astype(np.float32)

    def _encode(self, name: str, columns: dict[str, Array]) -> Array:
        values = columns[name].reshape(-1)
        if name in self.categories:
            codes = {value: code for code, value in enumerate(self.categories[name], 1)}
            return np.array([codes.get(value, OTHER) for value in values])
        if name in self.imputation:
            rule = self.imputation[name]
            groups = columns[rule.by].reshape(-1)
            filled = [rule.values.get(group, rule.otherwise) for group in groups]
            return np.where(np.isnan(values), filled, values)
        return values


def fit_encoder(
    train: pd.DataFrame, features: list[str], impute_by: dict[str, str] | None = None
) -> Encoder:
    """Learn categories and medians from the training split.

    Args:
        train: One row an entity.
        features: Columns to encode.
        impute_by: Number column to the text column whose groups' medians fill it in. Columns
            that are no features are passed over.

    Raises:
        InputError: A column is missing, given twice or of the wrong type.
    """
    if not features or len(set(features)) != len(features):
        raise InputError(f"features: got {features}, want at least one, each once")
    groups = {name: by for name, by in (impute_by or {}).items() if name in features}
    names = list(dict.fromkeys([*features, *groups.values()]))
    check_columns("examples", train, names)
    inputs = {name: datatype_of(train[name]) for name in names}
    for name, by in groups.items():
        if (inputs[name], inputs[by]) != ("FP32", "BYTES"):
            raise InputError(f"impute_by {name}: got '{by}', want a text column to fill in numbers")
    columns = read_inputs(train, inputs)
    texts = [name for name in features if inputs[name] == "BYTES"]
    return Encoder(
        features=list(features),
        inputs=inputs,
        categories={name: _categories(columns[name]) for name in texts},
        imputation={name: _medians(columns, name, by) for name, by in groups.items()},
    )


def datatype_of(column: pd.Series[Any]) -> Datatype:
    """Tell numbers (also booleans and decimals) from text."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "FP32"
    present = column.dropna()
    is_number = len(present) > 0 and all(isinstance(value, NUMBERS) for value in present)
    return "FP32" if is_number else "BYTES"


def read_inputs(frame: pd.DataFrame, inputs: dict[str, Datatype]) -> dict[str, Array]:
    """Read columns as the model takes them, whatever their types are in the frame.

    Returns:
        By name an array of shape (rows, 1): text without missing values ("" instead), or float32
        with NaN.

    Raises:
        InputError: A column is missing, or a number column holds something else.
    """
    check_columns("examples", frame, list(inputs))
    readers = {"BYTES": read_text, "FP32": read_numbers}
    return {
        name: readers[datatype](frame[name]).reshape(-1, 1) for name, datatype in inputs.items()
    }


def check_columns(subject: str, frame: pd.DataFrame, wanted: list[str]) -> None:
    """Name the columns that are not there.

    Raises:
        InputError: There is at least one.
    """
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise InputError(
            f"{subject}: got columns {sorted(map(str, frame.columns))}, want {missing}"
        )


def read_text(column: pd.Series[Any]) -> Array:
    """Read text of shape (rows,); whole numbers without a point, missing values as ""."""
    missing = column.isna().to_numpy()
    labels = [
        "" if gone else _label(value) for value, gone in zip(column.tolist(), missing, strict=True)
    ]
    return np.array(labels, dtype=object)


def read_numbers(column: pd.Series[Any]) -> Array:
    """Read float32 of shape (rows,); missing values as NaN.

    Raises:
        InputError: A value is no number, or is none that float32 can hold.
    """
    if not pd.api.types.is_numeric_dtype(column.dtype):
        present = column.dropna()
        wrong = [type(value).__name__ for value in present if not isinstance(value, NUMBERS)]
        if wrong:
            raise InputError(
                f"column '{column.name}': got {wrong[0]} in {len(wrong)} of {len(column)} rows, "
                "want numbers"
            )
        column = column.where(column.notna(), np.nan).astype(float)
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    infinite = int(np.isinf(narrow).sum())
    if infinite:
        raise InputError(
            f"column '{column.name}': got infinity in {infinite} of {len(column)} rows, "
            "want finite numbers"
        )
    return narrow


def _label(value: object) -> str:
    if isinstance(value, Real) and not isinstance(value, bool | Integral):
        number = float(value)
        return str(int(number)) if number.is_integer() else f"{number:.10g}"
    return str(value)


def _categories(values: Array) -> list[str]:
    """List the values that are frequent enough, the most frequent first."""
    found, counts = np.unique(values.reshape(-1).astype(str), return_counts=True)
    kept = [
        (-int(count), str(value))
        for value, count in zip(found, counts, strict=True)
        if value != "" and count >= MIN_ROWS
    ]
    return [value for _, value in sorted(kept)]


def _medians(columns: dict[str, Array], name: str, by: str) -> Imputation:
    values = pd.Series(columns[name].reshape(-1)).dropna()
    if values.empty:
        raise InputError(f"impute_by {name}: got no value in the training split, want at least one")
    groups = pd.Series(columns[by].reshape(-1))[values.index]
    medians = values[groups != ""].groupby(groups).median()
    return Imputation(
        by=by,
        values={str(group): float(np.float32(median)) for group, median in medians.items()},
        otherwise=float(np.float32(values.median())),
    )
