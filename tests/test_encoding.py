from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dalsegno.encoding import MIN_ROWS, fit_encoder, read_numbers, read_text
from dalsegno.errors import InputError

TRAIN = pd.DataFrame(
    {
        "port": ["S"] * 6 + ["C"] * 5 + ["Q"] * 4 + [None],
        "age": [10.0, 20.0, 30.0] + [np.nan] * 3 + [40.0, 50.0] + [np.nan] * 3 + [1.0] * 4 + [90.0],
    }
)


def test_encoder_gives_frequent_categories_codes() -> None:
    encoder = fit_encoder(TRAIN, ["port"])
    assert encoder.categories == {"port": ["S", "C"]}
    assert MIN_ROWS == 5
    rows = pd.DataFrame({"port": ["S", "C", "Q", "unseen", None, ""]})
    assert encoder.transform(rows).ravel().tolist() == [1, 2, 0, 0, 0, 0]


def test_encoder_fills_numbers_by_group() -> None:
    encoder = fit_encoder(TRAIN, ["age"], {"age": "port", "absent": "port"})
    assert encoder.imputation["age"].values == {"S": 20.0, "C": 45.0, "Q": 1.0}
    assert encoder.imputation["age"].otherwise == 15.0
    assert encoder.inputs == {"age": "FP32", "port": "BYTES"}
    rows = pd.DataFrame({"port": ["S", "C", "unseen", None, "S"], "age": [None] * 4 + [7.0]})
    assert encoder.transform(rows).ravel().tolist() == [20, 45, 15, 15, 7]


def test_encoder_leaves_other_numbers_missing() -> None:
    encoder = fit_encoder(TRAIN, ["age"])
    assert np.isnan(encoder.transform(pd.DataFrame({"age": [np.nan]}))).all()


@pytest.mark.parametrize(
    ("features", "impute_by", "message"),
    [
        ([], {}, "at least one"),
        (["age", "age"], {}, "each once"),
        (["fare"], {}, r"got columns \['age', 'port'\], want \['fare'\]"),
        (["port"], {"port": "age"}, "impute_by port: got 'age', want a text column"),
        (["age"], {"age": "fare"}, r"want \['fare'\]"),
    ],
    ids=["none", "twice", "missing", "wrong-types", "missing-group"],
)
def test_encoder_refuses(features: list[str], impute_by: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_encoder(TRAIN, features, impute_by)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0, np.nan, 0.0]),
        pd.Series([1, None, 0], dtype=object),
        pd.Series([1, None, 0], dtype="Int64"),
        pd.Series([True, None, False], dtype=object),
        pd.Series([True, pd.NA, False], dtype="boolean"),
        pd.Series([Decimal(1), None, Decimal(0)], dtype=object),
        pd.Series([np.bool_(True), pd.NA, np.int64(0)], dtype=object),
    ],
    ids=["float", "object", "Int64", "bools", "boolean", "decimal", "mixed"],
)
def test_numbers_are_read_whatever_their_type(column: pd.Series[Any]) -> None:
    numbers = read_numbers(column)
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, [1, np.nan, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["22", None, 3], "column 'age': got str in 1 of 3 rows, want numbers"),
        ([1e39, 1.0, None], "column 'age': got infinity in 1 of 3 rows, want finite numbers"),
        ([pd.Timestamp(0)] * 3, "got Timestamp in 3 of 3 rows, want numbers"),
    ],
    ids=["text", "too-large", "time"],
)
def test_numbers_refuse_anything_else(values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_numbers(pd.Series(values, name="age"))


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pd.Series(["a", None, "", np.nan]), ["a", "", "", ""]),
        (pd.Series([3, 1]), ["3", "1"]),
        (pd.Series([3.0, None, 0.5, 12345678901.0]), ["3", "", "0.5", "12345678901"]),
        (pd.Series(["a", pd.NA], dtype="string"), ["a", ""]),
        (pd.Series(["a", None], dtype="category"), ["a", ""]),
        (pd.Series([True, None], dtype=object), ["True", ""]),
    ],
    ids=["object", "int", "float", "string", "category", "bool"],
)
def test_text_is_read_whatever_its_type(column: pd.Series[Any], texts: list[str]) -> None:
    assert read_text(column).tolist() == texts
