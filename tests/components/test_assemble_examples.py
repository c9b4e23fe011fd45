from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp import dsl

from components.assemble_examples import logic
from components.assemble_examples.component import assemble_examples
from dalsegno.errors import InputError
from tests.people import draw_people

SETTINGS = logic.AssemblySettings("person_id", "survived", ["boat"])
PEOPLE = draw_people(400)


def splits_of(splits: logic.Splits) -> dict[str, str]:
    names = ("train", "validation", "test")
    return {entity: name for name in names for entity in getattr(splits, name)["person_id"]}


def test_shares_stay_what_they_were() -> None:
    drawn = logic.draw_shares(pd.Series(["a", "b", "7"]), seed=0)
    np.testing.assert_allclose(drawn, [0.226609, 0.679459, 0.892140], atol=1e-6)
    assert (
        logic.draw_shares(pd.Series([7.0]), 0) == logic.draw_shares(pd.Series([7]), 0) == drawn[2]
    )
    assert logic.draw_shares(pd.Series(["a"]), 1) != drawn[0]


def test_entity_keeps_its_split_in_new_version() -> None:
    before = splits_of(logic.assemble(PEOPLE, PEOPLE.head(0), SETTINGS))
    renewed = draw_people(700, seed=5).sample(frac=1, random_state=0)
    after = splits_of(logic.assemble(renewed, PEOPLE.head(0), SETTINGS))
    assert len(after) == 700
    assert all(after[entity] == split for entity, split in before.items())


def test_shares_are_as_asked_for() -> None:
    drawn = logic.draw_shares(pd.Series(np.arange(20_000)), seed=3)
    assert np.mean(drawn < 0.25) == pytest.approx(0.25, abs=0.01)
    assert np.mean((drawn >= 0.25) & (drawn < 0.4)) == pytest.approx(0.15, abs=0.01)


def test_golden_holds_test_split_and_new_entities() -> None:
    more = draw_people(420, seed=2)[PEOPLE.columns[::-1]].assign(note="x")
    splits = logic.assemble(PEOPLE, more, SETTINGS)
    golden = splits.golden
    assert list(golden.columns) == list(PEOPLE.columns)
    assert golden.head(len(splits.test)).equals(splits.test)
    assert list(golden["person_id"].iloc[len(splits.test) :]) == [f"p{n}" for n in range(400, 420)]
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 400


def test_golden_is_the_test_split_when_nothing_is_added() -> None:
    splits = logic.assemble(PEOPLE, None, SETTINGS)
    assert splits.golden.equals(splits.test)
    later = logic.assemble(draw_people(4000, seed=9), None, SETTINGS)
    assert set(splits.golden["person_id"]) <= set(later.golden["person_id"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (PEOPLE.assign(survived=np.nan), "got no 'survived' in 400 of 400 rows"),
        (PEOPLE.assign(survived=3), "got other 'survived' than 0 and 1 in 400 of 400 rows"),
        (PEOPLE.assign(survived=0), "training split: got .* and 0 with 1, want at least 1"),
        (PEOPLE.assign(person_id="x"), "got 399 of 400 rows whose 'person_id' came before"),
        (PEOPLE.assign(person_id=None), "got no 'person_id' in 400 of 400 rows"),
        (PEOPLE.drop(columns="survived"), r"want \['survived'\]"),
        (PEOPLE.head(3), "split: got"),
        (PEOPLE.head(0), "training split: got 0 rows"),
        (PEOPLE.assign(extra=1), r"golden_features: got columns .*, want \['extra'\]"),
        (PEOPLE.assign(boat=1), r"feature 'boat' leaks 'survived': got columns \['boat'\]"),
    ],
    ids=[
        "no-label",
        "label-3",
        "one-label",
        "duplicate",
        "nameless",
        "no-target",
        "tiny",
        "empty",
        "golden-column",
        "leak",
    ],
)
def test_examples_are_refused(changed: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        logic.assemble(changed, PEOPLE.head(0), SETTINGS)


def test_golden_labels_are_checked() -> None:
    with pytest.raises(InputError, match="golden_features: got no 'survived' in 1 of 400 rows"):
        logic.assemble(PEOPLE, PEOPLE.assign(survived=[None] + [1] * 399), SETTINGS)


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.6, 0.4)], ids=["none", "all"])
def test_shares_are_refused(shares: tuple[float, float]) -> None:
    settings = logic.AssemblySettings("person_id", "survived", [], 0, *shares)
    with pytest.raises(InputError, match="validation_share and test_share: got"):
        logic.assemble(PEOPLE, PEOPLE.head(0), settings)


