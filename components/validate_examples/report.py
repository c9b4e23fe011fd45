"""The validation as a page to read."""

from __future__ import annotations

from components.validate_examples.logic import BREAK, Validation, count, percent
from dalsegno.report import page, paragraph, table


def render(validation: Validation) -> str:
    """Write the report as HTML: the verdict, what was found, what every column holds."""
    sections = [("Verdict", _verdict(validation)), ("Findings", _findings(validation))]
    for name in validation.rows:
        sections.append((f"Table {name}", _columns(validation, name)))
    return page("Validation of the examples", sections)


def _verdict(validation: Validation) -> str:
    broken, drifted = len(validation.breaks), len(validation.drifted)
    if broken:
        return paragraph(
            f"Broken: {count(broken, 'break')}. Nothing after this may use the tables.", "bad"
        )
    if drifted:
        return paragraph(f"Whole, with drift in {count(drifted, 'column')}.")
    return paragraph("Whole, and as usual.", "good")


def _findings(validation: Validation) -> str:
    rows = [
        {"kind": found.kind, "where": found.subject, "got": found.got, "want": found.want}
        for found in validation.findings
    ]
    return table(rows) if rows else paragraph("none", "soft")


def _columns(validation: Validation, name: str) -> str:
    marked = {(found.table, found.column): found.kind for found in reversed(validation.findings)}
    rows = [
        {
            "column": found.column,
            "type": found.kind,
            "nulls": percent(found.null_share),
            "distinct, about": found.distinct,
            "lowest": found.low,
            "mean": found.mean,
            "highest": found.high,
            "state": {BREAK: "broken"}.get(kind := marked.get((name, found.column), ""), kind),
        }
        for found in validation.profiles
        if found.table == name
    ]
    size = paragraph(count(validation.rows[name], "row"), "soft")
    return size + table(rows) if rows else size
