"""Compares tables, Parquet and CSV, batch by batch: memory stays bounded whatever their size."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dalsegno.replay.formats import delimiter_of
from dalsegno.replay.values import (
    Comparison,
    Match,
    Shown,
    Tolerance,
    compare_values,
    difference,
    differs,
    equal,
    relative_deviation,
)

_BATCH_ROWS = 32 * 1024
_FLOAT32_RELATIVE = 1e-5


class _Findings:
    """What the columns of two tables had to say, over all rows."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[int, Any, Any]] = {}
        self.rows: dict[str, int] = {}
        self.deviations: dict[str, float] = {}

    def differ(self, column: str, row: int, old: Any, new: Any, rows: int = 1) -> None:
        """Note rows of a column that differ, the first of them by its values."""
        self.first.setdefault(column, (row, old, new))
        self.rows[column] = self.rows.get(column, 0) + rows

    def deviate(self, column: str, deviation: float) -> None:
        """Note numbers of a column that are equal within tolerance."""
        self.deviations[column] = max(deviation, self.deviations.get(column, 0.0))

    def comparison(self) -> Comparison:
        """Sum up."""
        if not self.first:
            return equal(self.deviations)
        column, (row, old, new) = min(self.first.items(), key=lambda item: item[1][0])
        where = f"column {column!r}, row {row}"
        note = ", ".join(
            f"{name!r} in {count} row{'s' if count > 1 else ''}"
            for name, count in list(self.rows.items())[:3]
        )
        more = f" and {len(self.rows) - 3} more columns" if len(self.rows) > 3 else ""  # noqa: PLR2004
        return Comparison(
            Match.DIFFERS,
            difference(where, old, new),
            note + more,
            self.deviations,
        )