LABELS = PEOPLE["survived"].to_numpy()
MOSTLY = np.where(np.arange(400) % 50 == 0, 1 - LABELS, LABELS)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (-LABELS * 2.0 + np.random.default_rng(0).random(400), "got AUC 1.000 from its value"),
        (np.where(LABELS == 1, "lived", "died"), "got AUC 1.000 from its value"),
        (np.where(MOSTLY == 1, 5.0, np.nan), "got AUC 0.9.* from having a value alone"),
        (pd.Series(np.where(MOSTLY == 1, "13", None)), "got AUC 0.9.* alone, want less than 0.95"),
        (np.where((LABELS == 0) & (np.arange(400) % 3 == 0), 1, np.nan), "got one label in all"),
    ],
    ids=["number", "text", "missing-number", "missing-text", "pure"],
)
def test_leak_is_found_by_itself(column: Any, reason: str) -> None:
    with pytest.raises(InputError, match=f"feature 'outcome' leaks 'survived': {reason}"):
        logic.check_leaks(PEOPLE.assign(outcome=column), SETTINGS)


@pytest.mark.parametrize(
    "people",
    [
        PEOPLE,
        PEOPLE.assign(outcome=LABELS).head(49),
        PEOPLE.assign(name=[f"n{n}" for n in range(400)]),
        PEOPLE.assign(all_missing=None),
        PEOPLE.assign(infinite=np.inf),
    ],
    ids=["usual", "few-rows", "names", "all-missing", "infinite"],
)
def test_no_leak_is_found_in(people: pd.DataFrame) -> None:
    logic.check_leaks(people, SETTINGS)


@pytest.mark.parametrize("leak", ["boat", "body"])
def test_leaks_of_real_passengers_are_found(leak: str) -> None:
    source = "datasets/tests/data/openml/id_40945/data-v1-dl-16826755.arff.gz"
    with gzip.open(files("sklearn") / source, "rt") as lines:
        names = [line.split()[1].strip("'\"") for line in lines_before_data(lines)]
        real = pd.read_csv(lines, names=names, na_values="?", skipinitialspace=True)
    clean = real.drop(columns=["boat", "body"]).rename_axis("person_id").reset_index()
    logic.check_leaks(clean, SETTINGS)
    settings = replace(SETTINGS, leaks=[])
    with pytest.raises(InputError, match=f"feature '{leak}' leaks 'survived'"):
        logic.check_leaks(clean.assign(**{leak: real[leak]}), settings)


def lines_before_data(lines: Iterator[str]) -> list[str]:
    head = itertools.takewhile(lambda line: not line.upper().startswith("@DATA"), lines)
    return [line for line in head if line.upper().startswith("@ATTRIBUTE")]


@pytest.mark.parametrize("added", [50, 0], ids=["more", "none"])
def test_assemble_examples_writes_four_splits(tmp_path: Path, added: int) -> None:
    PEOPLE.to_parquet(tmp_path / "features")
    if added:
        draw_people(400 + added, seed=3).to_parquet(tmp_path / "more")
    else:
        (tmp_path / "more").mkdir()  # as `fetch_dataset` leaves it
    outputs = {
        name: dsl.Dataset(uri=str(tmp_path / "out" / name))
        for name in ("train", "validation", "test", "golden")
    }
    assemble_examples.python_func(
        dsl.Dataset(uri=str(tmp_path / "features")),
        dsl.Dataset(uri=str(tmp_path / "more")),
        **outputs,
        entity="person_id",
        target="survived",
    )
    rows = {name: len(pd.read_parquet(output.path)) for name, output in outputs.items()}
    assert rows["train"] + rows["validation"] + rows["test"] == 400
    assert rows["golden"] == rows["test"] + added
    assert outputs["golden"].metadata == {"rows": rows["golden"]}
