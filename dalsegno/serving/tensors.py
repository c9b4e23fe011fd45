"""Tensors as they come by any of the protocol's ways, read as the columns that a model takes.

Values are JSON values, a message's typed contents, or raw bytes: numbers little-endian, texts each
after its length in four bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dalsegno.errors import InputError

Array = npt.NDArray[Any]
TYPES: Mapping[str, str] = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
"""By the protocol's datatype that of numpy, for all but texts."""

FLOATS = ("FP16", "FP32", "FP64")
INTEGERS = tuple(name for name in TYPES if "INT" in name)
_ACCEPTED = {
    "BYTES": dict.fromkeys(("BYTES", *INTEGERS)),
    "FP32": dict.fromkeys((*FLOATS, *INTEGERS, "BOOL")),
}
_LENGTH = struct.Struct("<I")
_Kinds = frozenset[type]
_Values = list[Any] | Array
_INTEGER_KINDS: _Kinds = frozenset({int})
_BOOL_KINDS: _Kinds = frozenset({bool})
_NUMBER_KINDS: _Kinds = frozenset({int, float, type(None)})
_TEXT_KINDS: _Kinds = frozenset({str, type(None)})
JSON_KINDS: Mapping[str, _Kinds] = {
    **dict.fromkeys(FLOATS, _NUMBER_KINDS),
    **dict.fromkeys(INTEGERS, _INTEGER_KINDS),
    "BOOL": _BOOL_KINDS,
    "BYTES": _TEXT_KINDS,
}
"""By datatype the types that its values may have in JSON."""
_WANTED = {
    _NUMBER_KINDS: "numbers or null",
    _INTEGER_KINDS: "whole numbers",
    _BOOL_KINDS: "true or false",
    _TEXT_KINDS: "text or null",
}


@dataclass(slots=True)
class Tensor:
    """One column as it came: row-major, flat or nested.

    Attributes:
        name: Of the column.
        datatype: By the protocol: FP32, BYTES, …
        shape: [rows] or [rows, 1].
        values: JSON values or an array.
        raw_bytes: That it took after the JSON.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    values: list[Any] | Array
    raw_bytes: int = 0


def read_columns(tensors: Sequence[Tensor], wanted: Mapping[str, str]) -> dict[str, Array]:
    """Read the columns as a model takes them; what only other releases take is passed over.

    Args:
        tensors: As they came.
        wanted: Datatype by name of the model's inputs, `BYTES` or `FP32`.

    Returns:
        By name an array of shape (rows, 1): text as objects, numbers as float32 with NaN for null.

    Raises:
        InputError: A column is missing or given twice, or has another shape or type.
    """
    if len(tensors) != len(wanted) or {tensor.name for tensor in tensors} != wanted.keys():
        tensors = _choose(tensors, wanted)
    texts: dict[str, _Values] = {}
    numbers: dict[str, _Values] = {}
    for tensor in tensors:
        if wanted[tensor.name] == "BYTES":
            texts[tensor.name] = _texts(tensor)
        else:
            numbers[tensor.name] = _numbers(tensor)
    _check_rows(tensors)
    return as_columns(texts, numbers)


def as_columns(texts: Mapping[str, _Values], numbers: Mapping[str, _Values]) -> dict[str, Array]:
    """Make arrays of columns that have the same number of rows.

    Args:
        texts: Values by name of what is text.
        numbers: Values by name of what is a number.

    Returns:
        By name an array of shape (rows, 1): text as objects, numbers as float32 with NaN for null.

    Raises:
        InputError: A number is infinite as FP32.
    """
    columns: dict[str, Array] = {}
    if texts:
        block = np.array(list(texts.values()), dtype=object)
        columns = dict(zip(texts, block[..., None], strict=True))
    if numbers:
        block = _float_block(list(numbers.values()))
        if np.isinf(block).any():
            name = list(numbers)[int(np.isinf(block).any(axis=1).argmax())]
            raise InputError(f"input {name!r}: got infinity, want finite numbers or null")
        columns.update(zip(numbers, block[..., None], strict=True))
    return columns


def from_bytes(name: str, datatype: str, content: bytes | memoryview) -> Array:
    """Read a tensor's raw bytes.

    Returns:
        Of shape (values,): texts as objects, all else by its datatype.

    Raises:
        InputError: The bytes are none of that datatype.
    """
    if datatype == "BYTES":
        return np.array(_texts_from_bytes(name, bytes(content)), dtype=object)
    if datatype not in TYPES:
        raise _wrong_datatype(name, datatype, ("BYTES", *TYPES))
    dtype = np.dtype(TYPES[datatype])
    if len(content) % dtype.itemsize:
        want = f"a multiple of {dtype.itemsize} for {datatype}"
        raise InputError(f"input {name[:60]!r}: got {len(content)} bytes, want {want}")
    return np.frombuffer(content, dtype)


def as_bytes(values: Array) -> bytes:
    """Write numbers as raw bytes."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def check_texts(name: str, values: Sequence[bytes]) -> list[str]:
    """Read texts.

    Raises:
        InputError: One is not UTF-8.
    """
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        want = "UTF-8, each after its length in 4 bytes"
        raise InputError(f"input {name[:60]!r}: got bytes that are no text, want {want}") from error


