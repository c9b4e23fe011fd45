"""The Open Inference Protocol v2 over HTTP: JSON, with tensors in it or as raw bytes after it.

The second is the binary tensor extension: `Inference-Header-Content-Length` tells where the JSON
ends, and each tensor's `binary_data_size` how many of the following bytes are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from dalsegno.errors import InputError
from dalsegno.serving.messages import OUTPUTS, Answer, InferenceRequest, WantedOutput
from dalsegno.serving.plain import read_plain
from dalsegno.serving.tensors import Tensor, as_bytes, from_bytes

HEADER_LENGTH = b"inference-header-content-length"
_SIZE, _BINARY, _ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
_NOTHING = memoryview(b"")
_WHOLE: frozenset[type] = frozenset({int})
_DIGITS = 18  # of a length that is none by mistake
_WANTED = {str: "text", list: "a list", dict: "an object", bool: "true or false", int: "a number"}


def read_request(body: bytes, header_length: bytes | None = None) -> InferenceRequest:
    """Read a request's body.

    Args:
        body: JSON, or JSON and raw tensors.
        header_length: Length of the JSON, in bytes, if raw tensors may follow.

    Raises:
        InputError: It is not JSON, or not of the protocol's form.
    """
    head, raw = _split(body, header_length) if header_length is not None else (body, _NOTHING)
    document = _parse(head)
    given = document.get("parameters")
    parameters = _as(given, dict, "parameters") if given is not None else {}
    request = InferenceRequest(
        id=_text_or_null(document.get("id")),
        inputs=_read_inputs(_as(document.get("inputs"), list, "inputs"), raw),
        outputs=[],
        is_binary=_as(parameters.get(_ALL_BINARY, False), bool, f"parameters.{_ALL_BINARY}"),
        parameters=parameters,
    )
    if document.get("outputs") is not None:
        wanted = _as(document["outputs"], list, "outputs")
        request.outputs = [
            _read_output(i, item, request.is_binary) for i, item in enumerate(wanted)
        ]
    return request


def write_answer(answer: Answer) -> tuple[bytes, int | None]:
    """Write the answer to a request.

    Returns:
        The body, and the length of its JSON if raw tensors follow.
    """
    release = answer.served.release
    outputs, raw = [], []
    for wanted, values in answer.outputs():
        output: dict[str, Any] = {"name": wanted.name, "datatype": OUTPUTS[wanted.name]}
        output["shape"] = [len(values)]
        if wanted.is_binary:
            raw.append(as_bytes(values))
            output["parameters"] = {_SIZE: len(raw[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    head = encode(
        {
            "model_name": release.endpoint,
            "model_version": str(release.number),
            "id": answer.id,
            "parameters": {
                "prediction_id": answer.prediction_id,
                "threshold": release.threshold,
                "model_sha256": release.model_sha256,
            },
            "outputs": outputs,
        }
    )
    return (b"".join([head, *raw]), len(head)) if raw else (head, None)


def encode(document: Any) -> bytes:
    """Write JSON without spaces; arrays are written as lists, each number as short as it can be."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _split(body: bytes, header_length: bytes) -> tuple[bytes, memoryview]:
    if (
        not header_length.isdigit()
        or len(header_length) > _DIGITS
        or int(header_length) > len(body)
    ):
        got = header_length[:20].decode("latin-1")
        want = f"the length of the JSON, at most {len(body)} bytes"
        raise InputError(f"Inference-Header-Content-Length: got {got!r}, want {want}")
    length = int(header_length)
    return body[:length], memoryview(body)[length:]


def _parse(head: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise InputError(f"request body: got no JSON ({error}), want an object") from error
    if type(document) is not dict:
        raise _wrong(document, dict, "body")
    return document


def _read_inputs(items: list[Any], raw: memoryview) -> Sequence[Tensor]:
    if not raw and (plain := read_plain(items)):
        return plain
    tensors, start = [], 0
    for index, item in enumerate(items):
        if type(item) is not dict:
            raise _wrong(item, dict, f"inputs.{index}")
        tensor = _read_input(index, item, raw, start)
        tensors.append(tensor)
        start += tensor.raw_bytes
    if start != len(raw):
        want = f"{start} by the tensors' {_SIZE}"
        raise InputError(f"request: got {len(raw)} bytes after the JSON, want {want}")
    return tensors


def _read_input(index: int, item: dict[str, Any], raw: memoryview, start: int) -> Tensor:
    name, datatype, shape = item.get("name"), item.get("datatype"), item.get("shape")
    if type(name) is not str:
        raise _wrong(name, str, f"inputs.{index}.name")
    if type(datatype) is not str:
        raise _wrong(datatype, str, f"inputs.{index}.datatype")
    if type(shape) is not list:
        raise _wrong(shape, list, f"inputs.{index}.shape")
    if not _WHOLE.issuperset(map(type, shape)):
        place = next(i for i, size in enumerate(shape) if type(size) is not int)
        raise _wrong(shape[place], int, f"inputs.{index}.shape.{place}")
    parameters = item.get("parameters")
    if parameters and type(parameters) is dict and _SIZE in parameters:
        return _read_raw(index, item, parameters[_SIZE], raw[start:])
    data = item.get("data")
    if type(data) is not list:
        raise _wrong(data, list, f"inputs.{index}.data")
    return Tensor(name, datatype, shape, data)


def _read_raw(index: int, item: dict[str, Any], size: Any, raw: memoryview) -> Tensor:
    where = f"inputs.{index}.parameters.{_SIZE}"
    if type(size) is not int or not 0 <= size <= len(raw):
        got = size if type(size) is int else type(size).__name__
        raise InputError(f"request {where}: got {got}, want at most the {len(raw)} bytes that came")
    if "data" in item:
        raise InputError(f"request inputs.{index}: got data and {_SIZE}, want one of them")
    values = from_bytes(item["name"], item["datatype"], raw[:size])
    return Tensor(item["name"], item["datatype"], item["shape"], values, size)


def _read_output(index: int, item: Any, is_binary: bool) -> WantedOutput:
    where = f"outputs.{index}"
    name = _as(_as(item, dict, where).get("name"), str, f"{where}.name")
    parameters = _as(item.get("parameters") or {}, dict, f"{where}.parameters")
    chosen = parameters.get(_BINARY, is_binary)
    return WantedOutput(name, _as(chosen, bool, f"{where}.parameters.{_BINARY}"))


def _text_or_null(value: Any) -> str:
    return "" if value is None else str(_as(value, str, "id"))


def _as(value: Any, kind: type, where: str) -> Any:
    if type(value) is not kind:
        raise _wrong(value, kind, where)
    return value


def _wrong(value: Any, kind: type, where: str) -> InputError:
    got = "nothing" if value is None else type(value).__name__
    return InputError(f"request {where}: got {got}, want {_WANTED[kind]}")
