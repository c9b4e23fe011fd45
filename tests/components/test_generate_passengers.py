from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kfp import dsl

from components.build_features.logic import build_features
from components.generate_passengers import logic
from components.generate_passengers.component import generate_passengers
from components.generate_passengers.parties import Donors, move
from components.generate_passengers.scenarios import SCENARIOS
from components.generate_passengers.survival import COEFFICIENTS, log_odds, sigmoid, terms
from components.ingest_examples.logic import read_tables
from components.validate_examples.logic import validate
from dalsegno.errors import InputError
from dalsegno.monitoring.auc import auc
from dalsegno.monitoring.drift import DriftSettings, compare_frame
from dalsegno.monitoring.sketch import Sketch, sketch_frame
from pipelines.titanic import PARAMETERS

Tables = dict[str, pd.DataFrame]
ROWS = 5_000


@pytest.fixture(scope="module")
def donors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("donors")
    read_tables(Path(__file__).parents[2] / "pipelines/titanic/data", folder)
    return folder


@pytest.fixture(scope="module")
def batches(donors: Path) -> dict[str, Tables]:
    tables = logic.read_tables(donors)
    return {scenario: logic.generate(tables, scenario, ROWS, 3) for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def features(
    donors: Path, batches: dict[str, Tables], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pd.DataFrame]:
    root = tmp_path_factory.mktemp("features")
    found = {}
    for name, tables in {**batches, "real": logic.read_tables(donors)}.items():
        if name != "broken":
            logic.write_tables(tables, root / name)
            build_features(
                root / name, root / f"{name}.features", PARAMETERS["sql"], "passenger_id"
            )
            found[name] = pd.read_parquet(root / f"{name}.features").drop(columns="passenger_id")
    return found


def stability(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    sketch: Sketch = sketch_frame(reference)
    columns = compare_frame(sketch, current, DriftSettings()).columns
    return {column.column: column.psi for column in columns}


def scored(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels and the law's probabilities."""
    people = Donors.read({**tables, "passengers": tables["passengers"]}).people
    return people["survived"].to_numpy(), sigmoid(log_odds(people))


def excess(labels: np.ndarray, chance: np.ndarray) -> float:
    """Return how many standard deviations more than expected survive."""
    return float((labels - chance).sum() / np.sqrt((chance * (1 - chance)).sum()))


def test_law_solves_its_equations_on_real_rows(donors: Path) -> None:
    people = Donors.read(logic.read_tables(donors)).people
    labels, chance = people["survived"].to_numpy(), sigmoid(log_odds(people))
    found = terms(people)
    assert list(found) == list(COEFFICIENTS)
    slopes = {name: term @ (labels - chance) for name, term in found.items()}
    assert slopes == pytest.approx(COEFFICIENTS, abs=0.2)  # of the ridge penalty, C=1
    assert auc(labels, chance) == pytest.approx(0.867, abs=0.001)


def test_generated_labels_are_as_predictable_as_real_ones(batches: dict[str, Tables]) -> None:
    labels, chance = scored(batches["none"])
    assert 0.84 < auc(labels, chance) < 0.88
    assert abs(excess(labels, chance)) < 3


def test_same_seed_gives_same_tables(donors: Path, batches: dict[str, Tables]) -> None:
    again = logic.generate(logic.read_tables(donors), "none", ROWS, 3)
    for name, table in batches["none"].items():
        pd.testing.assert_frame_equal(again[name], table)


def test_two_seeds_share_no_passenger(donors: Path, batches: dict[str, Tables]) -> None:
    other = logic.generate(logic.read_tables(donors), "none", ROWS, 31)
    for table, key in (("passengers", "passenger_id"), ("tickets", "ticket")):
        mine, theirs = batches["none"][table][key], other[table][key]
        assert mine.is_unique
        assert theirs.is_unique
        assert not set(mine) & set(theirs)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("rows", [10, 1_001])
def test_rows_are_exact(donors: Path, scenario: str, rows: int) -> None:
    tables = logic.generate(logic.read_tables(donors), scenario, rows, 0)
    assert len(tables["passengers"]) == rows
    assert set(tables["passengers"].ticket) == set(tables["tickets"].ticket)


def test_none_is_indistinguishable_by_marginals(features: dict[str, pd.DataFrame]) -> None:
    found = stability(features["real"], features["none"])
    assert len(found) == 17
    assert max(found.values()) < 0.05


def test_covariate_shifts_features_but_not_the_law(
    batches: dict[str, Tables], features: dict[str, pd.DataFrame]
) -> None:
    found = stability(features["real"], features["covariate"])
    for column in ("pclass", "age", "fare", "port", "deck"):
        assert found[column] > 0.25
    labels, chance = scored(batches["covariate"])
    for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1)):
        here = (chance >= low) & (chance < high)
        assert abs(excess(labels[here], chance[here])) < 3.5


def test_label_keeps_what_survivors_are_like(features: dict[str, pd.DataFrame]) -> None:
    none, label = features["none"], features["label"]
    assert label.survived.mean() == pytest.approx(0.6, abs=0.03)
    for value in (0, 1):
        before, after = (frame[frame.survived == value] for frame in (none, label))
        assert max(stability(before, after).values()) < 0.1


def test_concept_turns_the_sexes_round(
    batches: dict[str, Tables], features: dict[str, pd.DataFrame]
) -> None:
    before, after = features["none"], features["concept"]
    inputs = [name for name in before.columns if name != "survived"]
    pd.testing.assert_frame_equal(before[inputs], after[inputs])
    assert after.survived.mean() == pytest.approx(before.survived.mean(), abs=0.03)
    rates = after.groupby("sex").survived.mean()
    assert rates["male"] > rates["female"] + 0.2
    assert auc(*scored(batches["concept"])) < 0.5


def test_broken_is_named_by_the_schema(batches: dict[str, Tables], tmp_path: Path) -> None:
    logic.write_tables(batches["broken"], tmp_path)
    assert [str(found) for found in validate(tmp_path, PARAMETERS["schema"]).breaks] == [
        "passengers.sex: got 40% nulls, want at most 0%",
        "passengers.age: got 2 rows outside, values from -5 to 400, want 0 to 120",
        "passengers.survived: got 1 row with 2, want one of 0, 1",
        "passengers.passenger_id: got 1 duplicate in 5,000 rows, want each one once",
    ]


@pytest.mark.parametrize(
    ("scenario", "drifted"),
    [
        ("none", []),
        ("label", []),
        ("concept", []),
        ("covariate", ["passengers.age", "tickets.fare"]),
    ],
)
def test_other_scenarios_are_whole(
    batches: dict[str, Tables], tmp_path: Path, scenario: str, drifted: list[str]
) -> None:
    logic.write_tables(batches[scenario], tmp_path)
    found = validate(tmp_path, PARAMETERS["schema"])
    assert found.breaks == []
    assert found.drifted == drifted


def test_parties_stay_together(donors: Path, batches: dict[str, Tables]) -> None:
    def sizes(table: pd.DataFrame) -> pd.Series[float]:
        return table.ticket.value_counts().value_counts(normalize=True)

    real, made = logic.read_tables(donors)["passengers"], batches["none"]["passengers"]
    assert sizes(made).sub(sizes(real), fill_value=0).abs().max() < 0.02
    family = made[made.name.str.contains("Master")].ticket
    assert (made[made.ticket.isin(family)].groupby("ticket").size() > 1).mean() > 0.9


def test_leaks_leak_as_in_reality(batches: dict[str, Tables]) -> None:
    people = batches["none"]["passengers"]
    saved, lost = people[people.survived == 1], people[people.survived == 0]
    assert saved.boat.notna().mean() == pytest.approx(0.954, abs=0.02)
    assert lost.boat.notna().mean() == pytest.approx(0.011, abs=0.01)
    assert saved.body.isna().all()
    assert lost.body.notna().mean() == pytest.approx(0.15, abs=0.03)
    assert not (people.boat.notna() & people.body.notna()).any()


def test_move_keeps_the_distribution() -> None:
    rng = np.random.default_rng(0)
    values = np.array([1.0] * 30 + [2.0] * 20 + [9.0] * 50 + [np.nan] * 10)
    drawn = rng.integers(0, len(values), 100_000)
    moved = move(values, np.zeros(len(values)), drawn, rng, 0.1)
    before, after = (pd.Series(v).value_counts(normalize=True) for v in (values, moved))
    assert after.to_dict() == pytest.approx(before.to_dict(), abs=0.01)
    assert (np.isnan(moved) == np.isnan(values[drawn])).all()
    assert 0.05 < (moved != values[drawn])[~np.isnan(moved)].mean() < 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "covariat"}, "scenario: got 'covariat', want one of none, covariate, label"),
        ({"rows": 0}, "rows: got 0, want at least 1"),
        ({"rows": 9, "scenario": "broken"}, "rows: got 9, want at least 10 for a broken batch"),
        ({"seed": -1}, "seed: got -1, want 0 to 2147483647"),
    ],
    ids=["scenario", "rows", "broken", "seed"],
)
def test_wrong_settings_are_explained(
    donors: Path, settings: dict[str, object], message: str
) -> None:
    given = {"scenario": "none", "rows": 10, "seed": 0, **settings}
    with pytest.raises(InputError, match=message):
        logic.generate(logic.read_tables(donors), **given)