def compare_parquet(old: Path, new: Path, tolerance: Tolerance) -> Comparison:
    """Compare two Parquet files by schema, rows and values; encodings do not count."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(old) as left, pq.ParquetFile(new) as right:
        names = left.schema_arrow.names
        types = {field.name: Shown(str(field.type)) for field in left.schema_arrow}
        others = {field.name: Shown(str(field.type)) for field in right.schema_arrow}
        schema = _compare_columns(names, right.schema_arrow.names, types, others)
        if schema:
            return schema
        if left.metadata.num_rows != right.metadata.num_rows:
            return differs("rows", left.metadata.num_rows, right.metadata.num_rows)
        findings = _Findings()
        for row, mine, its in _aligned(left, right):
            for index, name in enumerate(names):
                _compare_column(
                    findings, name, row, mine.column(index), its.column(index), tolerance
                )
        return findings.comparison()


def compare_csv(old: Path, new: Path, tolerance: Tolerance) -> Comparison:
    """Compare two CSV files with a header: cells as text, and as numbers where both are numbers."""
    delimiter = delimiter_of(old)
    with (
        old.open(newline="", errors="replace") as mine,
        new.open(newline="", errors="replace") as its,
    ):
        left, right = csv.reader(mine, delimiter=delimiter), csv.reader(its, delimiter=delimiter)
        names, others = next(left, []), next(right, [])
        schema = _compare_columns(names, others, {}, {})
        if schema:
            return schema
        findings, rows, other_rows = _Findings(), 0, 0
        for row, (cells, other_cells) in enumerate(zip_longest(left, right)):
            rows += cells is not None
            other_rows += other_cells is not None
            if cells != other_cells and cells is not None and other_cells is not None:
                _compare_cells(findings, names, row, cells, other_cells, tolerance)
        if rows != other_rows:
            return differs("rows", rows, other_rows)
        return findings.comparison()


def _compare_columns(
    old: list[str], new: list[str], types: dict[str, Shown], others: dict[str, Shown]
) -> Comparison | None:
    missing, extra = [name for name in old if name not in new], [n for n in new if n not in old]
    if missing or extra:
        return differs("columns", Shown(", ".join(missing) or "-"), Shown(", ".join(extra) or "-"))
    if old != new:
        first = next(
            index for index, pair in enumerate(zip(old, new, strict=False)) if len(set(pair)) > 1
        )
        return differs(f"order of columns, {first}", old[first], new[first])
    for name, kind in types.items():
        if others[name] != kind:
            return differs(f"type of column {name!r}", kind, others[name])
    return None


def _aligned(left: Any, right: Any) -> Iterator[tuple[int, Any, Any]]:
    """Yield batches of the same rows of two Parquet files, whatever their row groups."""
    row = 0
    ours, theirs = (file.iter_batches(batch_size=_BATCH_ROWS) for file in (left, right))
    mine = its = None
    while True:
        mine = mine if mine is not None and mine.num_rows else next(ours, None)
        its = its if its is not None and its.num_rows else next(theirs, None)
        if mine is None or its is None:
            return
        rows = min(mine.num_rows, its.num_rows)
        yield row, mine.slice(0, rows), its.slice(0, rows)
        row += rows
        mine, its = mine.slice(rows), its.slice(rows)


def _compare_column(
    findings: _Findings, name: str, row: int, old: Any, new: Any, tolerance: Tolerance
) -> None:
    import pyarrow as pa

    if old.equals(new):
        return
    kind = old.type
    if pa.types.is_dictionary(kind):
        old, new = old.dictionary_decode(), new.dictionary_decode()
        kind = old.type
    if pa.types.is_floating(kind):
        _compare_floats(findings, name, row, old, new, tolerance)
    elif pa.types.is_nested(kind):
        _compare_nested(findings, name, row, old.to_pylist(), new.to_pylist(), tolerance)
    else:
        _compare_exact(findings, name, row, old, new)


def _compare_floats(
    findings: _Findings, name: str, row: int, old: Any, new: Any, tolerance: Tolerance
) -> None:
    import numpy as np
    import pyarrow as pa

    relative = tolerance.relative
    if not pa.types.is_float64(old.type):
        relative = max(relative, _FLOAT32_RELATIVE)
    nulls = np.asarray(old.is_null()) != np.asarray(new.is_null())
    left, right = (np.asarray(item.to_numpy(zero_copy_only=False), float) for item in (old, new))
    with np.errstate(invalid="ignore", divide="ignore"):
        close = np.isclose(right, left, rtol=relative, atol=tolerance.absolute, equal_nan=True)
        bad = nulls | ~close
        largest = np.maximum(np.abs(left), np.abs(right))
        apart = np.where((left != right) & close, np.abs(left - right) / largest, 0.0)
    if bad.any():
        at = int(bad.argmax())
        findings.differ(name, row + at, old[at].as_py(), new[at].as_py(), int(bad.sum()))
    most = float(np.nanmax(apart, initial=0.0))
    if most:
        findings.deviate(name, most)


def _compare_exact(findings: _Findings, name: str, row: int, old: Any, new: Any) -> None:
    import pyarrow.compute as pc

    unequal = pc.fill_null(pc.not_equal(old, new), False)
    bad = pc.or_(unequal, pc.xor(old.is_null(), new.is_null()))
    rows = pc.sum(bad).as_py() or 0
    if rows:
        at = pc.index(bad, True).as_py()
        findings.differ(name, row + at, old[at].as_py(), new[at].as_py(), rows)


def _compare_nested(
    findings: _Findings, name: str, row: int, old: list[Any], new: list[Any], tolerance: Tolerance
) -> None:
    for index, (left, right) in enumerate(zip(old, new, strict=True)):
        found = compare_values(left, right, tolerance)
        if found.match is Match.DIFFERS:
            findings.differ(name, row + index, left, right)
        elif found.deviations:
            findings.deviate(name, max(found.deviations.values()))


def _compare_cells(
    findings: _Findings,
    names: list[str],
    row: int,
    old: list[str],
    new: list[str],
    tolerance: Tolerance,
) -> None:
    if len(old) != len(new):
        findings.differ("(width)", row, len(old), len(new))
        return
    for index, (left, right) in enumerate(zip(old, new, strict=True)):
        if left == right:
            continue
        name = names[index] if index < len(names) else str(index)
        numbers = _number(left), _number(right)
        if None in numbers or not tolerance.covers(*numbers):  # type: ignore[arg-type]
            findings.differ(name, row, left, right)
        else:
            findings.deviate(name, relative_deviation(*numbers))  # type: ignore[arg-type]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
