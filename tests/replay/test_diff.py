"""The input diff, on tables and on real runs."""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from dalsegno.replay.changes import table_changes
from dalsegno.replay.diff import Side, all_changes, in_order, side_of, summary
from dalsegno.replay.failure import what_changed
from dalsegno.replay.last_good import last_good
from dalsegno.replay.profile import profile_of
from dalsegno.replay.recorded import fetch_into
from dalsegno.runs.reader import read_task
from dalsegno.runs.record import RunRecord, to_json
from dalsegno.store import Store
from tests.replay.pipelines import IMAGE, averages

FRAME = pd.DataFrame(
    {
        "age": [22.0, 38.0, 26.0, 35.0] * 10,
        "embarked": ["S", "C", "S", "Q"] * 10,
        "n": range(40),
        "seen": pd.date_range("2026-01-01", periods=40),
    }
)


def changes(tmp_path: Path, new: pd.DataFrame, kind: str = "parquet") -> list[str]:
    paths = (tmp_path / "old", tmp_path / "new")
    for path, frame in zip(paths, (FRAME, new), strict=True):
        frame.to_parquet(path, index=False) if kind == "parquet" else frame.to_csv(
            path, index=False
        )
    before, after = (profile_of(path) for path in paths)
    return [str(change) for change in in_order(list(table_changes(before, after, "examples")))]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_table_changes_come_most_telling_first(tmp_path: Path, kind: str) -> None:
    new = FRAME.assign(
        age=FRAME["age"].where(FRAME["n"] > 16), embarked=FRAME["embarked"].replace("Q", "X")
    )
    assert changes(tmp_path, new, kind)[:3] == [
        "age: null share 0.00 -> 0.42",
        "embarked: new category 'X'",
        "embarked: category 'Q' missing",
    ]


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (lambda frame: frame.drop(columns="age"), "examples: column 'age' missing"),
        (lambda frame: frame.head(30), "examples: rows 40 -> 30"),
        (lambda frame: frame.head(0), "examples: rows 40 -> 0"),
        (lambda frame: frame.assign(n=frame["n"].astype(str)), "n: type BIGINT -> VARCHAR"),
        (lambda frame: frame.assign(age=frame["age"] * 10), "age: range 22..38 -> 220..380"),
        (lambda frame: frame.assign(z=1), "examples: new column 'z'"),
        (
            lambda frame: frame.assign(embarked=["S"] * 20 + ["C"] * 10 + ["Q"] * 10),
            "embarked: share of 'C' 0.25 -> 0.25",
        ),
    ],
    ids=["column", "rows", "empty", "type", "range", "new", "none"],
)
def test_table_change_is_named(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], want: str
) -> None:
    found = changes(tmp_path, change(FRAME))
    assert (want in found) == ("0.25 -> 0.25" not in want)


def test_same_tables_have_no_changes(tmp_path: Path) -> None:
    assert changes(tmp_path, FRAME.sample(frac=1, random_state=0)) == []


