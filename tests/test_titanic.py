from __future__ import annotations

import csv
import gzip
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from components.build_features.logic import build_features
from components.ingest_examples.logic import read_tables
from dalsegno.errors import ConfigurationError
from pipelines.titanic import PARAMETERS
from pipelines.use_case import load_use_case

DATA = Path(__file__).parents[1] / "pipelines/titanic/data"
SQL = str(PARAMETERS["sql"])
ORIGINAL = (
    *("pclass", "survived", "name", "sex", "age", "sibsp", "parch", "ticket", "fare", "cabin"),
    *("embarked", "boat", "body", "home.dest"),
)


def original_rows() -> list[dict[str, str]]:
    sklearn = find_spec("sklearn")  # not imported: that takes seconds
    assert sklearn
    folder = Path(str(sklearn.origin)).parent / "datasets/tests/data/openml/id_40945"
    text = gzip.decompress((folder / "data-v1-dl-16826755.arff.gz").read_bytes()).decode()
    lines = text.split("@data")[1].strip().splitlines()
    values = (
        [value.replace("?", "") if value == "?" else value for value in row]
        for row in csv.reader(lines)
    )
    return [dict(zip(ORIGINAL, row, strict=True)) for row in values]


def table(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    read_tables(DATA, folder)
    return folder


@pytest.fixture(scope="module")
def features(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("features") / "features"
    build_features(tables, path, SQL, "passenger_id")
    return pd.read_parquet(path)


def test_tables_hold_every_original_value() -> None:
    tickets = {row["ticket"]: row for row in table("tickets")}
    joined = [
        {
            **row,
            "fare": tickets[row["ticket"]]["fare"],
            "pclass": tickets[row["ticket"]]["pclass"],
            "ticket": row["ticket"].partition("#")[0],
            "embarked": row["port"],
            "home.dest": row["home_dest"],
        }
        for row in table("passengers")
    ]
    rows = [{name: row[name] for name in ORIGINAL} for row in joined]
    assert rows == original_rows()
    assert len(rows) == 1309


def test_tables_have_one_row_a_key() -> None:
    for name, key, count in (("passengers", "passenger_id", 1309), ("tickets", "ticket", 930)):
        keys = [row[key] for row in table(name)]
        assert len(keys) == len(set(keys)) == count
    ports = {row["port"]: row["name"] for row in table("ports")}
    assert ports == {"S": "Southampton", "C": "Cherbourg", "Q": "Queenstown"}
    used = {row["port"] for row in table("passengers")} - {""}
    assert used == set(ports)


def test_features_keep_every_passenger(features: pd.DataFrame) -> None:
    assert len(features) == 1309
    assert features.survived.sum() == 500
    assert features.isna().sum().loc[lambda nulls: nulls > 0].to_dict() == {
        "age": 263,
        "fare": 1,
        "fare_per_person": 1,
        "deck": 1014,
        "port": 2,
        "country": 2,
    }


def test_features_leave_the_leaks_out(features: pd.DataFrame) -> None:
    leaks = PARAMETERS["leaks"]
    assert isinstance(leaks, list)
    assert not {*leaks, "home_dest", "name", "ticket"} & set(features.columns)


def test_features_of_one_family_are_right(features: pd.DataFrame) -> None:
    rows = features.set_index("passenger_id").loc["p0002":"p0005"]  # the Allisons
    assert rows.title.tolist() == ["master", "miss", "mr", "mrs"]
    assert rows.party_size.tolist() == [6, 6, 6, 6]  # two servants shared the ticket
    assert rows.family_size.tolist() == [4, 4, 4, 4]
    assert rows.party_children.tolist() == [2, 2, 2, 2]
    assert rows.fare_per_person.tolist() == pytest.approx([151.55 / 6] * 4)
    assert set(rows.deck) == {"C"}
    assert set(rows.cabins) == {2}
    assert set(rows.port) == {"Southampton"}


def test_features_group_titles(features: pd.DataFrame) -> None:
    assert features.title.value_counts().to_dict() == {
        "mr": 760,
        "miss": 264,
        "mrs": 201,
        "master": 61,
        "officer": 23,
    }


@pytest.mark.parametrize("labels", ["absent", "null"])
def test_features_do_without_labels(tables: Path, tmp_path: Path, labels: str) -> None:
    for path in tables.glob("*.parquet"):
        frame = pd.read_parquet(path)
        if path.stem == "passengers":
            del frame["survived"]
            frame = frame if labels == "absent" else frame.assign(survived=None)
        frame.to_parquet(tmp_path / path.name)
    build_features(tmp_path, tmp_path / "out", SQL, "passenger_id")
    frame = pd.read_parquet(tmp_path / "out")
    assert len(frame) == 1309
    assert frame.survived.isna().all()


def test_features_drop_crew_and_nameless(tables: Path, tmp_path: Path) -> None:
    for path in tables.glob("*.parquet"):
        frame = pd.read_parquet(path)
        if path.stem == "passengers":
            frame.loc[0, "name"], frame.loc[1, "age"], frame.loc[2, "ticket"] = "  ", 0.0, "crew"
        frame.to_parquet(tmp_path / path.name)
    build_features(tmp_path, tmp_path / "out", SQL, "passenger_id")
    gone = pd.read_parquet(tmp_path / "out")
    assert set(gone.passenger_id) & {"p0001", "p0002", "p0003"} == set()
    assert len(gone) == 1306


def test_load_use_case_adds_the_sql(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('entity = "id"\n[impute_by]\nage = "title"\n')
    (tmp_path / "features.sql").write_text("SELECT 1")
    loaded = load_use_case(tmp_path)
    assert loaded == {"entity": "id", "impute_by": {"age": "title"}, "sql": "SELECT 1"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"features.sql": "x"}, r"got \['features.sql'\], want 'settings.toml' among them"),
        ({"settings.toml": ""}, r"got \['settings.toml'\], want 'features.sql' among them"),
        ({"settings.toml": "a ="}, r"settings.toml: got .*, want a TOML file"),
        ({"settings.toml": "sql = ''", "features.sql": "x"}, "got 'sql', want it in features.sql"),
    ],
    ids=["settings", "sql", "toml", "twice"],
)
def test_load_use_case_names_the_bad_file(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_use_case(tmp_path)
    with pytest.raises(ConfigurationError, match=r"got no folder, want one with settings.toml"):
        load_use_case(tmp_path / "nowhere")