def quote(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Write names for a message, long ones shortened."""
    return ", ".join(repr(name[:60]) for name in list(names)[:50]) or "none"


def _texts_from_bytes(name: str, content: bytes) -> list[str]:
    found, start = [], 0
    while start < len(content):
        end = start + _LENGTH.size
        if end <= len(content):
            (length,) = _LENGTH.unpack_from(content, start)
            start, end = end, end + length
        if end > len(content):
            want = "texts, each after its length in 4 bytes"
            raise InputError(f"input {name[:60]!r}: got {len(content)} torn bytes, want {want}")
        found.append(content[start:end])
        start = end
    return check_texts(name, found)


def _float_block(columns: list[_Values]) -> Array:
    """Stack columns: one array of (columns, rows) costs less than one for each."""
    try:
        with np.errstate(over="ignore"):
            return np.array(columns, dtype=np.float32)
    except OverflowError:  # of whole numbers beyond all floats
        return np.array([_floats(values) for values in columns], dtype=np.float32)


def _floats(values: _Values) -> list[float]:
    most = float(np.finfo(np.float32).max)
    return [
        math.nan if value is None else math.inf if abs(value) > most else float(value)
        for value in values
    ]


def _check_rows(tensors: Sequence[Tensor]) -> None:
    rows = tensors[0].shape[0]
    for tensor in tensors:
        if tensor.shape[0] != rows:
            got = {each.name: each.shape[0] for each in tensors}
            raise InputError(f"inputs: got rows {got}, want the same number in each")


def _numbers(tensor: Tensor) -> _Values:
    datatype = tensor.datatype
    if datatype not in _ACCEPTED["FP32"]:
        raise _wrong_datatype(tensor.name, datatype, list(_ACCEPTED["FP32"]))
    values = _flat(tensor)
    if isinstance(values, list):
        _check(tensor, values)
    return values


def _texts(tensor: Tensor) -> _Values:
    datatype = tensor.datatype
    if datatype not in _ACCEPTED["BYTES"]:
        raise _wrong_datatype(tensor.name, datatype, list(_ACCEPTED["BYTES"]))
    values = _flat(tensor)
    if datatype == "BYTES":
        if isinstance(values, list):
            _check(tensor, values)
            return [value or "" for value in values]
        return values
    if isinstance(values, list):
        _check(tensor, values)
    return [str(value) for value in values]


def _flat(tensor: Tensor) -> _Values:
    shape, values = tensor.shape, tensor.values
    if len(shape) not in (1, 2) or shape[0] < 1 or (len(shape) > 1 and shape[1] != 1):
        got = f"got shape {list(shape[:5])}"
        raise InputError(f"input {tensor.name!r}: {got}, want [rows] or [rows, 1]")
    if isinstance(values, list) and values and type(values[0]) is list:
        if any(type(value) is not list or len(value) != 1 for value in values):
            raise InputError(f"input {tensor.name!r}: got rows of several values, want one a row")
        values = [value[0] for value in values]
    if len(values) != shape[0]:
        want = f"{shape[0]} by its shape"
        raise InputError(f"input {tensor.name!r}: got {len(values)} values, want {want}")
    return values


def _check(tensor: Tensor, values: list[Any]) -> None:
    kinds = JSON_KINDS[tensor.datatype]
    if kinds.issuperset(map(type, values)):
        return
    row = next(row for row, value in enumerate(values) if type(value) not in kinds)
    got = "null" if values[row] is None else type(values[row]).__name__
    what = f"got {got} in row {row} of {tensor.datatype}, want {_WANTED[kinds]}"
    raise InputError(f"input {tensor.name!r}: {what}")


def check_given(names: Sequence[str] | Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Refuse columns that lack one that a model takes.

    Raises:
        InputError: Some are missing.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(f"inputs: got {quote(names)}, want also {quote(missing)}")


def _choose(tensors: Sequence[Tensor], wanted: Mapping[str, str]) -> list[Tensor]:
    names = [tensor.name for tensor in tensors]
    check_given(names, wanted)
    chosen = [tensor for tensor in tensors if tensor.name in wanted]
    if len(chosen) > len(wanted):
        raise InputError(f"inputs: got {quote(names)}, want each once")
    return chosen


def _wrong_datatype(name: str, datatype: str, accepted: Sequence[str]) -> InputError:
    want = ", ".join(accepted)
    return InputError(f"input {name[:60]!r}: got datatype {datatype[:20]!r}, want {want}")