def test_profile_of_many_values_is_no_category(tmp_path: Path) -> None:
    pd.DataFrame({"id": [str(n) for n in range(1000)], 'qu"ote': [True] * 1000}).to_parquet(
        tmp_path / "t"
    )
    found = profile_of(tmp_path / "t")
    assert found.columns["id"].categories == {}
    assert found.columns['qu"ote'].categories == {"true": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pipeline finds its table."""
    (tmp_path / "given").mkdir()
    FRAME.to_csv(tmp_path / "given" / "table.csv", index=False)
    return tmp_path / "given"


def sides(store: Store, task: str, *runs: RunRecord) -> list[Side]:
    return [side_of(store, run, read_task(store, run, task)) for run in runs]


def compare(store: Store, tmp_path: Path, task: str, *runs: RunRecord) -> list[str]:
    old, new = sides(store, task, *runs)
    found = all_changes(old, new, fetch_into(tmp_path / "fetched", store))
    same = summary(old, new, found)
    return [same] if same else [str(change) for change in found]


def test_diff_of_a_failed_task_names_columns(
    store: Store, run: Callable[..., RunRecord], folder: Path, tmp_path: Path
) -> None:
    good = run(averages, folder=str(folder))
    FRAME.assign(age="x").to_csv(folder / "table.csv", index=False)
    bad = run(averages, folder=str(folder), column="age")
    assert compare(store, tmp_path, "average", good, bad) == ["age: type DOUBLE -> VARCHAR"]
    assert what_changed(store, bad, "average", seconds=20) == [
        f"changed since {good.run_id}:",
        "  age: type DOUBLE -> VARCHAR",
    ]


def test_diff_names_parameters_and_code(
    store: Store, run: Callable[..., RunRecord], folder: Path, tmp_path: Path
) -> None:
    good = run(averages, folder=str(folder))
    bad = run(averages, folder=str(folder), column="gone")
    old, new = sides(store, "average", good, bad)
    new.task.image, new.task.python, new.run.commit = "other:2", "3.12.1", "b" * 40
    found = [str(change) for change in all_changes(old, new, fetch_into(tmp_path, store))]
    assert found[:2] == ["parameter column: 'age' -> 'gone'", "image: python:3.11 -> other:2"]
    assert found[2].endswith(" -> 3.12.1")
    assert found[3].startswith("commit: ")


def test_same_inputs_say_so(
    store: Store, run: Callable[..., RunRecord], folder: Path, tmp_path: Path
) -> None:
    good = run(averages, folder=str(folder))
    (folder / "other").touch()
    bad = run(averages, folder=str(folder))
    want = f"inputs are the same as in {good.run_id}; code and environment too"
    assert compare(store, tmp_path, "average", good, bad) == [want]
    old, new = sides(store, "average", good, bad)
    old.run.commit, new.run.commit = "a" * 40, "b" * 40
    found = all_changes(old, new, fetch_into(tmp_path, store))
    assert summary(old, new, found) == (
        f"inputs are the same as in {good.run_id}; commit: aaaaaaa -> bbbbbbb"
    )


def test_last_good_run_is_the_newest_before(
    store: Store, run: Callable[..., RunRecord], folder: Path
) -> None:
    first, second = (run(averages, folder=str(folder)) for _ in range(2))
    bad = run(averages, folder=str(folder), column="gone")
    worse = run(averages, folder=str(folder), column="gone")
    run(averages, folder=str(folder))
    found = last_good(store, worse, "average")
    assert found is not None
    assert found[0].run_id == second.run_id
    made = last_good(store, worse, "make")
    assert made is not None
    assert made[0].run_id == bad.run_id
    assert last_good(store, first, "average") is None


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check(item: int, folder: str) -> int:
    import os

    if item == 2 and os.path.exists(f"{folder}/other"):
        raise ValueError(item)
    return item


@dsl.pipeline
def checks(items: list[int], folder: str) -> None:
    with dsl.ParallelFor(items) as item:
        check(item=item, folder=folder)


def test_iteration_is_compared_with_the_same_index(
    store: Store, run: Callable[..., RunRecord], folder: Path
) -> None:
    good = run(checks, items=[0, 1], folder=str(folder))
    (folder / "other").touch()
    bad = run(checks, items=[0, 2], folder=str(folder))
    task = next(path for path, item in bad.tasks.items() if item.state == "failed")
    assert "-iteration-1/" in task, bad.tasks
    assert what_changed(store, bad, task, seconds=20) == [
        f"changed since {good.run_id}:",
        "  parameter item: 1 -> 2",
    ]


def test_broken_diff_is_left_out(
    store: Store,
    run: Callable[..., RunRecord],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = run(averages, folder=str(folder))
    bad = run(averages, folder=str(folder), column="gone")
    Path(store.uri, "runs", good.run_id, "tasks/average/1/record.json").write_text("{torn")
    with caplog.at_level(logging.DEBUG, "dalsegno.replay"):
        assert what_changed(store, bad, "average", seconds=20) == []
    assert "left out" in caplog.text


def test_slow_diff_is_cut_short(store: Store, run: Callable[..., RunRecord], folder: Path) -> None:
    run(averages, folder=str(folder))
    bad = run(averages, folder=str(folder), column="gone")
    table = Path(read_task(store, bad, "average").inputs["table"][0]["uri"])
    table.unlink()
    os.mkfifo(table)  # whoever reads it waits for ever
    record = read_task(store, bad, "average")
    record.inputs["table"][0]["sha256"] = "0" * 64
    store.put(f"{record.folder}/record.json", to_json(record))
    started = time.monotonic()
    found = what_changed(store, bad, "average", seconds=3)
    assert time.monotonic() - started < 6
    assert found[1] == "  parameter column: 'age' -> 'gone'"
    assert found[2].startswith("  table: content ")


def test_folders_json_and_text_are_compared(tmp_path: Path, store: Store) -> None:
    from dalsegno.replay.diff import _content_changes

    for name, number in (("old", 1), ("new", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(json.dumps({"n": number, "kept": 0}))
        (tmp_path / name / "b.txt").write_text(f"line\nnumber {number}\n")
        (tmp_path / name / f"only-{name}").touch()
        FRAME.head(10 * number).to_parquet(tmp_path / name / "part-0")
    found = [
        str(change)
        for change in _content_changes(tmp_path / "old", tmp_path / "new", "data", "data.", None)
    ]
    assert found == [
        "data: missing files 'only-old'",
        "data: new files 'only-new'",
        "data/a.json n: 1 -> 2",
        "data/b.txt: line 2: 'number 1' -> 'number 2'",
        "data/part-0: rows 10 -> 20",
        *found[5:],
    ]
