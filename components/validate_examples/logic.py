"""Look for all that is broken or has drifted in raw tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from components.validate_examples.profile import Profile, profile_columns, unexpected
from components.validate_examples.schema import (
    NUMBERS,
    ColumnRule,
    TableRule,
    read_schema,
)
from dalsegno.errors import BrokenExamplesError

BREAK, DRIFT = "break", "drift"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: `break` stops the line, `drift` does not.
        table: Name of the table.
        column: Name of the column; "" when it is about the table.
        got: What came.
        want: What was wanted.
    """

    kind: str
    table: str
    column: str
    got: str
    want: str

    @property
    def subject(self) -> str:
        """What it is about: `table.column`."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        return f"{self.subject}: got {self.got}, want {self.want}"


@dataclass(frozen=True)
class Validation:
    """Everything that was found.

    Attributes:
        findings: Breaks first.
        profiles: Of every column that the schema names and that is there.
        rows: Row count by table.
    """

    findings: list[Finding]
    profiles: list[Profile]
    rows: dict[str, int]

    @property
    def breaks(self) -> list[Finding]:
        """What stops the line."""
        return [finding for finding in self.findings if finding.kind == BREAK]

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted, `table.column`, each once."""
        found = (finding.subject for finding in self.findings if finding.kind == DRIFT)
        return list(dict.fromkeys(found))

    def check(self) -> None:
        """Raise what is broken.

        Raises:
            BrokenExamplesError: One line a break.
        """
        if self.breaks:
            raise BrokenExamplesError("\n".join(map(str, self.breaks)))


def validate(tables: Path, schema: Mapping[str, Any], *, labelled: bool = True) -> Validation:
    """Find all breaks and drifts; memory does not grow with the number of rows.

    Args:
        tables: Folder of `<table>.parquet`.
        schema: `{table: {"entity", "min_rows", "columns": {column: rule}}}`; see `ColumnRule`.
        labelled: Whether every row must have its label.

    Raises:
        ConfigurationError: The schema itself is wrong.
    """
    rules = read_schema(schema, labelled=labelled)
    findings: list[Finding] = []
    profiles: list[Profile] = []
    rows: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory(prefix="spill-") as spill,
        duckdb.connect(config={"threads": 2, "temp_directory": spill}) as connection,
    ):
        for name, rule in sorted(rules.items()):
            path = tables / f"{name}.parquet"
            try:
                found = _profile(connection, name, path, rule)
            except duckdb.Error as error:
                reason = str(error).strip().splitlines()[0]
                findings.append(_broken(name, "", f"an unreadable file ({reason})", "Parquet"))
                continue
            if isinstance(found, Finding):
                findings.append(found)
                continue
            rows[name], columns = found
            profiles += columns.values()
            findings += _judge(name, rule, rows[name], columns)
    return Validation(sorted(findings, key=lambda f: f.kind != BREAK), profiles, rows)


def _profile(
    connection: duckdb.DuckDBPyConnection, name: str, path: Path, rule: TableRule
) -> Finding | tuple[int, dict[str, Profile]]:
    if not path.is_file():
        known = sorted(other.stem for other in path.parent.glob("*.parquet"))
        return _broken(name, "", f"tables {known}", f"{name!r} among them")
    if path.stat().st_size == 0:
        return _broken(name, "", "an empty file", "Parquet")
    return profile_columns(connection, name, path, rule)


def _judge(
    table: str, rule: TableRule, rows: int, columns: dict[str, Profile]
) -> Iterator[Finding]:
    if rows < rule.min_rows:
        yield _broken(table, "", count(rows, "row"), f"at least {rule.min_rows}")
    for name in [*columns, *sorted(set(rule.columns) - set(columns))]:
        profile, wanted = columns.get(name), rule.columns[name]
        if profile is None:
            if wanted.required:
                yield _broken(table, name, "no such column", wanted.type)
        elif rows:
            yield from _judge_column(profile, wanted)
    entity = columns.get(rule.entity)
    if entity and entity.repeated:
        yield _broken(
            table,
            rule.entity,
            f"{count(entity.repeated, 'duplicate')} in {count(rows, 'row')}",
            "each one once",
        )


def _judge_column(profile: Profile, rule: ColumnRule) -> Iterator[Finding]:
    table, name = profile.table, profile.column
    if profile.null_share > rule.max_null_share:
        got = f"{percent(profile.null_share)} nulls"
        yield _broken(table, name, got, f"at most {percent(rule.max_null_share)}")
    elif rule.typical_null_share and not _within(profile.null_share, rule.typical_null_share):
        low, high = map(percent, rule.typical_null_share)
        got = f"{percent(profile.null_share)} nulls"
        yield Finding(DRIFT, table, name, got, f"{low} to {high}")
    if profile.null_share == 1:
        return  # a column without a value has no type to speak of
    if not profile.has_type(rule.type):
        yield _broken(table, name, f"type {profile.kind}", rule.type)
        return
    if profile.fractions and rule.type == "integer":
        yield _broken(table, name, count(profile.fractions, "fraction"), "whole numbers")
    if profile.outside:
        rows = count(profile.outside, "row")
        got = f"{rows} outside, values from {_number(profile.low)} to {_number(profile.high)}"
        yield _broken(table, name, got, _range(rule))
    yield from _judge_values(profile, rule)
    mean, usual = profile.mean, rule.typical_mean
    if mean is not None and usual and not _within(mean, usual):
        yield Finding(DRIFT, table, name, f"mean {mean:.4g}", f"{usual[0]:g} to {usual[1]:g}")


def _judge_values(profile: Profile, rule: ColumnRule) -> Iterator[Finding]:
    for kind, rows, allowed in (
        (BREAK, profile.unexpected_rows, rule.values),
        (DRIFT, profile.unusual_rows, rule.typical_values),
    ):
        if rows and allowed is not None:
            got = f"{count(rows, 'row')} with {unexpected(profile, kind == BREAK)}"
            want = ", ".join(_number(v) if rule.type in NUMBERS else repr(v) for v in allowed)
            yield Finding(kind, profile.table, profile.column, got, f"one of {want}")


def percent(share: float) -> str:
    """Write a share (0-1) as a percentage that is 0% or 100% only when it is just that."""
    near = 0 < share < 0.01 or 0.99 < share < 1  # noqa: PLR2004
    return f"{100 * share:.4g}%" if near else f"{share:.0%}"


def count(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _broken(table: str, column: str, got: str, want: str) -> Finding:
    return Finding(BREAK, table, column, got, want)


def _within(value: float, bounds: list[float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _range(rule: ColumnRule) -> str:
    if rule.min is None and rule.max is None:
        return "finite numbers"
    if rule.max is None:
        return f"at least {rule.min:g}"
    return f"at most {rule.max:g}" if rule.min is None else f"{rule.min:g} to {rule.max:g}"


def _number(value: Any) -> str:
    return f"{float(value):g}"