def test_missing_donors_are_explained(donors: Path) -> None:
    tables = logic.read_tables(donors)
    fewer = {**tables, "tickets": tables["tickets"].drop(columns="fare")}
    with pytest.raises(InputError, match=r"donors.tickets: got columns .*, want \['fare'\] among"):
        logic.generate(fewer, "none", 10, 0)
    del fewer["tickets"]
    with pytest.raises(InputError, match=r"got tables \['passengers', 'ports'\], want 'tickets'"):
        logic.generate(fewer, "none", 10, 0)


def test_generate_passengers_writes_whole_tables(donors: Path, tmp_path: Path) -> None:
    examples = dsl.Dataset(uri=str(tmp_path / "examples"))
    generate_passengers.python_func(dsl.Dataset(uri=str(donors)), examples, rows=50, seed=9)
    assert examples.metadata == {"scenario": "none", "rows": 50, "seed": 9}
    assert validate(Path(examples.path), PARAMETERS["schema"]).breaks == []
    twice = dsl.Dataset(uri=str(tmp_path / "twice"))
    generate_passengers.python_func(dsl.Dataset(uri=str(donors)), twice, rows=50, seed=9)
    for path in Path(examples.path).iterdir():
        assert path.read_bytes() == (Path(twice.path) / path.name).read_bytes()
