"""What raw tables must be like (a break otherwise), and what is typical of them (else a drift)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from dalsegno.errors import ConfigurationError

NUMBERS = frozenset({"integer", "number", "label"})
TYPES = ("string", "number", "integer", "boolean", "time", "label", "any")


@dataclass(frozen=True)
class ColumnRule:
    """What one column must be like.

    Attributes:
        type: string, number, integer, boolean, time, label (0 or 1) or any.
        required: Whether the column must be there.
        max_null_share: Of NULL, NaN and blank strings (0-1).
        min: Smallest legal number.
        max: Largest legal number.
        values: The only legal values; None allows any.
        typical_null_share: Lowest and highest usual share of nulls (0-1).
        typical_mean: Lowest and highest usual mean.
        typical_values: Values that are usual; another one is a drift, no break.
    """

    type: str = "any"
    required: bool = True
    max_null_share: float = 1.0
    min: float | None = None
    max: float | None = None
    values: list[Any] | None = None
    typical_null_share: list[float] | None = None
    typical_mean: list[float] | None = None
    typical_values: list[Any] | None = None


@dataclass(frozen=True)
class TableRule:
    """What one table must be like.

    Attributes:
        entity: Column without nulls and repetitions; "" when there is none.
        min_rows: Fewest rows.
        columns: Rules by column; other columns may be there and are passed over.
    """

    entity: str = ""
    min_rows: int = 1
    columns: dict[str, ColumnRule] = field(default_factory=dict)

    @classmethod
    def read(cls, table: str, given: Mapping[str, Any], *, labelled: bool) -> Self:
        """Read one table's part of a schema.

        Args:
            table: Name of the table.
            given: `entity`, `min_rows` and `columns`.
            labelled: Whether every row must have its label; if not, the column may be absent.

        Raises:
            ConfigurationError: The schema says what no rule can say.
        """
        _check_names(f"schema.{table}", given, cls)
        columns = {
            name: _read_column(f"schema.{table}.{name}", rule, labelled=labelled)
            for name, rule in given.get("columns", {}).items()
        }
        entity = str(given.get("entity", ""))
        if entity:
            rule = columns.get(entity, ColumnRule())
            columns[entity] = ColumnRule(**{**vars(rule), "max_null_share": 0.0})
        return cls(entity, int(given.get("min_rows", 1)), columns)


def read_schema(given: Mapping[str, Any], *, labelled: bool) -> dict[str, TableRule]:
    """Read a whole schema: rules by table."""
    if not given:
        raise ConfigurationError("schema: got no table, want a table's columns and their types")
    return {name: TableRule.read(name, table, labelled=labelled) for name, table in given.items()}


def _read_column(subject: str, given: Mapping[str, Any], *, labelled: bool) -> ColumnRule:
    _check_names(subject, given, ColumnRule)
    for name in ("max_null_share", "min", "max"):
        if not isinstance(given.get(name, 0), int | float):
            raise ConfigurationError(f"{subject}.{name}: got {given[name]!r}, want a number")
    rule = ColumnRule(**given)
    if rule.type not in TYPES:
        raise ConfigurationError(f"{subject}: got type {rule.type!r}, want one of {list(TYPES)}")
    for name in ("typical_null_share", "typical_mean"):
        bounds = getattr(rule, name)
        if bounds is not None and (len(bounds) != 2 or bounds[0] > bounds[1]):  # noqa: PLR2004
            raise ConfigurationError(f"{subject}.{name}: got {bounds}, want [lowest, highest]")
    if rule.type == "label":
        wanted = {"max_null_share": 0.0, "required": True} if labelled else {"required": False}
        return ColumnRule(**{**vars(rule), "values": [0, 1], **wanted})
    return rule


def _check_names(subject: str, given: Any, rule: type) -> None:
    known = [item.name for item in fields(rule)]
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{subject}: got {type(given).__name__}, want a dict of {known}")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigurationError(f"{subject}: got {unknown}, want only {known}")
