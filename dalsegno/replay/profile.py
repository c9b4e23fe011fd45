"""Profiles a table: rows, types, null shares, ranges, categories; DuckDB reads it in streams."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dalsegno.errors import InputError
from dalsegno.replay.formats import Format, delimiter_of, format_of

_MEMORY = "200MB"
_MOST_COLUMNS = 200
_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Column:
    """What one column holds.

    Attributes:
        type: As DuckDB calls it: `BIGINT`, `DOUBLE`, `VARCHAR`, …
        null_share: 0-1.
        low: Smallest value of a column of numbers or times, else None.
        high: Largest value.
        mean: Of a column of numbers.
        categories: Values of a column of text or flags with at most 50 of them, with their
            share of the rows; empty with more.
    """

    type: str
    null_share: float
    low: Any = None
    high: Any = None
    mean: float | None = None
    categories: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """What one table holds."""

    rows: int
    columns: dict[str, Column]


def profile_of(path: Path, connection: Any = None) -> Profile:
    """Profile a Parquet or CSV file; DuckDB takes at most 200 MB, whatever its size.

    Args:
        connection: DuckDB's, given where somebody may interrupt it.

    Raises:
        InputError: The file is no table, or a broken one.
    """
    import duckdb

    connection = connection or connect()
    try:
        return _profile(connection, path)
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path.name}: got no table ({first}), want Parquet or CSV") from error


def connect() -> Any:
    """Open a database of its own, in memory, bounded, that reads files and nothing else."""
    import duckdb

    settings = {"memory_limit": _MEMORY, "threads": 2, "autoinstall_known_extensions": False}
    return duckdb.connect(":memory:", config=settings)


def have_same_rows(old: Path, new: Path) -> bool:
    """Whether two tables hold the same rows, in whatever order, by the sum of the rows' hashes."""
    import duckdb

    with contextlib.closing(connect()) as connection:
        try:
            sums = [_hash_rows(connection, path) for path in (old, new)]
        except duckdb.Error:
            return False
    return bool(sums[0] == sums[1])


def _hash_rows(connection: Any, path: Path) -> Any:
    source, arguments = _source(path)
    query = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM {source} AS t"  # noqa: S608
    return connection.execute(query, arguments).fetchone()


def _profile(connection: Any, path: Path) -> Profile:
    source, arguments = _source(path)
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}", arguments).fetchall()  # noqa: S608
    types = {str(row[0]): str(row[1]) for row in described[:_MOST_COLUMNS]}
    parts = [part for name, kind in types.items() for part in _aggregates(name, kind)]
    query = f"SELECT count(*), {', '.join(parts)} FROM {source}"  # noqa: S608
    rows, *values = connection.execute(query, arguments).fetchone()
    cells = iter(values)
    columns = {}
    for name, kind in types.items():
        nulls, low, high, mean, distinct = (next(cells) for _ in range(5))
        categories = {}
        if _is_category(kind) and 0 < distinct <= 2 * _MOST_CATEGORIES:
            categories = _categories(connection, source, arguments, name, rows)
        share = nulls / rows if rows else 0.0
        columns[name] = Column(kind, share, low, high, mean, categories)
    return Profile(int(rows), columns)


def _source(path: Path) -> tuple[str, list[str]]:
    kind = format_of(path)
    if kind is Format.PARQUET:
        return "read_parquet(?)", [_literal(path)]
    if kind is Format.CSV:
        return "read_csv(?, delim = ?, header = true)", [_literal(path), delimiter_of(path)]
    raise InputError(f"{path.name}: got {kind}, want Parquet or CSV")


def _aggregates(name: str, kind: str) -> list[str]:
    """Return what to ask of a column: nulls, low, high, mean, how many values; NaN is a null."""
    column = _quoted(name)
    is_float = kind in {"DOUBLE", "FLOAT"}
    kept = f" FILTER (NOT isnan({column}))" if is_float else ""
    missing = f"{column} IS NULL" + (f" OR isnan({column})" if is_float else "")
    is_number = _is_number(kind)
    is_ordered = is_number or kind.startswith(("DATE", "TIME"))
    return [
        f"count(*) FILTER ({missing})",
        f"min({column}){kept}" if is_ordered else "NULL",
        f"max({column}){kept}" if is_ordered else "NULL",
        f"avg({column}){kept}" if is_number else "NULL",
        f"approx_count_distinct({column})" if _is_category(kind) else "0",
    ]


def _categories(
    connection: Any, source: str, arguments: list[str], name: str, rows: int
) -> dict[str, float]:
    column = _quoted(name)
    query = (
        f"SELECT CAST({column} AS VARCHAR), count(*) FROM {source} "  # noqa: S608
        f"WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_MOST_CATEGORIES + 1}"
    )
    found = connection.execute(query, arguments).fetchall()
    return {value: count / rows for value, count in found} if len(found) <= _MOST_CATEGORIES else {}


def _is_number(kind: str) -> bool:
    numbers = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT")
    return kind in {*numbers, "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"} or kind.startswith(
        "DECIMAL"
    )


def _is_category(kind: str) -> bool:
    return kind in {"VARCHAR", "BOOLEAN"} or kind.startswith("ENUM")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(path: Path) -> str:
    """Write a path so that DuckDB takes no character of it for a pattern."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", str(path))
