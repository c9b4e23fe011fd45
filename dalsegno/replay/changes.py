"""What changed between two tables, most telling first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dalsegno.replay.profile import Column, Profile
from dalsegno.replay.values import short

_LISTED = 3
_SMALLEST_NULL_SHARE = 0.005
_SMALLEST_SHIFT = 0.05
_SMALLEST_MOVE = 0.01
_RARE_ROWS = 2


@dataclass(frozen=True)
class Change:
    """One thing that is another than before.

    Attributes:
        weight: How telling it is, 0-100; what comes first in a list.
        subject: What changed: a column, `parameter rows`, `commit`, …
        text: From what to what.
    """

    weight: float
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def table_changes(old: Profile, new: Profile, name: str, prefix: str = "") -> Iterator[Change]:
    """Yield what changed between two tables.

    Args:
        name: Of the input, for what concerns all of it.
        prefix: Written before the columns' names.
    """
    if old.rows != new.rows:
        yield Change(_rows_weight(old.rows, new.rows), name, f"rows {old.rows} -> {new.rows}")
    missing = [column for column in old.columns if column not in new.columns]
    extra = [column for column in new.columns if column not in old.columns]
    if missing:
        yield Change(95, name, f"column{_s(missing)} {_list(missing)} missing")
    if extra:
        yield Change(60, name, f"new column{_s(extra)} {_list(extra)}")
    for column, was in old.columns.items():
        if column in new.columns and old.rows and new.rows:
            now = new.columns[column]
            for weight, text in _column_changes(was, now, (old.rows, new.rows)):
                yield Change(weight, f"{prefix}{column}", text)


def _column_changes(old: Column, new: Column, rows: tuple[int, int]) -> Iterator[tuple[float, str]]:
    rose = new.null_share - old.null_share
    if abs(rose) >= _SMALLEST_NULL_SHARE:
        weight = 75 + 20 * rose if rose > 0 else 30
        yield weight, f"null share {old.null_share:.2f} -> {new.null_share:.2f}"
    if new.null_share == 1:
        return
    if old.type != new.type and old.null_share != 1:
        are_numbers = old.mean is not None and new.mean is not None
        yield (50 if are_numbers else 90), f"type {old.type} -> {new.type}"
    if old.type != new.type and (old.mean is None or new.mean is None):
        return
    yield from _category_changes(old, new, rows)
    if old.low is not None and new.low is not None:
        yield from _range_changes(old, new)


def _category_changes(
    old: Column, new: Column, rows: tuple[int, int]
) -> Iterator[tuple[float, str]]:
    if not old.categories and not new.categories:
        return
    if 2 * len(old.categories) > rows[0] or 2 * len(new.categories) > rows[1]:
        return  # names of rows rather than categories of them
    if not new.categories or not old.categories:
        yield 50, "few categories -> many" if old.categories else "many categories -> few"
        return
    extra = [value for value in new.categories if value not in old.categories]
    missing = [value for value in old.categories if value not in new.categories]
    if extra:
        share = sum(new.categories[value] for value in extra)
        yield 80 + 10 * share, f"new categor{_y(extra)} {_list(extra)}"
    if missing:
        was = max(old.categories[value] for value in missing) * rows[0]
        weight = 45 if was > _RARE_ROWS else 20
        yield weight, f"categor{_y(missing)} {_list(missing)} missing"
    yield from _share_changes(old, new)


def _share_changes(old: Column, new: Column) -> Iterator[tuple[float, str]]:
    shifts = {
        value: new.categories[value] - share
        for value, share in old.categories.items()
        if value in new.categories
    }
    value, shift = max(shifts.items(), key=lambda item: abs(item[1]), default=("", 0.0))
    if abs(shift) >= _SMALLEST_SHIFT:
        shares = f"{old.categories[value]:.2f} -> {new.categories[value]:.2f}"
        yield 30 + 20 * abs(shift), f"share of {short(value)} {shares}"


def _range_changes(old: Column, new: Column) -> Iterator[tuple[float, str]]:
    beyond, within = _moved(old, new)
    if beyond > _SMALLEST_MOVE or within > _SMALLEST_SHIFT:
        span = f"{_number(old.low)}..{_number(old.high)} -> {_number(new.low)}..{_number(new.high)}"
        yield (40 + 30 * beyond if beyond > _SMALLEST_MOVE else 15), f"range {span}"
    if old.mean is not None and new.mean is not None:
        width = float(old.high) - float(old.low)
        shift = abs(new.mean - old.mean) / width if width else 0.0
        if shift >= _SMALLEST_SHIFT:
            means = f"mean {_number(old.mean)} -> {_number(new.mean)}"
            yield min(65.0, 30 + 50 * shift), means


def _moved(old: Column, new: Column) -> tuple[float, float]:
    """Return how far the ends of a range moved outwards and inwards, in shares of its width."""
    if (old.low, old.high) == (new.low, new.high):
        return 0.0, 0.0
    if old.mean is None or new.mean is None:  # times: any move is one
        return (0.1, 0.0) if new.low < old.low or new.high > old.high else (0.0, 1.0)
    outwards = max(float(old.low) - float(new.low), float(new.high) - float(old.high), 0.0)
    inwards = max(float(new.low) - float(old.low), float(old.high) - float(new.high), 0.0)
    width = float(old.high) - float(old.low) or outwards or inwards
    return min(1.0, outwards / width), min(1.0, inwards / width)


def _rows_weight(old: int, new: int) -> float:
    if not new:
        return 99
    return 30 + 45 * (1 - min(old, new) / max(old, new))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(short(name) for name in names[:_LISTED]) + more


def _s(names: list[str]) -> str:
    return "s" if len(names) > 1 else ""


def _y(names: list[str]) -> str:
    return "ies" if len(names) > 1 else "y"
