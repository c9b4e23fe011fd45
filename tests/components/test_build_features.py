from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.build_features import logic
from components.build_features.component import build_features
from dalsegno.errors import InputError, NotFoundError

JOIN = """SELECT v.visit_id, v.cost, r.beds, COUNT(*) OVER (PARTITION BY v.room) AS guests
FROM visits v LEFT JOIN rooms r ON r.room = v.room"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    ids = [f"v{number:03d}" for number in reversed(range(400))]
    rooms = [str(number % 7) for number in range(400)]
    visits = pd.DataFrame({"visit_id": ids, "room": rooms, "cost": range(400)})
    visits.to_parquet(folder / "visits.parquet")
    rooms_frame = pd.DataFrame({"room": [str(n) for n in range(7)], "beds": range(7)})
    rooms_frame.to_parquet(folder / "rooms.parquet")
    return folder


def test_build_features_joins_and_sorts(tables: Path, tmp_path: Path) -> None:
    built = logic.build_features(tables, tmp_path / "out", JOIN, "visit_id")
    frame = pd.read_parquet(tmp_path / "out")
    assert built == logic.Features(400, ["visit_id", "cost", "beds", "guests"])
    assert frame.visit_id.is_monotonic_increasing
    assert frame.iloc[0].tolist() == ["v000", 399, 0, 58]


def test_build_features_writes_same_bytes_twice(tables: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        logic.build_features(tables, tmp_path / name, JOIN, "visit_id", 0.5, seed=3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_sample_is_seeded_and_keeps_aggregates(tables: Path, tmp_path: Path) -> None:
    logic.build_features(tables, tmp_path / "all", JOIN, "visit_id")
    for seed in (0, 1):
        logic.build_features(tables, tmp_path / str(seed), JOIN, "visit_id", 0.3, seed)
    whole, one, other = (pd.read_parquet(tmp_path / name) for name in ("all", "0", "1"))
    assert 90 < len(one) < 150
    assert set(one.visit_id) != set(other.visit_id)
    assert one.merge(whole).shape == one.shape


def test_sample_does_not_depend_on_other_rows(tables: Path, tmp_path: Path) -> None:
    fewer = JOIN + " WHERE v.visit_id < 'v200'"
    logic.build_features(tables, tmp_path / "all", JOIN, "visit_id", 0.3)
    logic.build_features(tables, tmp_path / "fewer", fewer, "visit_id", 0.3)
    whole, part = (set(pd.read_parquet(tmp_path / name).visit_id) for name in ("all", "fewer"))
    assert part == {entity for entity in whole if entity < "v200"}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "SELECT visit_id\n, price FROM visits",
            r'sql: got .*"price" not found[^€]*LINE 2: , price',
        ),
        ("SELEC 1", "sql: got Parser Error"),
        ("SELECT visit_id, CAST('x' AS INTEGER) AS a FROM visits", "sql: got Conversion Error"),
        ("DROP VIEW visits", r"sql: got \['DROP'\], want one SELECT"),
        ("SELECT 1; SELECT 2", r"got \['SELECT', 'SELECT'\], want one SELECT"),
        ("", "sql: got nothing, want one SELECT"),
        ("SELECT cost FROM visits", r"got columns \['cost'\], want 'visit_id' among them"),
        (
            "SELECT room AS visit_id FROM visits",
            "visit_id: got 7 entities in 400 rows, want one row",
        ),
        ("SELECT NULLIF(visit_id, 'v001') AS visit_id FROM visits", "visit_id: got 1 nulls, want"),
    ],
    ids=["column", "syntax", "cast", "drop", "two", "none", "entity", "repeated", "null"],
)
def test_build_features_explains_bad_sql(
    tables: Path, tmp_path: Path, sql: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        logic.build_features(tables, tmp_path / "out", sql, "visit_id", 0.999)
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


@pytest.mark.parametrize(
    "source",
    [
        "read_text('/etc/hostname')",
        "read_csv('{folder}/secret.csv')",
        "read_parquet('{folder}/../tables/../secret.parquet')",
        "read_parquet('https://example.org/x.parquet')",
        "glob('{folder}/*')",
        "'{folder}/secret.csv'",
    ],
)
def test_query_reads_nothing_but_its_tables(tables: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.csv").write_text("visit_id\n1\n")
    pd.DataFrame({"visit_id": ["1"]}).to_parquet(tmp_path / "secret.parquet")
    sql = f"SELECT '1' AS visit_id, * FROM {source.format(folder=tmp_path)}"
    with pytest.raises(InputError, match=r"Permission Error|does not exist|disabled"):
        logic.build_features(tables, tmp_path / "out", sql, "visit_id")


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_sample_share_is_checked(tables: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(InputError, match=r"sample_share: got .*, want above 0 and at most 1"):
        logic.build_features(tables, tmp_path / "out", JOIN, "visit_id", share)


def test_build_features_names_missing_and_torn_tables(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"got no Parquet file, want <table>.parquet"):
        logic.build_features(tmp_path, tmp_path / "out", JOIN, "visit_id")
    (tmp_path / "visits.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"visits.parquet: got an unreadable file"):
        logic.build_features(tmp_path, tmp_path / "out", JOIN, "visit_id")


def test_build_features_component_notes_rows(tables: Path, tmp_path: Path) -> None:
    features = dsl.Dataset(uri=str(tmp_path / "features"))
    build_features.python_func(
        dsl.Dataset(uri=str(tables)), features, sql=JOIN, entity="visit_id", sample_share=0.5
    )
    frame = pd.read_parquet(features.path)
    assert features.metadata["rows"] == len(frame)
    assert features.metadata["columns"] == list(frame.columns)
