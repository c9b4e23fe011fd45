"""The messages of the Open Inference Protocol v2 as JSON: columns in, probabilities out."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from dalsegno.errors import InputError

if TYPE_CHECKING:
    from dalsegno.releases import Release

Array = npt.NDArray[Any]
OUTPUTS = {"probability": "FP32", "decision": "INT32"}
FLOATS = ("FP16", "FP32", "FP64")
INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_ACCEPTED = {"BYTES": ("BYTES", *INTEGERS), "FP32": (*FLOATS, *INTEGERS, "BOOL")}
_SURROGATES = ("\ud800", "\udfff")


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)


class RequestInput(_Message):
    """One column: a tensor of shape [rows] or [rows, 1], row-major, flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class RequestOutput(_Message):
    """A wanted output."""

    name: str


class InferenceRequest(_Message):
    """A batch of rows, column by column."""

    id: str | None = None
    inputs: list[RequestInput]
    outputs: list[RequestOutput] | None = None


def read_request(body: bytes) -> InferenceRequest:
    """Read a request's body.

    Raises:
        InputError: It is not JSON, or not of the protocol's form.
    """
    try:
        return InferenceRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise InputError(f"request {place}: got what {_reason(first['msg'])}") from error


def read_tensors(request: InferenceRequest, wanted: dict[str, str]) -> dict[str, Array]:
    """Read the columns as a model takes them.

    Args:
        request: A request.
        wanted: Datatype by name of the model's inputs, `BYTES` or `FP32`.

    Returns:
        By name an array of shape (rows, 1): text as objects, numbers as float32 with NaN for null.

    Raises:
        InputError: A column is missing, unknown or given twice, or has another shape or type.
    """
    names = [item.name for item in request.inputs]
    if sorted(names) != sorted(wanted):
        raise _wrong_names(names, list(wanted))
    tensors = {item.name: _read_tensor(item, wanted[item.name]) for item in request.inputs}
    rows = {name: len(tensor) for name, tensor in tensors.items()}
    if len(set(rows.values())) != 1:
        raise InputError(f"inputs: got rows {rows}, want the same number in each")
    return tensors


def write_answer(
    request: InferenceRequest, release: Release, probabilities: Array
) -> dict[str, Any]:
    """Write the answer to a request.

    Args:
        request: What was asked.
        release: What answers.
        probabilities: Of class 1 (0-1), shape (rows,).

    Raises:
        InputError: An output was asked for that there is not.
    """
    decisions = probabilities >= release.threshold
    values = {"probability": probabilities.tolist(), "decision": decisions.astype(int).tolist()}
    return {
        "model_name": release.endpoint,
        "model_version": str(release.number),
        "id": request.id or str(uuid.uuid4()),
        "parameters": {"threshold": release.threshold, "model_sha256": release.model_sha256},
        "outputs": [
            {
                "name": name,
                "datatype": OUTPUTS[name],
                "shape": [len(probabilities)],
                "data": values[name],
            }
            for name in _wanted_outputs(request)
        ],
    }


def encode(document: Any) -> bytes:
    """Write JSON without spaces; NaN is refused, being none."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _wanted_outputs(request: InferenceRequest) -> list[str]:
    if not request.outputs:
        return list(OUTPUTS)
    names = [item.name for item in request.outputs]
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise InputError(f"outputs: got {_quote(unknown)}, want any of {_quote(OUTPUTS)}")
    return names


def _wrong_names(names: list[str], wanted: list[str]) -> InputError:
    missing = [name for name in wanted if name not in names]
    if missing:
        return InputError(f"inputs: got {_quote(names)}, want also {_quote(missing)}")
    unknown = [name for name in names if name not in wanted]
    if unknown:
        return InputError(f"inputs: got {_quote(unknown)}, want only {_quote(wanted)}")
    return InputError(f"inputs: got {_quote(names)}, want each once")


def _read_tensor(item: RequestInput, wanted: str) -> Array:
    if item.datatype not in _ACCEPTED[wanted]:
        want = ", ".join(_ACCEPTED[wanted])
        raise InputError(f"input {item.name!r}: got datatype {item.datatype[:20]!r}, want {want}")
    rows = _rows(item)
    values = _flat(item, rows)
    if wanted == "FP32":
        return _numbers(item.name, values, item.datatype).reshape(-1, 1)
    return _texts(item.name, values, item.datatype).reshape(-1, 1)


def _rows(item: RequestInput) -> int:
    shape = item.shape
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 1:
        raise InputError(f"input {item.name!r}: got shape {shape[:5]}, want [rows] or [rows, 1]")
    return shape[0]


def _flat(item: RequestInput, rows: int) -> list[Any]:
    values = item.data
    if values and all(isinstance(value, list) for value in values):
        if any(len(value) != 1 for value in values):
            raise InputError(f"input {item.name!r}: got rows of several values, want one a row")
        values = [value[0] for value in values]
    if len(values) != rows:
        raise InputError(f"input {item.name!r}: got {len(values)} values, want {rows} by its shape")
    return values


def _check(
    name: str, values: Sequence[Any], is_right: Callable[[Any], bool], datatype: str, want: str
) -> None:
    for row, value in enumerate(values):
        if not is_right(value):
            got = "null" if value is None else type(value).__name__
            raise InputError(f"input {name!r}: got {got} in row {row} of {datatype}, want {want}")


def _numbers(name: str, values: list[Any], datatype: str) -> Array:
    if datatype == "BOOL":
        _check(name, values, lambda value: type(value) is bool, datatype, "true or false")
    elif datatype in INTEGERS:
        _check(name, values, lambda value: type(value) is int, datatype, "whole numbers")
    else:
        kinds = (int, float, type(None))
        _check(name, values, lambda value: type(value) in kinds, datatype, "numbers or null")
    with np.errstate(over="ignore"):
        try:
            wide = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
        except OverflowError:
            wide = np.array([math.inf])
        narrow = wide.astype(np.float32)
    if np.isinf(narrow).any():
        raise InputError(f"input {name!r}: got infinity, want finite numbers or null")
    return narrow


def _texts(name: str, values: list[Any], datatype: str) -> Array:
    if datatype in INTEGERS:
        _check(name, values, lambda value: type(value) is int, datatype, "whole numbers")
        return np.array([str(value) for value in values], dtype=object)
    _check(name, values, _is_text, datatype, "text or null")
    return np.array([value or "" for value in values], dtype=object)


def _is_text(value: Any) -> bool:
    if value is None:
        return True
    low, high = _SURROGATES
    return isinstance(value, str) and not any(low <= char <= high for char in value)


def _quote(names: Sequence[str] | dict[str, str]) -> str:
    return ", ".join(repr(name[:60]) for name in list(names)[:50]) or "none"


def _reason(message: str) -> str:
    return f"is not right, want the protocol's form ({message})"
