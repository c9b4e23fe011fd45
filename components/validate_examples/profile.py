"""Count what a table holds, in one pass of DuckDB over its Parquet file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from components.validate_examples.schema import ColumnRule, TableRule

_KINDS = {
    "string": r"VARCHAR|UUID|ENUM\(.*\)",
    "integer": r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?",
    "number": r"FLOAT|DOUBLE|DECIMAL\(.*\)",
    "boolean": r"BOOLEAN",
    "time": r"(DATE|TIME).*",
}
_ACCEPTED = {
    "number": ("number", "integer"),
    "integer": ("integer", "number"),  # whole numbers with nulls come as floats from pandas
    "label": ("integer", "number", "boolean"),
}
_SHOWN_VALUES = 3
_SHOWN_CHARACTERS = 20


@dataclass(frozen=True)
class Profile:
    """What one column holds.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        kind: string, integer, number, boolean, time, or DuckDB's name of another type.
        rows: All of them.
        nulls: NULL, NaN and blank strings.
        distinct: Distinct values, about.
        low: Smallest value; None without values.
        high: Largest value.
        mean: Of the finite numbers; None without any.
        outside: Numbers that are not finite or not in the rule's range.
        fractions: Numbers that are not whole.
        repeated: Rows whose value was there before; counted for the entity only.
        unexpected_rows: Rows with a value that is not legal.
        unusual_rows: Rows with a value that is not usual.
        examples: The commonest of those values: not legal, not usual.
    """

    table: str
    column: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    low: Any = None
    high: Any = None
    mean: float | None = None
    outside: int = 0
    fractions: int = 0
    repeated: int = 0
    unexpected_rows: int = 0
    unusual_rows: int = 0
    examples: tuple[list[Any], list[Any]] = field(default=([], []))

    @property
    def null_share(self) -> float:
        """Share of nulls (0-1)."""
        return self.nulls / self.rows if self.rows else 0.0

    def has_type(self, wanted: str) -> bool:
        """Say whether the column's type will do for a rule's type."""
        return wanted == "any" or self.kind in _ACCEPTED.get(wanted, (wanted,))


def unexpected(profile: Profile, illegal: bool) -> str:
    """Show the values that are not legal, or not usual: the commonest three."""
    values = profile.examples[0 if illegal else 1]
    shown = [
        f"{value:g}" if isinstance(value, int | float) else repr(str(value)[:_SHOWN_CHARACTERS])
        for value in values[:_SHOWN_VALUES]
    ]
    return ", ".join([*shown, "…"] if len(values) > _SHOWN_VALUES else shown)


def profile_columns(
    connection: duckdb.DuckDBPyConnection, table: str, path: Path, rule: TableRule
) -> tuple[int, dict[str, Profile]]:
    """Count the rows of a table, and what its columns hold that have a rule.

    Raises:
        duckdb.Error: The file is no whole Parquet file.
    """
    scan = f"read_parquet({_literal(str(path))})"
    found = connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()  # noqa: S608
    kinds = {name: _kind(type_) for name, type_, *_ in found}
    counts = {
        name: _counts(name, kind, rule.columns[name], unique=name == rule.entity)
        for name, kind in kinds.items()
        if name in rule.columns
    }
    expressions = [text for column in counts.values() for text in column.values()]
    query = f"SELECT {', '.join(['count(*)', *expressions])} FROM {scan}"  # noqa: S608
    rows, *values = connection.execute(query).fetchall()[0]
    profiles = {}
    for name, column in counts.items():
        mine, values = values[: len(column)], values[len(column) :]
        given = dict(zip(column, mine, strict=True))
        filled = given.pop("filled")
        given |= {"nulls": rows - filled, "distinct": min(given["distinct"], filled)}
        examples = _examples(connection, scan, name, kinds[name], rule.columns[name], given)
        profiles[name] = Profile(table, name, kinds[name], rows, **given, examples=examples)
    return rows, profiles


def _kind(type_: str) -> str:
    known = (kind for kind, names in _KINDS.items() if re.fullmatch(names, type_))
    return next(known, type_)


def _counts(name: str, kind: str, rule: ColumnRule, *, unique: bool) -> dict[str, str]:
    """Return SQL by the name of the profile's field."""
    value = _value(name, kind)
    found = {"filled": f"count({value})", "distinct": f"approx_count_distinct({value})"}
    if unique:
        found["repeated"] = f"count({value}) - count(DISTINCT {value})"
    if kind in ("integer", "number", "time"):
        found |= {"low": f"min({value})", "high": f"max({value})"}
    if kind in ("integer", "number"):
        number = f"CAST({value} AS DOUBLE)"
        low, high = (_bound(number, "<", rule.min), _bound(number, ">", rule.max))
        found["mean"] = f"avg({number}) FILTER (WHERE isfinite({number}))"
        found["outside"] = f"count_if(NOT isfinite({number}) OR {low} OR {high})"
        found["fractions"] = f"count_if(isfinite({number}) AND {number} <> floor({number}))"
    for field_, allowed in (
        ("unexpected_rows", rule.values),
        ("unusual_rows", rule.typical_values),
    ):
        if allowed is not None and kind in ("string", "integer", "number", "boolean"):
            found[field_] = f"count_if({_not_among(value, kind, allowed)})"
    return found


def _examples(
    connection: duckdb.DuckDBPyConnection,
    scan: str,
    name: str,
    kind: str,
    rule: ColumnRule,
    counted: dict[str, Any],
) -> tuple[list[Any], list[Any]]:
    found: tuple[list[Any], list[Any]] = ([], [])
    value = _value(name, kind)
    pairs = (
        (counted.get("unexpected_rows"), rule.values),
        (counted.get("unusual_rows"), rule.typical_values),
    )
    for into, (rows, allowed) in zip(found, pairs, strict=True):
        if rows and allowed is not None:
            query = (
                f"SELECT {value} AS value, count(*) FROM {scan}"  # noqa: S608
                f" WHERE {_not_among(value, kind, allowed)}"
                f" GROUP BY value ORDER BY count(*) DESC, value LIMIT {_SHOWN_VALUES + 1}"
            )
            into.extend(value for value, _ in connection.execute(query).fetchall())
    return found


def _value(name: str, kind: str) -> str:
    """Return SQL for a column's value; NaN and a blank string are NULL."""
    column = '"' + name.replace('"', '""') + '"'
    if kind == "number":
        return f"CASE WHEN isnan(CAST({column} AS DOUBLE)) THEN NULL ELSE {column} END"
    if kind == "string":
        return f"CASE WHEN trim(CAST({column} AS VARCHAR)) = '' THEN NULL ELSE {column} END"
    return column


def _bound(number: str, operator: str, bound: float | None) -> str:
    return "false" if bound is None else f"{number} {operator} {float(bound)!r}"


def _not_among(value: str, kind: str, allowed: list[Any]) -> str:
    if kind == "string":
        literals = [_literal(str(item)) for item in allowed]
        value = f"CAST({value} AS VARCHAR)"
    else:
        literals = [repr(float(item)) for item in allowed if isinstance(item, int | float)]
        value = f"CAST({value} AS DOUBLE)"
    return f"{value} NOT IN ({', '.join(literals)})" if literals else f"{value} IS NOT NULL"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
