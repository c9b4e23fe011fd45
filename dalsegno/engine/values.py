"""Parameter values as the driver and launcher of KFP write them.

KFP keeps values as protobuf structs: numbers are doubles, and Go writes a whole double as an
integer. So `1.0` reaches a component as `1`, also inside lists (protojson, `launcher_v2.go`), and
an integer beyond 2^53 loses its last digits.
"""

from __future__ import annotations

import json
from typing import Any

from dalsegno.engine.golang import positional, text_of
from dalsegno.errors import InputError

_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
    "TASK_FINAL_STATUS": (dict,),
    "TASK_CONFIG": (dict,),
}
_NAMES = {
    "STRING": "a string",
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "a boolean",
    "LIST": "a list",
    "STRUCT": "a JSON object",
}
_LARGEST_EXACT = 2**53
_LARGEST_WRITTEN_IN_FULL = 1e21  # beyond this Go writes an exponent


def normalise(value: Any) -> Any:
    """Write numbers as doubles, whole ones as integers, inside lists and objects too.

    Raises:
        InputError: An integer is larger than any double.
    """
    if isinstance(value, dict):
        return {key: normalise(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _double(value)
    return value


def _double(number: float) -> float:
    try:
        double = float(number)
    except OverflowError as error:
        digits = len(str(abs(int(number))))
        raise InputError(f"number: got {digits} digits, want a double, up to 1.8e308") from error
    if not double.is_integer() or abs(double) >= _LARGEST_WRITTEN_IN_FULL:
        return double
    return int(double) if abs(double) <= _LARGEST_EXACT else int(positional(double))


def check_type(name: str, value: Any, definition: dict[str, Any]) -> Any:
    """Return the value in the form that a parameter of this definition gets.

    Raises:
        InputError: The value is of another type, or not one of the literals.
    """
    kind = definition.get("parameterType", "STRING")
    value = normalise(value)
    if kind == "STRING" and not isinstance(value, str):
        value = text_of(value)
    is_type = isinstance(value, _TYPES.get(kind, (object,)))
    if not is_type or (isinstance(value, bool) and kind.startswith("NUMBER")):
        got, want = type(value).__name__, _NAMES.get(kind, kind)
        raise InputError(f"parameter {name!r}: got {got} {_short(value)}, want {want}")
    if kind == "NUMBER_INTEGER" and not isinstance(value, int):
        raise InputError(f"parameter {name!r}: got {value}, want an integer")
    literals = normalise(definition.get("literals", []))
    if literals and value not in literals:
        raise InputError(f"parameter {name!r}: got {_short(value)}, want one of {literals}")
    return value


def name_of(definition: dict[str, Any]) -> str:
    """Name the type of a parameter, for people."""
    kind = str(definition.get("parameterType", "STRING"))
    return _NAMES.get(kind, kind)


def parse_argument(name: str, text: str, definition: dict[str, Any]) -> Any:
    """Read a command-line argument `name=text` as its parameter's type."""
    kind = definition.get("parameterType", "STRING")
    if kind == "STRING":
        return text
    if kind == "BOOLEAN" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        want = _NAMES.get(kind, kind)
        raise InputError(f"parameter {name!r}: got {_short(text)}, want {want}") from error


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004
