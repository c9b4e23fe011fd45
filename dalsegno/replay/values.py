"""Compares values: numbers with a tolerance, lists and objects by the path of what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_SHOWN_CHARACTERS = 40
_LONG, _BEFORE = 36, 12


class Match(StrEnum):
    """How two things compare, best first."""

    IDENTICAL = "identical"
    EQUAL = "equal within tolerance"
    DIFFERS = "differs"

    @property
    def is_same(self) -> bool:
        """Whether a reader may take one for the other."""
        return self is not Match.DIFFERS


@dataclass(frozen=True)
class Tolerance:
    """How far apart floating-point numbers may be: `|a - b| <= absolute + relative * |b|`."""

    relative: float = 1e-6
    absolute: float = 1e-9

    def covers(self, old: float, new: float) -> bool:
        """Whether two numbers are equal within the tolerance; NaN equals NaN."""
        if old == new or (math.isnan(old) and math.isnan(new)):
            return True
        return abs(old - new) <= self.absolute + self.relative * abs(old)


@dataclass(frozen=True)
class Difference:
    """The first place where two things differ.

    Attributes:
        where: `column 'age', row 3` (rows count from 0), `$.metrics.auc`, `line 7`, or empty.
        old: What was recorded, short.
        new: What came now, short.
    """

    where: str
    old: str
    new: str

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.old} -> {self.new}" if self.where else f"{self.old} -> {self.new}"
        )


@dataclass(frozen=True)
class Comparison:
    """What came of comparing a recorded thing with a new one.

    Attributes:
        first: The first difference, when they differ.
        note: What else is worth a word: how many rows differ, for example.
        deviations: Largest relative deviation by column or key path, where within tolerance.
    """

    match: Match
    first: Difference | None = None
    note: str = ""
    deviations: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [self.match.value, str(self.first or ""), self.note]
        return ": ".join([parts[0], "; ".join(part for part in parts[1:] if part)]).rstrip(": ")


IDENTICAL = Comparison(Match.IDENTICAL)


def differs(where: str, old: Any, new: Any, note: str = "") -> Comparison:
    """Say that two things differ, and where."""
    return Comparison(Match.DIFFERS, difference(where, old, new), note)


def difference(where: str, old: Any, new: Any) -> Difference:
    """Write two values short; of long strings, from shortly before they part."""
    if isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > _LONG:
        start = max(0, _common_length(old, new) - _BEFORE)
        if start:
            old, new = (type(text)(f"…{text[start:]}") for text in (old, new))
    return Difference(where, short(old), short(new))


def _common_length(old: str, new: str) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, pair in pairs if pair[0] != pair[1]), min(len(old), len(new)))


def equal(deviations: dict[str, float]) -> Comparison:
    """Say that two things are equal within tolerance; identical without any deviation."""
    if not deviations:
        return IDENTICAL
    name, most = max(deviations.items(), key=lambda item: item[1])
    place = f" in {name}" if name else ""
    return Comparison(Match.EQUAL, None, f"at most {most:.1e} apart{place}", deviations)


def short(value: Any) -> str:
    """Write a value in at most 40 characters; a string that is text already stays unquoted."""
    text = value if isinstance(value, Shown) else repr(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return str(text)
    return f"{text[: _SHOWN_CHARACTERS - 1]}…"


class Shown(str):
    """Text that is shown as it is, without quotes."""

    __slots__ = ()


def compare_values(old: Any, new: Any, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two values as they come from JSON.

    Types count: `true` is not 1 and "1" is not 1. JSON has one kind of number, so 1 equals 1.0.
    """
    deviations: dict[str, float] = {}
    for path, left, right in _leaves(old, new, ""):
        if _same(left, right):
            continue
        numbers = _is_number(left) and _is_number(right)
        if not numbers or not (tolerance or Tolerance()).covers(left, right):
            return differs(path, left, right)
        deviations[path] = relative_deviation(left, right)
    return equal(deviations)


def differences(old: Any, new: Any) -> Iterator[Difference]:
    """Yield every place where two values as they come from JSON differ, exactly."""
    for path, left, right in _leaves(old, new, ""):
        if not _same(left, right):
            yield difference(path, left, right)


def relative_deviation(old: float, new: float) -> float:
    """Return how far two numbers are apart, in shares of the larger one."""
    largest = max(abs(old), abs(new))
    return abs(old - new) / largest if largest else 0.0


ABSENT = Shown("nothing")


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _leaves(old.get(key, ABSENT), new.get(key, ABSENT), inner)
    elif isinstance(old, list) and isinstance(new, list):
        for index, (left, right) in enumerate(zip(old, new, strict=False)):
            yield from _leaves(left, right, f"{path}[{index}]")
        if len(old) != len(new):
            yield path, Shown(f"{len(old)} items"), Shown(f"{len(new)} items")
    else:
        yield path, old, new


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Shown) or isinstance(new, Shown):
        return type(old) is type(new) and old == new
    if _is_number(old) and _is_number(new):
        return bool(old == new) or (math.isnan(old) and math.isnan(new))
    return type(old) is type(new) and bool(old == new)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
