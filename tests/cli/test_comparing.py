"""`diff`, `resume` and the message of a failed task, as a user calls them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from dalsegno.cli import comparing, looking, resuming, running
from dalsegno.errors import DalsegnoError, InputError, NotFoundError, TaskFailedError
from dalsegno.replay import failure
from dalsegno.runs.reader import find_run, read_task
from dalsegno.runs.record import to_json
from dalsegno.store import Store

_FLOW = """
from kfp import dsl

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def load(path: str, table: dsl.Output[dsl.Dataset]):
    import shutil
    shutil.copy(path, table.path)

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def train(table: dsl.Input[dsl.Dataset], most: float) -> float:
    import csv
    with open(table.path, newline="") as file:
        ages = [row["age"] for row in csv.DictReader(file)]
    share = ages.count("") / len(ages)
    if share > most:
        raise ValueError(f"age: got {share:.0%} nulls, want at most {most:.0%}")
    return share

@dsl.pipeline(name="flow")
def flow(path: str, most: float = 0.3) -> float:
    loaded = load(path=path).set_caching_options(False)
    return train(table=loaded.outputs["table"], most=most).output
"""
_GOOD = "age,embarked\n" + "22,S\n38,C\n26,S\n35,Q\n" * 5
_BAD = "age,embarked\n" + ",S\n38,C\n,S\n35,X\n" * 5

Call = Callable[..., Result]


@pytest.fixture
def call(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command beside `flow.py` and `table.csv`; errors of ours are raised as they are."""
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(failure, "BUDGET_SECONDS", 30)  # of a machine that does much at once
    monkeypatch.chdir(tmp_path)
    Path("flow.py").write_text(_FLOW)
    Path("table.csv").write_text(_GOOD)
    app = typer.Typer()
    for module in (running, looking, comparing, resuming):
        module.register(app)

    def call_one(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        if isinstance(result.exception, DalsegnoError):
            raise result.exception
        return result

    return call_one


@pytest.fixture
def failed(call: Call) -> tuple[str, str, str]:
    """Run well, then on broken examples: message of the failure, good run, bad run."""
    good = run_id(call("run", "flow.py", "-p", "path=table.csv").output)
    Path("table.csv").write_text(_BAD)
    with pytest.raises(TaskFailedError) as caught:
        call("run", "flow.py", "-p", "path=table.csv")
    assert caught.value.next_command
    bad = caught.value.next_command.split()[-1].partition("/")[0]
    assert caught.value.next_command == f"dalsegno replay {bad}/train"
    return str(caught.value), good, bad


def run_id(output: str) -> str:
    return next(line.split()[1] for line in output.splitlines() if line.startswith("run "))


def test_failure_says_what_changed(failed: tuple[str, str, str]) -> None:
    message, good, bad = failed
    lines = message.splitlines()
    assert lines[:4] == [
        f"task 'train' failed in run {bad}: ValueError: age: got 50% nulls, want at most 30%",
        f"  changed since {good}:",
        "    age: null share 0.00 -> 0.50",
        "    embarked: new category 'X'",
    ]
    assert lines[4].endswith(f" more: dalsegno diff {bad}/train")


def test_show_of_a_failed_task_says_what_changed(call: Call, failed: tuple[str, str, str]) -> None:
    output = call("show", f"{failed[2]}/train").output
    assert "    age: null share 0.00 -> 0.50" in output
    assert f"dalsegno replay {failed[2]}/train" in output


def test_show_of_a_failed_run_says_how_to_go_on(call: Call, failed: tuple[str, str, str]) -> None:
    bad = failed[2]
    assert call("show", bad).output.splitlines()[-2:] == [
        f"  next: dalsegno replay {bad}/train",
        f"  then: dalsegno resume {bad}",
    ]


def test_diff_prints_changes(call: Call, failed: tuple[str, str, str]) -> None:
    _, good, bad = failed
    output = call("diff", bad).output.splitlines()
    assert output[:3] == [
        f"{bad}/train",
        f"  compared with {good}/train",
        "  age: null share 0.00 -> 0.50",
    ]
    fields = json.loads(call("diff", f"{bad}/train", f"{good}/train", "--json").output)
    assert fields["compared_with"] == f"{good}/train"
    assert not fields["inputs_are_same"]
    assert fields["changes"][0]["subject"] == "age"


def test_diff_without_a_good_run_says_so(call: Call, failed: tuple[str, str, str]) -> None:
    with pytest.raises(NotFoundError, match="in which it succeeded, want one to compare with"):
        call("diff", f"{failed[1]}/train")
    with pytest.raises(NotFoundError, match="got none, want one of load, train"):
        call("diff", failed[1])


def test_resume_says_what_it_reused(call: Call, failed: tuple[str, str, str]) -> None:
    bad = failed[2]
    Path("flow.py").write_text(_FLOW.replace("if share > most", "if share > 0.9"))
    output = call("resume", bad).output
    assert "  reused  load   same component, same inputs, outputs there" in output
    assert "  ran     train  failed in that run" in output
    assert "flow succeeded" in output
    fields = json.loads(call("resume", bad, "-p", "most=0.6", "--json").output)
    assert fields["run"]["resumed_from"] == bad
    assert [item["reused_from"] for item in fields["decisions"]] == [f"{bad}/load/1", None]


def test_resume_plays_the_recorded_pipeline(call: Call, failed: tuple[str, str, str]) -> None:
    Path("flow.py").unlink()
    with pytest.raises(NotFoundError, match="no such file"):
        call("resume", failed[2])
    with pytest.raises(TaskFailedError, match="null share"):
        call("resume", failed[2], "--from", "load", "--recorded")


def test_resume_of_a_good_run_wants_a_task(call: Call, failed: tuple[str, str, str]) -> None:
    with pytest.raises(InputError, match="nothing is left to resume") as caught:
        call("resume", failed[1])
    assert caught.value.next_command == f"dalsegno resume {failed[1]} --from TASK"


def test_task_that_ran_in_a_container_is_replayed_in_one(
    store: Store, failed: tuple[str, str, str]
) -> None:
    run = find_run(store, failed[2])
    address = f"dalsegno replay {run.run_id}/train"
    assert comparing.replay_command(store, run, "train") == address
    record = replace(read_task(store, run, "train"), executor="container")
    store.put(f"{record.folder}/record.json", to_json(record))
    assert comparing.replay_command(store, run, "train") == f"{address} --in container"
