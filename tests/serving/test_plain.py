"""What is read in one go, and what is left to those who tell what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dalsegno.errors import InputError
from dalsegno.serving.plain import PlainTensors, read_plain
from dalsegno.serving.tensors import read_columns

WANTED = {"sex": "BYTES", "age": "FP32"}
SEX = {"name": "sex", "datatype": "BYTES", "shape": [2], "data": ["female", None]}
AGE = {"name": "age", "datatype": "FP64", "shape": [2], "data": [30, 0.1]}
MUCH = 10**400


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize(
    "age",
    [AGE, {**AGE, "datatype": "INT64", "data": [1, 2]}, {**AGE, "data": [None, -3.5]},
     {**AGE, "datatype": "BOOL", "data": [True, False]}],
)  # fmt: skip
def test_plain_inputs_are_read_as_one_by_one(shape: list[int], age: dict[str, Any]) -> None:
    plain = read_plain([{**age, "shape": shape}, {**SEX, "shape": shape}])
    assert plain is not None
    found = plain.columns(WANTED)
    assert found is not None
    expected = read_columns(list(plain), WANTED)
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert (found[name].shape, found[name].dtype) == ((2, 1), column.dtype)
        assert found[name].tolist() == column.tolist() or name == "age"
        assert np.array_equal(found["age"], expected["age"], equal_nan=True)
    assert plain.rows == len(plain) == 2
    assert plain[0].name == "age"
    assert [each.name for each in plain[1:]] == ["sex"]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": 3}, {"name": "sex", "datatype": "BYTES"}, {"shape": [3]}, {"shape": [2.0]},
        {"shape": [2, True]}, {"shape": [2, 2]},
        {"shape": [1, 2]}, {"shape": 2}, {"shape": []}, {"data": [1.0]}, {"data": "ab"},
        {"data": [[1.0], [2.0]]}, {"data": ["1", "2"]}, {"data": [True, 1.0]}, {"datatype": "X"},
        {"datatype": ["FP32"]}, {"datatype": "INT8"}, {"parameters": {}},
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_others(changed: dict[str, Any]) -> None:
    assert read_plain([SEX, {**AGE, **changed}]) is None
    assert read_plain([{**AGE, **changed}, SEX]) is None


@pytest.mark.parametrize("items", [[], [1], [None], [[]], [{}], [{"shape": [0], "data": []}]])
def test_nothing_is_not_plain(items: list[Any]) -> None:
    assert read_plain(items) is None


def test_columns_of_another_model_are_left_to_others() -> None:
    plain = read_plain([SEX, AGE])
    assert isinstance(plain, PlainTensors)
    assert plain.columns({"sex": "BYTES"}) is None
    assert plain.columns({"sex": "FP32", "age": "FP32"}) is None
    assert plain.columns({"sex": "BYTES", "age": "BYTES"}) is None
    assert plain.columns({"sex": "BYTES", "fare": "FP32"}) is None
    twice = read_plain([SEX, {**AGE, "name": "sex"}])
    assert twice is None or twice.columns({"sex": "BYTES", "age": "FP32"}) is None


@pytest.mark.parametrize("much", [1e39, -1e39, MUCH, -MUCH])
def test_infinity_is_named(much: float) -> None:
    fare = {**AGE, "name": "fare", "data": [None, much]}
    plain = read_plain([SEX, AGE, fare])
    assert plain is not None
    with pytest.raises(InputError, match="input 'fare': got infinity, want finite numbers or null"):
        plain.columns({**WANTED, "fare": "FP32"})
