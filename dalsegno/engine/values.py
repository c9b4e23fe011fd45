"""Parameter values as the driver and launcher of KFP write them.

KFP keeps values as protobuf structs: numbers are doubles, and Go writes a whole double as an
integer. So `1.0` reaches a component as `1`, also inside lists (protojson, `launcher_v2.go`).
"""

from __future__ import annotations

import json
from typing import Any

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
_LARGEST_WRITTEN_IN_FULL = 1e21  # beyond this Go writes an exponent


def normalise(value: Any) -> Any:
    """Write whole floats as integers, inside lists and objects too."""
    if isinstance(value, dict):
        return {key: normalise(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WRITTEN_IN_FULL:
        return int(value)
    return value


def to_text(value: Any) -> str:
    """Write any value as the text that a STRING parameter or a command line gets."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not value.is_integer():
        return format(value, "f").rstrip("0") if abs(value) > 1e-6 else format(value, ".20f")  # noqa: PLR2004
    return json.dumps(normalise(value), separators=(",", ":"), ensure_ascii=False)


def check_type(name: str, value: Any, definition: dict[str, Any]) -> Any:
    """Return the value in the form that a parameter of this definition gets.

    Raises:
        InputError: The value is of another type, or not one of the literals.
    """
    kind = definition.get("parameterType", "STRING")
    value = normalise(value)
    if kind == "STRING" and not isinstance(value, str):
        value = to_text(value)
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
