from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kfp import dsl

from components.validate_examples import logic
from components.validate_examples.component import validate_examples
from components.validate_examples.report import render
from dalsegno.errors import BrokenExamplesError, ConfigurationError

SCHEMA: dict[str, Any] = {
    "people": {
        "entity": "person",
        "min_rows": 5,
        "columns": {
            "sex": {"type": "string", "max_null_share": 0.0, "values": ["female", "male"]},
            "age": {"type": "number", "max_null_share": 0.5, "min": 0, "max": 120},
            "children": {"type": "integer"},
            "born": {"type": "string", "required": False, "typical_values": ["here", "abroad"]},
            "survived": {"type": "label"},
        },
    }
}


def people(**columns: Any) -> pd.DataFrame:
    frame = {
        "person": [f"p{number}" for number in range(10)],
        "sex": ["female", "male"] * 5,
        "age": [30.0, None, 0.5, 120.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        "children": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        "survived": [0, 1] * 5,
    }
    return pd.DataFrame({**frame, **columns})


def found(tmp_path: Path, frame: pd.DataFrame, **settings: Any) -> list[str]:
    frame.to_parquet(tmp_path / "people.parquet")
    validation = logic.validate(tmp_path, settings.pop("schema", SCHEMA), **settings)
    return [f"{finding.kind} {finding}" for finding in validation.findings]


def test_whole_examples_have_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, people()) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sex": ["male"] * 6 + [None] * 4}, "people.sex: got 40% nulls, want at most 0%"),
        ({"sex": ["male"] * 9 + ["  "]}, "people.sex: got 10% nulls, want at most 0%"),
        (
            {"age": [math.nan] * 6 + [1.0] * 4},
            "people.age: got 60% nulls, want at most 50%",
        ),
        (
            {"age": ["x"] * 10},
            "people.age: got type string, want number",
        ),
        ({"sex": range(10)}, "people.sex: got type integer, want string"),
        (
            {"age": [1.0] * 8 + [-5.0, 400.0]},
            "people.age: got 2 rows outside, values from -5 to 400, want 0 to 120",
        ),
        (
            {"age": [1.0] * 9 + [math.inf]},
            "people.age: got 1 row outside, values from 1 to inf, want 0 to 120",
        ),
        ({"children": [0.5] * 2 + [1.0] * 8},
         "people.children: got 2 fractions, want whole numbers"),
        ({"person": ["p1", "p1"] + [f"q{n}" for n in range(8)]},
         "people.person: got 1 duplicate in 10 rows, want each one once"),
        ({"person": [None] + [f"q{n}" for n in range(9)]},
         "people.person: got 10% nulls, want at most 0%"),
        ({"sex": ["M", "M", "F"] + ["male"] * 7},
         "people.sex: got 3 rows with 'M', 'F', want one of 'female', 'male'"),
        ({"survived": [2] + [0] * 9}, "people.survived: got 1 row with 2, want one of 0, 1"),
        ({"survived": [math.nan] * 2 + [1.0] * 8},
         "people.survived: got 20% nulls, want at most 0%"),
        ({"survived": ["yes"] * 10}, "people.survived: got type string, want label"),
    ],
    ids=["nulls", "blank", "nan", "type", "number-type", "range", "infinite", "fractions",
         "repeated", "no-entity", "category", "label", "nan-label", "label-type"],
)  # fmt: skip
def test_break_names_column_got_and_want(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    assert found(tmp_path, people(**columns)) == [f"break {message}"]


@pytest.mark.parametrize(
    "columns",
    [
        {"survived": [True, False] * 5},
        {"survived": [1.0, 0.0] * 5},
        {"children": [1.0, None] * 5},
        {"age": [None] * 5 + [3] * 5},
        {"sex": pd.Categorical(["male", "female"] * 5)},
        {"born": [None] * 10},
    ],
    ids=["boolean-label", "float-label", "whole-floats", "integers", "categories", "all-null"],
)
def test_equal_types_are_accepted(tmp_path: Path, columns: dict[str, Any]) -> None:
    assert found(tmp_path, people(**columns)) == []


def test_all_breaks_are_found_at_once(tmp_path: Path) -> None:
    frame = people(sex=[None] * 4 + ["x"] * 6, age=[-1.0] * 10).drop(columns="children")
    assert found(tmp_path, frame.head(4)) == [
        "break people: got 4 rows, want at least 5",
        "break people.sex: got 100% nulls, want at most 0%",
        "break people.age: got 4 rows outside, values from -1 to -1, want 0 to 120",
        "break people.children: got no such column, want integer",
    ]


def test_empty_and_missing_tables_are_breaks(tmp_path: Path) -> None:
    schema = {"a": {}, "b": {}, "c": {}, "d": {"columns": {"x": {"type": "number"}}}}
    (tmp_path / "a.parquet").touch()
    (tmp_path / "b.parquet").write_bytes(b"PAR1 torn PAR1")
    pd.DataFrame({"x": pd.Series([], dtype=str)}).to_parquet(tmp_path / "d.parquet")
    messages = [str(finding) for finding in logic.validate(tmp_path, schema).findings]
    assert messages[0] == "a: got an empty file, want Parquet"
    assert messages[1].startswith("b: got an unreadable file (")
    assert messages[2] == "c: got tables ['a', 'b', 'd'], want 'c' among them"
    assert messages[3:] == ["d: got 0 rows, want at least 1"]


@pytest.mark.parametrize("labels", [None, [math.nan] * 9 + [1.0]], ids=["absent", "nulls"])
def test_labels_are_wanted_only_when_labelled(tmp_path: Path, labels: list[float] | None) -> None:
    frame = people(survived=labels) if labels else people().drop(columns="survived")
    assert found(tmp_path, frame, labelled=False) == []
    assert len(found(tmp_path, frame)) == 1
    two = people(survived=[2] * 10)
    assert "got 10 rows with 2" in found(tmp_path, two, labelled=False)[0]


def test_untypical_columns_are_drift_not_break(tmp_path: Path) -> None:
    schema = copy.deepcopy(SCHEMA)
    columns = schema["people"]["columns"]
    columns["age"] |= {"typical_mean": [40, 50], "typical_null_share": [0.2, 0.3]}
    frame = people(born=["mars", "mars", "here"] + [None] * 7)
    frame.to_parquet(tmp_path / "people.parquet")
    validation = logic.validate(tmp_path, schema)
    assert [str(finding) for finding in validation.findings] == [
        "people.age: got 10% nulls, want 20% to 30%",
        "people.age: got mean 18.39, want 40 to 50",
        "people.born: got 2 rows with 'mars', want one of 'here', 'abroad'",
    ]
    assert validation.drifted == ["people.age", "people.born"]
    validation.check()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"maximum": 3}, r"schema.people.x: got \['maximum'\], want only \['type', 'required'"),
        ({"type": "text"}, "schema.people.x: got type 'text', want one of"),
        ({"typical_mean": [3]}, r"schema.people.x.typical_mean: got \[3\], want \[lowest, highest"),
        ({"min": "0"}, "schema.people.x.min: got '0', want a number"),
        ("number", "schema.people.x: got str, want a dict of"),
    ],
    ids=["name", "type", "bounds", "number", "dict"],
)
def test_wrong_schema_is_explained(tmp_path: Path, column: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        logic.validate(tmp_path, {"people": {"columns": {"x": column}}})
    with pytest.raises(ConfigurationError, match="schema: got no table"):
        logic.validate(tmp_path, {})


def test_small_shares_are_not_rounded_to_none() -> None:
    shares = [logic.percent(share) for share in (0.0, 0.0001, 0.014, 0.4, 0.9996, 1.0)]
    assert shares == ["0%", "0.01%", "1%", "40%", "99.96%", "100%"]


def test_report_shows_findings_escaped(tmp_path: Path) -> None:
    people(sex=["<b>"] * 10).to_parquet(tmp_path / "people.parquet")
    html = render(logic.validate(tmp_path, SCHEMA))
    assert "Broken: 1 break" in html
    assert "10 rows with &#39;&lt;b&gt;&#39;" in html
    assert "<b>" not in html
    assert html == render(logic.validate(tmp_path, SCHEMA))


def test_component_writes_the_report_before_it_stops(tmp_path: Path) -> None:
    people(sex=[None] * 4 + ["male"] * 6, survived=[3] + [0] * 9).to_parquet(
        tmp_path / "people.parquet"
    )
    examples, report = dsl.Dataset(uri=str(tmp_path)), dsl.HTML(uri=str(tmp_path / "report"))
    with pytest.raises(BrokenExamplesError) as raised:
        validate_examples.python_func(examples, report, schema=SCHEMA)
    assert str(raised.value).splitlines() == [
        "people.sex: got 40% nulls, want at most 0%",
        "people.survived: got 1 row with 3, want one of 0, 1",
    ]
    assert "40% nulls" in Path(report.path).read_text()


def test_component_returns_drifted_columns(tmp_path: Path) -> None:
    people(born=["mars"] * 10).to_parquet(tmp_path / "people.parquet")
    examples, report = dsl.Dataset(uri=str(tmp_path)), dsl.HTML(uri=str(tmp_path / "report"))
    outputs = validate_examples.python_func(examples, report, schema=SCHEMA)
    assert outputs.drifted == ["people.born"]
    assert "drift" in Path(report.path).read_text()
