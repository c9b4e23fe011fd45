"""The verdict: a second run stands for the replay of the first."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dalsegno.replay.capsule import Capsule, Manifest
from dalsegno.replay.outcome import Replayed
from dalsegno.replay.verdict import Ending, Verdict, judge
from dalsegno.runs.reader import read_task
from dalsegno.runs.record import RunRecord, TaskRecord
from dalsegno.store import Store
from tests.replay.pipelines import averages

TABLE = "name,age\na,1\nb,2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pipeline finds its table."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "table.csv").write_text(TABLE)
    return tmp_path / "given"


@pytest.fixture
def verdict(store: Store, run: Callable[..., RunRecord], folder: Path) -> Callable[..., Verdict]:
    """Run twice, with a change between, and judge the second run's task by the first's."""

    def play(task: str, change: Callable[[], Any]) -> Verdict:
        first = run(averages, folder=str(folder))
        change()
        second = run(averages, folder=str(folder))
        old, new = (read_task(store, record, task) for record in (first, second))
        manifest = Manifest(old.run_id, old.task, old.attempt, "averages")
        capsule = Capsule(folder, manifest, old)
        return judge(capsule, as_replayed(new), lambda item: Path(item["uri"]))

    return play


def as_replayed(record: TaskRecord) -> Replayed:
    root = Path(record.executor_input["outputs"]["outputFile"]).parent
    folder = root.parent / "replay"
    shutil.copytree(root, folder / "outputs")
    text = json.dumps(record.executor_output or {}).replace(str(root), str(folder / "outputs"))
    output = json.loads(text)
    groups = output.get("artifacts", {}).items()
    artifacts = {name: group["artifacts"] for name, group in groups}
    return Replayed(
        1,
        folder,
        "process",
        parameters=output.get("parameterValues", {}),
        artifacts={name: [Path(one["uri"]) for one in found] for name, found in artifacts.items()},
        metadata={name: [one["metadata"] for one in found] for name, found in artifacts.items()},
        error=record.error,
        exit_code=record.exit_code or 0,
    )


def lines(found: Verdict) -> list[str]:
    return [f"{item.kind} {item.name}: {item.comparison}" for item in found.outputs]


def test_same_outputs_are_reproduced(verdict: Callable[..., Verdict], folder: Path) -> None:
    found = verdict("average", lambda: None)
    assert lines(found) == [
        "parameter Output: identical",
        "artifact metrics: identical",
        "metadata metrics: identical",
    ]
    assert (found.ending, found.exit_code) == (Ending.REPRODUCED, 0)


def test_changed_output_names_first_difference(
    verdict: Callable[..., Verdict], folder: Path
) -> None:
    found = verdict("make", lambda: (folder / "table.csv").write_text(TABLE.replace("2", "3")))
    assert "artifact table: differs: column 'age', row 1: '2' -> '3'; 'age' in 1 row" in lines(
        found
    )
    assert "artifact report: identical" in lines(found)
    assert "metadata table: identical" in lines(found)  # display_name is not looked at
    assert (found.ending, found.exit_code) == (Ending.OUTPUTS_DIFFER, 1)


def test_equal_within_tolerance_is_reproduced(
    verdict: Callable[..., Verdict], folder: Path
) -> None:
    (folder / "table.csv").write_text("name,age\na,0.30000000000000004\n")
    found = verdict("average", lambda: (folder / "table.csv").write_text("name,age\na,0.3\n"))
    assert lines(found)[0].startswith("parameter Output: equal within tolerance: at most ")
    assert found.ending is Ending.REPRODUCED


def test_metadata_differs_by_key(verdict: Callable[..., Verdict], folder: Path) -> None:
    found = verdict("make", lambda: (folder / "table.csv").write_text(TABLE + "c,3\n"))
    assert "metadata table: differs: rows: 2 -> 3" in lines(found)
    assert "artifact table: differs: rows: 2 -> 3" in lines(found)


def test_same_failure_is_reproduced(verdict: Callable[..., Verdict], folder: Path) -> None:
    (folder / "table.csv").write_text("name,age\na,x\n")
    found = verdict("average", lambda: (folder / "table.csv").write_text("name,age\na,y\n"))
    assert (found.ending, found.exit_code) == (Ending.FAILURE_REPRODUCED, 0)
    assert [str(reason) for reason in found.reasons] == [
        "message: … to float: 'x' -> … to float: 'y'"
    ]


def test_mended_failure_now_passes(verdict: Callable[..., Verdict], folder: Path) -> None:
    (folder / "table.csv").write_text("name,age\na,x\n")
    found = verdict("average", lambda: (folder / "table.csv").write_text(TABLE))
    assert (found.ending, found.exit_code) == (Ending.NOW_PASSES, 0)


def test_other_exception_fails_otherwise(verdict: Callable[..., Verdict], folder: Path) -> None:
    (folder / "table.csv").write_text("name,age\na,x\n")
    found = verdict("average", (folder / "other").touch)
    assert (found.ending, found.exit_code) == (Ending.FAILS_OTHERWISE, 1)
    assert found.reasons[0].where == "error"
    assert found.reasons[0].new == "KeyError: 'other'"


def test_same_exception_elsewhere_fails_otherwise(
    verdict: Callable[..., Verdict], folder: Path
) -> None:
    (folder / "table.csv").write_text("name\na\n")  # KeyError where the column is read
    found = verdict(
        "average", lambda: ((folder / "table.csv").write_text(TABLE), (folder / "other").touch())
    )
    assert found.ending is Ending.FAILS_OTHERWISE
    assert found.reasons[0].where == "line"
    assert "(<listcomp>)" in found.reasons[0].old


def test_success_that_fails_now_is_no_success(
    verdict: Callable[..., Verdict], folder: Path
) -> None:
    found = verdict("average", (folder / "other").touch)
    assert (found.ending, found.exit_code) == (Ending.NOW_FAILS, 1)


def test_recorded_output_that_is_gone_differs(
    verdict: Callable[..., Verdict], folder: Path, store: Store
) -> None:
    def lose() -> None:
        for table in Path(store.uri).rglob("artifacts/make/1/table"):
            table.unlink()
        (folder / "table.csv").write_text(TABLE + "c,3\n")

    found = next(line for line in lines(verdict("make", lose)) if line.startswith("artifact table"))
    assert found.startswith("artifact table: differs: SHA-256: ")
    assert "not compared further" in found


def test_paths_of_the_replay_do_not_count(verdict: Callable[..., Verdict], folder: Path) -> None:
    found = verdict("make", lambda: None)
    assert lines(found)[0] == "parameter Output: identical"
