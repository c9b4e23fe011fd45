"""Values as text, the way Go writes them: KFP's driver and launcher are Go programs.

All numbers are doubles there (protobuf structs), so that 1.0 is written as 1.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

_INT64 = 2**63
_LEAST_POSITIONAL, _MOST_POSITIONAL = 1e-6, 1e21  # beyond these Go's JSON writes an exponent
_GENERAL_EXPONENTS = range(-4, 6)  # beyond these %g writes an exponent
_HTML = str.maketrans({mark: f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})


def positional(number: float) -> str:
    """Write a number without exponent: `strconv.FormatFloat(number, 'f', -1, 64)`."""
    digits = format(Decimal(repr(float(number))), "f")
    return digits.rstrip("0").removesuffix(".") if "." in digits else digits


def general(number: float) -> str:
    """Write a number as the driver does in arguments: `%d` if it is whole, else `%g`."""
    number = float(number)
    if -_INT64 <= number < _INT64 and number.is_integer():
        return str(int(number))
    exponent = Decimal(repr(number)).adjusted()
    return positional(number) if exponent in _GENERAL_EXPONENTS else _scientific(number, 2)


def text_of(value: Any, *, escapes_html: bool = True) -> str:
    """Write a value as the text of a parameter or a placeholder: `PbValueToText`."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return positional(value)
    return value if isinstance(value, str) else json_text(value, escapes_html=escapes_html)


def json_text(value: Any, *, escapes_html: bool = True) -> str:
    """Write a value as compact JSON with sorted keys: `json.Marshal` of a protobuf value.

    Args:
        escapes_html: Whether `<`, `>` and `&` are written as Unicode escapes, as `json.Marshal`
            does and `protojson.Marshal` does not.
    """
    if isinstance(value, dict):
        items = (
            f"{json_text(key, escapes_html=escapes_html)}:"
            f"{json_text(value[key], escapes_html=escapes_html)}"
            for key in sorted(value)
        )
        return "{" + ",".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(json_text(item, escapes_html=escapes_html) for item in value) + "]"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text.translate(_HTML) if escapes_html else text
    return json.dumps(value) if value is None or isinstance(value, bool) else _json_number(value)


def _json_number(number: float) -> str:
    size = abs(float(number))
    if size and not _LEAST_POSITIONAL <= size < _MOST_POSITIONAL:
        return _scientific(number, 1)
    return positional(number)


def _scientific(number: float, exponent_digits: int) -> str:
    """Write the fewest digits that tell the number, and an exponent of at least some digits."""
    sign, digits, _ = Decimal(repr(float(number))).normalize().as_tuple()
    exponent = Decimal(repr(float(number))).adjusted()
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    mantissa = f"{first}.{rest}" if rest else first
    written = f"{abs(exponent):0{exponent_digits}d}"
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{written}"
