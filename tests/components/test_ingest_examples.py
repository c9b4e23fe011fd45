from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.ingest_examples import logic
from components.ingest_examples.component import ingest_examples
from components.ingest_examples.source import local_folder
from dalsegno.errors import InputError, NotFoundError


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_read_tables_keeps_keys_as_strings(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in",
        {"visits.csv": "visit_id,room,cost\n1,7,2.5\n2,8,\n", "rooms.csv": "room,beds\n7,2\n8,1\n"},
    )
    tables = logic.read_tables(source, tmp_path / "out")
    assert [(table.name, table.rows) for table in tables] == [("rooms", 2), ("visits", 2)]
    visits = pd.read_parquet(tmp_path / "out/visits.parquet")
    assert visits.visit_id.tolist() == ["1", "2"]
    assert visits.room.tolist() == ["7", "8"]
    assert visits.cost.dtype == float
    assert pd.read_parquet(tmp_path / "out/rooms.parquet").beds.dtype == "int64"


def test_read_tables_types_a_column_by_all_its_rows(tmp_path: Path) -> None:
    rows = "".join(f"{number}\n" for number in range(30_000))
    write(tmp_path, {"t.csv": f"code\n{rows}A 1\n"})
    (table,) = logic.read_tables(tmp_path, tmp_path / "out")
    assert table.columns == {"code": "VARCHAR"}
    assert table.rows == 30_001


def test_read_tables_passes_parquet_through(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in/t.parquet")
    logic.read_tables(tmp_path / "in", tmp_path / "out")
    read = pd.read_parquet(tmp_path / "out/t.parquet")
    assert read.id.tolist() == ["1", "2"]
    assert read["at"].tolist() == frame["at"].tolist()


def test_read_tables_writes_same_bytes_twice(tmp_path: Path) -> None:
    write(tmp_path / "in", {"t.csv": "a,b\n" + "".join(f"{n},x{n}\n" for n in range(9999))})
    for out in ("one", "two"):
        logic.read_tables(tmp_path / "in", tmp_path / out)
    one, two = ((tmp_path / out / "t.parquet").read_bytes() for out in ("one", "two"))
    assert one == two


def test_read_tables_reads_quotes_and_nulls(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": 'name,note\n"Doe, ""J""",\nÉmile,"line\nbreak"\n'})
    logic.read_tables(tmp_path, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/t.parquet").to_pylist()
    assert rows == [
        {"name": 'Doe, "J"', "note": None},
        {"name": "Émile", "note": "line\nbreak"},
    ]


def test_read_tables_writes_header_alone_as_no_rows(tmp_path: Path) -> None:
    write(tmp_path, {"t.csv": "a,b\n"})
    (table,) = logic.read_tables(tmp_path, tmp_path / "out")
    assert table.rows == 0
    assert list(table.columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"notes.txt": "x"}, r"got notes\.txt, want files ending in \.csv or \.parquet"),
        ({"t.csv": ""}, r"t\.csv: got an empty file, want a header and rows"),
        ({"t.csv": "a\n", "T.parquet": b"x"}, r"t\.csv: got table 't' again, want it in T\.parq"),
        (
            {"t.csv": "a\nÉ\n".encode("latin-1")},
            r"t\.csv: got bytes that are not UTF-8 \(at byte 2",
        ),
        ({"t.csv": "a\nb\n".encode("utf-16")}, r"t\.csv: got bytes that are not UTF-8"),
        ({"t.parquet": b"PAR1 torn"}, r"t\.parquet: got an unreadable file .* whole Parquet file"),
        ({"t.csv": "a,b\n1,2\n1,2,3,4\n"}, r"t\.csv: got an unreadable file .* comma-separated"),
        ({"my table.csv": "a\n1\n"}, r"my table\.csv: got table name 'my table', want a letter"),
    ],
    ids=["none", "empty", "twice", "latin-1", "utf-16", "torn", "ragged", "name"],
)
def test_read_tables_names_the_bad_file(
    tmp_path: Path, files: dict[str, bytes | str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        logic.read_tables(write(tmp_path / "in", files), tmp_path / "out")


def test_local_folder_resolves_every_local_form(tmp_path: Path) -> None:
    assert local_folder(str(tmp_path), tmp_path) == tmp_path
    assert local_folder(f"file://{tmp_path}", tmp_path) == tmp_path
    assert (local_folder("package://pipelines.titanic/data", tmp_path) / "ports.csv").is_file()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/not/here", "'/not/here': got nothing there, want a folder"),
        ("package://no.such/data", "got package 'no.such', want one that can be imported"),
        ("package://pipelines.titanic/no", "got nothing there"),
        ("package://pipelines.titanic/../..", r"got '\.\.', want a folder inside"),
        ("s3://bucket", "got a bucket, want a folder in it"),
        ("", "got nothing, want a path, file://"),
    ],
    ids=["path", "package", "folder", "escape", "bucket", "nothing"],
)
def test_local_folder_refuses_what_is_not_there(tmp_path: Path, uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        local_folder(uri, tmp_path)


def test_local_folder_fetches_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dalsegno.datasets import publish
    from dalsegno.store import open_store

    monkeypatch.setenv("DALSEGNO_STORE_URI", str(tmp_path / "store"))
    store = open_store(str(tmp_path / "store"))
    publish(store, "shop", write(tmp_path / "in", {"t.csv": "a\n1\n"}))
    folder = local_folder("dataset://shop@1", tmp_path / "scratch")
    assert (folder / "t.csv").read_text() == "a\n1\n"
    with pytest.raises(NotFoundError, match="shop"):
        local_folder("dataset://nothing", tmp_path / "scratch")


def test_ingest_examples_writes_tables_and_rows(tmp_path: Path) -> None:
    examples = dsl.Dataset(uri=str(tmp_path / "examples"))
    ingest_examples.python_func(examples, tables_uri="package://pipelines.titanic/data")
    assert examples.metadata["rows"] == {"passengers": 1309, "ports": 3, "tickets": 930}
    passengers = pd.read_parquet(f"{examples.path}/passengers.parquet").set_index("ticket")
    assert passengers.loc["695", "passenger_id"] == "p0052"
