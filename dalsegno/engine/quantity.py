"""Kubernetes quantities and the limits of a task that are written in them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from dalsegno.engine.launcher import resolve_text
from dalsegno.errors import InputError

_QUANTITY = re.compile(r"([+-]?\d+\.?\d*|[+-]?\.\d+)([eE][+-]?\d+|[numkKMGTPE]i?|)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str) -> Decimal:
    """Read a quantity such as `500m`, `1.5`, `2Gi` or `1e3`.

    Raises:
        InputError: It is none.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match:
        number, suffix = Decimal(match[1]), match[2]
        if suffix in _DECIMAL:
            return number.scaleb(_DECIMAL[suffix])
        if suffix in _BINARY:
            return number * Decimal(2) ** _BINARY[suffix]
        if suffix[0] in "eE":
            return number.scaleb(int(suffix[1:]))
    raise InputError(f"quantity: got {text!r}, want a number with a unit such as 500m or 2Gi")


def limits(
    resources: dict[str, Any], executor_input: dict[str, Any]
) -> tuple[float | None, int | None]:
    """Return the most cores and the most bytes of memory of a task; None where there is no limit.

    Args:
        resources: Of the executor spec. The older numeric fields are in cores and in 10^9 bytes.

    Raises:
        InputError: A limit is no quantity, or the parameter that holds it is not there.
    """
    cores = _limit(resources, "resourceCpuLimit", "cpuLimit", "", executor_input)
    memory = _limit(resources, "resourceMemoryLimit", "memoryLimit", "G", executor_input)
    return float(cores) if cores else None, int(memory) if memory else None


def accelerator(resources: dict[str, Any], executor_input: dict[str, Any]) -> str | None:
    """Describe the accelerators that a task asks for, as `COUNT TYPE`."""
    wanted = resources.get("accelerator", {})
    kind = wanted.get("resourceType") or wanted.get("type")
    count = wanted.get("resourceCount") or wanted.get("count")
    if not kind or not count:
        return None
    return " ".join(resolve_text(str(part), executor_input) for part in (count, kind))


def _limit(
    resources: dict[str, Any], new: str, old: str, unit: str, executor_input: dict[str, Any]
) -> Decimal | None:
    if resources.get(new):
        return parse_quantity(resolve_text(str(resources[new]), executor_input))
    return parse_quantity(f"{resources[old]}{unit}") if resources.get(old) else None
