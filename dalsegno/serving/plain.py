"""The usual request, read in one go: every input flat JSON, of one shape, each value as it must be.

What is not so plain is read input by input, by `protocol` and `tensors`, which tell what is wrong.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np

from dalsegno.serving.tensors import JSON_KINDS, Array, Tensor, as_columns

_FLOAT_KINDS = JSON_KINDS["FP32"]
_KEYS = 4  # name, datatype, shape, data


class PlainTensors(Sequence[Tensor]):
    """Tensors of a request, made only if somebody looks at one.

    Args:
        items: As they came.
        texts: Values by name of what is text.
        numbers: Values by name of what is a number.
        rows: Of each.
    """

    __slots__ = ("_items", "_numbers", "_texts", "rows")

    def __init__(
        self,
        items: list[dict[str, Any]],
        texts: dict[str, list[Any]],
        numbers: dict[str, list[Any]],
        rows: int,
    ) -> None:
        self._items = items
        self._texts = texts
        self._numbers = numbers
        self.rows = rows

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return [_tensor(item) for item in self._items[index]]
        return _tensor(self._items[index])

    def columns(self, wanted: Mapping[str, str]) -> dict[str, Array] | None:
        """Return the columns as a model takes them; None if it takes others.

        Raises:
            InputError: A number is infinite as FP32.
        """
        texts, numbers = self._texts, self._numbers
        if len(texts) + len(numbers) != len(wanted):
            return None
        try:
            for name in texts:
                if wanted[name] != "BYTES":
                    return None
            for name in numbers:
                if wanted[name] != "FP32":
                    return None
        except KeyError:
            return None
        try:
            columns = _floats(numbers, self.rows)
        except (OverflowError, struct.error):
            return as_columns(texts, numbers)  # it tells which
        return columns | as_columns(texts, {}) if texts else columns


def read_plain(items: list[Any]) -> PlainTensors | None:
    """Read the inputs of a request; None if they are not plain."""
    texts: dict[str, list[Any]] = {}
    numbers: dict[str, list[Any]] = {}
    values: list[Any] = []
    try:
        shape = items[0]["shape"]
        rows = shape[0]
        for item in items:
            name, datatype, given, data = (
                item["name"], item["datatype"], item["shape"], item["data"],
            )  # fmt: skip
            if (
                given != shape
                or type(given[0]) is not int  # True and 1.0 are equal to 1, and no sizes
                or type(given[-1]) is not int
                or type(name) is not str
                or type(data) is not list
                or len(data) != rows
                or len(item) != _KEYS
            ):
                return None
            if datatype == "FP32":
                numbers[name] = data
                values += data
            elif not JSON_KINDS[datatype].issuperset(map(type, data)):
                return None
            elif datatype == "BYTES":
                texts[name] = [value or "" for value in data] if None in data else data
            else:
                numbers[name] = data
    except (KeyError, TypeError, IndexError):
        return None
    is_plain = (
        rows > 0
        and (len(shape) == 1 or shape == [rows, 1])
        and len(texts) + len(numbers) == len(items)
        and _FLOAT_KINDS.issuperset(map(type, values))
    )
    return PlainTensors(items, texts, numbers, rows) if is_plain else None


def _floats(numbers: Mapping[str, list[Any]], rows: int) -> dict[str, Array]:
    """Make arrays of finite numbers and nulls: for a few rows it takes half of numpy's own time.

    Raises:
        OverflowError, struct.error: One is infinite as FP32.
    """
    values = list(chain.from_iterable(numbers.values()))
    if None in values:
        values = [math.nan if value is None else value for value in values]
    packed = struct.pack(f"<{len(values)}f", *values)
    block = np.frombuffer(packed, dtype="<f4").reshape(len(numbers), rows, 1)
    return dict(zip(numbers, block, strict=True))


def _tensor(item: dict[str, Any]) -> Tensor:
    return Tensor(item["name"], item["datatype"], item["shape"], item["data"])
