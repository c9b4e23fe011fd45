"""Comparing artifacts by their format."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dalsegno.replay.comparison import compare_paths
from dalsegno.replay.formats import Format, format_of
from dalsegno.replay.values import Match, compare_values

FRAME = pd.DataFrame({"age": [22.0, None, 30.5], "name": ["a", None, "c"], "n": [1, 2, 3]})


def write(path: Path, frame: pd.DataFrame, **options: Any) -> Path:
    frame.to_parquet(path, index=False, **options)
    return path


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b"a,b\n1,2\n3,4\n", Format.CSV),
        (b"a;b\n1,0;2\n", Format.CSV),
        (b'{"a": 1}', Format.JSON),
        (b"Hello, you.\nHow are you, then, today?\n", Format.TEXT),
        (b"0.5", Format.TEXT),
        (b"", Format.TEXT),
        (b"\x08\x07\x00onnx", Format.BINARY),
        (b"\xff\xfe\xfd", Format.BINARY),
        ("é".encode() * 40_000, Format.TEXT),
    ],
)
def test_format_is_told_by_content(content: bytes, want: Format, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    assert format_of(path) is want


def test_parquet_of_other_encoding_is_equal(tmp_path: Path) -> None:
    old = write(tmp_path / "old", FRAME)
    new = write(tmp_path / "new", FRAME, compression="gzip", row_group_size=2)
    assert compare_paths(old, old).match is Match.IDENTICAL
    assert str(compare_paths(old, new)).startswith("equal within tolerance: other bytes (parquet")


def test_parquet_names_first_column_and_row(tmp_path: Path) -> None:
    old = write(tmp_path / "old", FRAME)
    new = write(tmp_path / "new", FRAME.assign(age=[22.0, 1.0, 99.0], name=["a", None, "d"]))
    found = compare_paths(old, new)
    assert str(found) == (
        "differs: column 'age', row 1: None -> 1.0; 'age' in 2 rows, 'name' in 1 row"
    )


def test_parquet_floats_have_a_tolerance_by_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"exact": [1.0, 2.0], "wide": [1.0, 2.0], "narrow": [1.0, 2.0]})
    frame = frame.astype({"narrow": "float32"})
    old = write(tmp_path / "old", frame)
    near = frame.assign(wide=[1.0 + 1e-8, 2.0], narrow=frame["narrow"] * (1 + 2e-6))
    found = compare_paths(old, write(tmp_path / "near", near))
    assert found.match is Match.EQUAL
    assert set(found.deviations) == {"wide", "narrow"}
    far = frame.assign(wide=[1.0, 2.0001])
    found = compare_paths(old, write(tmp_path / "far", far))
    assert str(found.first) == "column 'wide', row 1: 2.0 -> 2.0001"


def test_parquet_past_one_batch_counts_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(100_000)})
    old = write(tmp_path / "old", frame, row_group_size=30_000)
    changed = frame.assign(x=frame["x"].where(frame["x"] < 70_001, -1))
    found = compare_paths(old, write(tmp_path / "new", changed, row_group_size=7_777))
    assert found.first is not None
    assert found.first.where == "column 'x', row 70001"
    assert found.note == "'x' in 29999 rows"


@pytest.mark.parametrize(
    ("new", "want"),
    [
        (FRAME.drop(columns="age"), "differs: columns: age -> -"),
        (FRAME.assign(n=[1.0, 2, 3]), "differs: type of column 'n': int64 -> double"),
        (FRAME.head(2), "differs: rows: 3 -> 2"),
        (FRAME[["name", "age", "n"]], "differs: order of columns, 0: 'age' -> 'name'"),
    ],
    ids=["column", "type", "rows", "order"],
)
def test_parquet_schema_differs(new: pd.DataFrame, want: str, tmp_path: Path) -> None:
    found = compare_paths(write(tmp_path / "old", FRAME), write(tmp_path / "new", new))
    assert str(found) == want


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_other_order_of_rows_is_named(kind: str, tmp_path: Path) -> None:
    paths = tmp_path / f"old.{kind}", tmp_path / f"new.{kind}"
    for path, frame in zip(paths, (FRAME, FRAME.iloc[::-1]), strict=True):
        frame.to_parquet(path, index=False) if kind == "parquet" else frame.to_csv(
            path, index=False
        )
    found = compare_paths(*paths)
    assert found.match is Match.DIFFERS
    assert found.note == "the same rows in another order"


def test_parquet_of_every_type_compares(tmp_path: Path) -> None:
    columns = {
        "list": pa.array([[1.0, 2.0], None, []]),
        "struct": pa.array([{"a": 1}, {"a": 2}, None]),
        "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
        "bytes": pa.array([b"a", b"", None]),
        "time": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
        "decimal": pa.array([1, 2, None], pa.decimal128(9, 2)),
        "flag": pa.array([True, False, None]),
        "half": pa.array([1.0, 2.0, None], pa.float32()),
        "nothing": pa.nulls(3),
    }
    pq.write_table(pa.table(columns), tmp_path / "old")
    last_is_null = {name: values.take([0, 1, 1]) for name, values in columns.items()}
    pq.write_table(pa.table(last_is_null), tmp_path / "new")
    found = compare_paths(tmp_path / "old", tmp_path / "new")
    assert found.first is not None
    assert found.first.where == "column 'list', row 2"
    assert "and 5 more columns" in found.note


def test_csv_compares_cells_as_numbers(tmp_path: Path) -> None:
    old, near, far = (tmp_path / name for name in ("old", "near", "far"))
    old.write_text('id,score\n1,0.30000000000000004\n"a\nb",2\n')
    near.write_text('id,score\n1,0.3\n"a\nb",2.0\n')
    far.write_text('id,score\n1,0.3\n"a\nb",3\n')
    assert compare_paths(old, near).match is Match.EQUAL
    assert str(compare_paths(old, far).first) == "column 'score', row 1: '2' -> '3'"


def test_csv_rows_and_columns_differ(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("a,b\n1,2\n3,4\n")
    new.write_text("a,b\n1,2\n")
    assert str(compare_paths(old, new)) == "differs: rows: 2 -> 1"
    new.write_text("a,b\n")
    assert str(compare_paths(old, new)) == "differs: rows: 2 -> 0"
    new.write_text("a,c\n1,2\n3,4\n")
    assert str(compare_paths(old, new)) == "differs: columns: b -> c"


def test_json_names_key_path(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps({"metrics": {"auc": [0.5, 0.71]}, "kept": 1}))
    new.write_text(json.dumps({"kept": 1.0, "metrics": {"auc": [0.5, 0.70999999999]}}))
    assert compare_paths(old, new).match is Match.EQUAL
    new.write_text(json.dumps({"kept": 1, "metrics": {"auc": [0.5, 0.6]}}))
    assert str(compare_paths(old, new)) == "differs: $.metrics.auc[1]: 0.71 -> 0.6"
    new.write_text("{torn")
    assert str(compare_paths(old, new)).startswith("differs: line 1:")


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        (1, 1.0, "identical"),
        (1, True, "differs: 1 -> True"),
        ("1", 1, "differs: '1' -> 1"),
        (float("nan"), float("nan"), "identical"),
        ({"a": None}, {}, "differs: a: None -> nothing"),
        ([1], [1, 2], "differs: 1 items -> 2 items"),
        (1e6, 1e6 + 0.1, "equal within tolerance: at most 1.0e-07 apart"),
    ],
)
def test_values_compare_by_type(old: Any, new: Any, want: str) -> None:
    assert str(compare_values(old, new)) == want


def test_text_names_first_line(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("same\n" + "x" * 100 + "old\n")
    new.write_text("same\n" + "x" * 100 + "new\n")
    assert str(compare_paths(old, new)) == (
        "differs: line 2: '…xxxxxxxxxxxxold' -> '…xxxxxxxxxxxxnew'"
    )
    new.write_text("same\n")
    assert "end of file" in str(compare_paths(old, new))


def test_model_compares_by_digest(tmp_path: Path) -> None:
    old, new = tmp_path / "model.onnx", tmp_path / "other.onnx"
    old.write_bytes(b"\x08\x00a")
    new.write_bytes(b"\x08\x00bc")
    assert str(compare_paths(old, new)).startswith("differs: SHA-256:")
    assert "(4 bytes)" in str(compare_paths(old, new))


def test_folders_compare_file_by_file(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "a.json").write_text('{"n": 1}')
        (tmp_path / name / "kept").write_text("")
    old, new = tmp_path / "old", tmp_path / "new"
    assert compare_paths(old, new).match is Match.IDENTICAL
    (new / "inner" / "a.json").write_text('{"n": 2}')
    assert (
        str(compare_paths(old, new))
        == "differs: file 'inner/a.json', $.n: 1 -> 2; no other of 2 files"
    )
    (new / "b").write_text("")
    assert str(compare_paths(old, new)) == "differs: files: none -> b; missing -> extra"
    assert str(compare_paths(old, old / "inner" / "a.json")) == (
        "differs: kind: a folder -> a file"
    )


def test_memory_stays_bounded_on_a_large_csv(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    rows = "".join(f"{number},{number / 7}\n" for number in range(300_000))
    old.write_text("a,b\n" + rows)
    new.write_text("a,b\n" + rows[:-2] + "9\n")
    tracemalloc.start()
    found = compare_paths(old, new)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.match is not Match.IDENTICAL
    assert most < 2_000_000
