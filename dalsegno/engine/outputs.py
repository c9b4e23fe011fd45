"""Reads what a task wrote as its output parameters, as KFP's launcher does after the user's code.

A parameter in the executor output wins; else the file is read that the task was told to write
(`collectOutputParameters` in launcher_v2.go, `TextToPbValue` in converter.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dalsegno.engine.values import check_type, normalise
from dalsegno.errors import InputError

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_INTEGER = re.compile(r"[+-]?[0-9]+")


def _integer(text: str) -> int:
    """Read what Go's ParseInt reads: ASCII digits alone, within 64 bits."""
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


_READ: dict[str, Callable[[str], Any]] = {
    "NUMBER_INTEGER": _integer,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": _BOOLEANS.__getitem__,
}


def collect_parameters(
    outputs: dict[str, Any], component: dict[str, Any], written: dict[str, Any]
) -> dict[str, Any]:
    """Return the output parameters of a task by name.

    Args:
        outputs: `outputs` of the executor input, with paths of this machine.
        component: Component spec: it declares the types.
        written: Executor output as the task wrote it; empty when it wrote none.

    Raises:
        InputError: A declared parameter was not written, or is of another type.
    """
    definitions = component.get("outputDefinitions", {}).get("parameters", {})
    said = written.get("parameterValues") or {}
    found = {name: normalise(value) for name, value in said.items()}
    for name, planned in outputs.get("parameters", {}).items():
        if name not in found:
            found[name] = _read(name, Path(planned["outputFile"]), definitions.get(name, {}))
    return found


def _read(name: str, path: Path, definition: dict[str, Any]) -> Any:
    kind = definition.get("parameterType", "STRING")
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"output parameter {name!r}: got no file, want the task to write it or return it"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"output parameter {name!r}: got bytes that are not UTF-8") from error
    if kind == "STRING":
        return text
    try:
        value = _READ.get(kind, json.loads)(text.strip())
    except (ValueError, KeyError) as error:
        shown = text[:40]
        raise InputError(f"output parameter {name!r}: got {shown!r}, want {kind}") from error
    return check_type(name, value, definition)
