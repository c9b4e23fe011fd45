"""Resuming runs: what is taken over, what runs again, and why."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, List  # noqa: UP035 (as KFP wants it)

import pytest
from kfp import dsl

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import ConflictError, InputError, NotFoundError
from dalsegno.replay.resume import Resumption, after, recorded_pipeline
from dalsegno.runs.reader import find_run, read_task
from dalsegno.runs.record import RunRecord, State, to_json
from dalsegno.store import Store
from tests.replay.pipelines import IMAGE, average, averages, note

TABLE = "name,age\na,1\nb,2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pipelines find their table and leave their notes."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "table.csv").write_text(TABLE)
    return tmp_path / "given"


@pytest.fixture
def resume(store: Store) -> Callable[..., tuple[RunRecord, dict[str, str]]]:
    """Resume a run, and return the new one with what was decided on each task."""

    def go_on(
        earlier: RunRecord, pipeline: Any = None, since: str | None = None, **arguments: Any
    ) -> tuple[RunRecord, dict[str, str]]:
        compiled = compile_object(pipeline) if pipeline else recorded_pipeline(store, earlier)
        resumption = Resumption(store, earlier, compiled, since)
        record = run_pipeline(
            compiled,
            {**earlier.parameters, **arguments},
            store,
            lookup=resumption.lookup,
            is_caching=False,
            resumed_from=earlier.run_id,
        )
        said = resumption.decisions.values()
        return record, {item.task: "reused" if item.reused_from else item.why for item in said}

    return go_on


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def step(value: int, name: str, folder: str) -> int:
    """Note that it ran; fail while the test keeps a file of that name."""
    import os

    with open(f"{folder}/ran", "a") as file:
        file.write(f"{name}\n")
    if os.path.exists(f"{folder}/fail-{name}"):
        raise ValueError(name)
    return value + 1


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def save(value: int, name: str, folder: str, data: dsl.Output[dsl.Dataset]) -> None:
    """Write an artifact."""
    import os

    with open(f"{folder}/ran", "a") as file:
        file.write(f"{name}\n")
    if os.path.exists(f"{folder}/fail-{name}"):
        raise ValueError(name)
    with open(data.path, "w") as file:
        file.write(str(value))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def merge(data: List[dsl.Dataset], name: str, folder: str) -> int:  # noqa: UP006
    """Add up artifacts that a loop made."""
    import os

    with open(f"{folder}/ran", "a") as file:
        file.write(f"{name}\n")
    if os.path.exists(f"{folder}/fail-{name}"):
        raise ValueError(name)
    return sum(int(open(item.path).read()) for item in data)


@dsl.pipeline
def inner(value: int, folder: str) -> int:
    first = step(value=value, name="inner-1", folder=folder)
    return step(value=first.output, name="inner-2", folder=folder).output


@dsl.pipeline(name="branching")
def branching(folder: str, items: List[int] = [1, 2], run: str = "none") -> None:  # noqa: B006, UP006
    last = step(value=0, name="exit", folder=folder)
    with dsl.ExitHandler(last):
        nested = inner(value=1, folder=folder)
        with dsl.If(nested.output == 3):
            with dsl.ParallelFor(items) as item:
                saved = save(value=item, name="save", folder=folder)
            merged = merge(data=dsl.Collected(saved.outputs["data"]), name="merge", folder=folder)
            step(value=merged.output, name="end", folder=folder).set_retry(2)


def ran(folder: Path) -> list[str]:
    lines = (folder / "ran").read_text().splitlines()
    (folder / "ran").unlink()
    return sorted(lines)


def test_resume_runs_from_the_failed_task(
    store: Store, run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path
) -> None:
    (folder / "other").touch()
    failed = run(averages, folder=str(folder))
    before = to_json(find_run(store, failed.run_id))
    (folder / "other").unlink()
    record, said = resume(failed)
    assert said == {
        "make": "reused",
        "average": "failed in that run",
        "note": "not reached in that run",
    }
    assert (record.state, record.outputs["parameters"]) == (State.SUCCEEDED, {"Output": 1.5})
    assert record.resumed_from == failed.run_id
    assert record.tasks["make"].state is State.CACHED
    made = read_task(store, record, "make")
    assert made.reused_from == f"{failed.run_id}/make/1"
    assert to_json(find_run(store, failed.run_id)) == before


def test_resume_reaches_into_graphs_loops_and_conditions(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path
) -> None:
    (folder / "fail-merge").touch()
    failed = run(branching, folder=str(folder))
    assert failed.state is State.FAILED
    assert ran(folder) == ["exit", "inner-1", "inner-2", "merge", "save", "save"]
    (folder / "fail-merge").unlink()
    record, said = resume(failed)
    assert record.state is State.SUCCEEDED, record.error
    assert ran(folder) == ["end", "exit", "merge"]
    assert said["step"] == "exit tasks always run again"
    reused = sorted(task.rpartition("/")[2] for task, why in said.items() if why == "reused")
    assert reused == ["save", "save", "step", "step-2"]


def test_resume_of_a_resumed_run_reuses_both(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path, store: Store
) -> None:
    (folder / "fail-merge").touch()
    (folder / "fail-end").touch()
    failed = run(branching, folder=str(folder))
    (folder / "fail-merge").unlink()
    again, _ = resume(failed)
    assert again.state is State.FAILED
    assert ran(folder).count("end") == 3  # it may be tried twice more
    (folder / "fail-end").unlink()
    record, said = resume(again)
    assert record.state is State.SUCCEEDED, record.error
    assert ran(folder) == ["end", "exit"]
    save_1 = next(task for task in said if "iteration-0" in task)
    assert read_task(store, record, save_1).reused_from == f"{failed.run_id}/{save_1}/1"


def test_changed_component_runs_again_and_equal_results_after_it_do_not(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path
) -> None:
    (folder / "other").touch()
    failed = run(averages, folder=str(folder))
    (folder / "other").unlink()

    @dsl.component(base_image=IMAGE, install_kfp_package=False)
    def make(folder: str, table: dsl.Output[dsl.Dataset], report: dsl.Output[dsl.Markdown]) -> str:
        import shutil

        shutil.copy(f"{folder}/table.csv", table.path)
        table.metadata["rows"] = 2
        return ""

    @dsl.pipeline(name="averages")
    def edited(folder: str, column: str = "age") -> float:
        made = make(folder=folder)
        mean = average(table=made.outputs["table"], folder=folder, column=column)
        return note(folder=folder, value=mean.outputs["Output"]).output

    good, said = resume(failed, edited)
    assert said["make"] == "component changed: its command or source text"
    assert good.state is State.SUCCEEDED
    _, said = resume(good, averages, since="note")
    assert said == {
        "make": "component changed: its command or source text",
        "average": "reused",  # its input has another address and the same content
        "note": "asked to run again from note",
    }


def test_changed_inputs_run_again(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path
) -> None:
    good = run(averages, folder=str(folder))
    _, said = resume(good, since="note", column="name")
    assert said["make"] == "reused"
    assert said["average"] == "parameter 'column' changed"
    (folder / "table.csv").write_text(TABLE + "c,6\n")
    record, said = resume(good, since="make")
    assert said == dict.fromkeys(("make", "average", "note"), "asked to run again from make")
    assert record.outputs["parameters"] == {"Output": 3.0}


def test_lost_or_changed_outputs_run_again(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path, store: Store
) -> None:
    good = run(averages, folder=str(folder))
    table = Path(store.uri, "runs", good.run_id, "artifacts/make/1/table")
    content = table.read_text()
    table.write_text(content.replace("1", "7"))
    _, said = resume(good, since="note")
    assert said["make"].startswith("output 'table' cannot be used: ")
    table.unlink()
    _, said = resume(good, since="note")
    assert said["make"] == "output 'table' is not there any more"
    Path(store.uri, "runs", good.run_id, "tasks/make/1/record.json").write_text("{torn")
    _, said = resume(good, since="note")
    assert said["make"].startswith("its record cannot be used")


@dsl.pipeline(name="named")
def named(folder: str) -> int:
    first = step(value=1, name=dsl.PIPELINE_JOB_ID_PLACEHOLDER, folder=folder)
    return step(value=first.output, name="end", folder=folder).output


def test_run_id_as_a_parameter_does_not_count(
    run: Callable[..., RunRecord], resume: Callable[..., Any], folder: Path
) -> None:
    (folder / "fail-end").touch()
    failed = run(named, folder=str(folder))
    (folder / "fail-end").unlink()
    _, said = resume(failed)
    assert said["step"] == "reused"


def test_what_cannot_be_resumed_is_refused(
    run: Callable[..., RunRecord], folder: Path, store: Store
) -> None:
    good = run(averages, folder=str(folder))
    compiled = compile_object(averages)
    with pytest.raises(InputError, match="succeeded, nothing is left to resume"):
        Resumption(store, good, compiled)
    with pytest.raises(NotFoundError, match="known are average, make, note"):
        Resumption(store, good, compiled, "trian")
    good.state = State.RUNNING
    with pytest.raises(ConflictError, match="is running, want one that ended"):
        Resumption(store, good, compiled)


def test_all_that_comes_after_a_task_is_known() -> None:
    is_after = after(compile_object(branching), "exit-handler-1/inner/step-2")
    assert not is_after("exit-handler-1/inner/step")
    assert is_after("exit-handler-1/inner/step-2")
    assert is_after("exit-handler-1/condition-2/for-loop-3-iteration-1/save")
    assert is_after("step")
    is_after = after(
        compile_object(branching), "exit-handler-1/condition-2/for-loop-3-iteration-1/save"
    )
    assert is_after("exit-handler-1/condition-2/for-loop-3-iteration-1/save")
    assert not is_after("exit-handler-1/condition-2/for-loop-3-iteration-0/save")
    assert is_after("exit-handler-1/condition-2/merge")
    assert not is_after("exit-handler-1/inner/step")


_RESUME = """
import sys
from pathlib import Path
from dalsegno.engine.run import run_pipeline
from dalsegno.replay.resume import Resumption, recorded_pipeline
from dalsegno.runs.reader import find_run
from dalsegno.store import open_store
store = open_store(sys.argv[1])
earlier = find_run(store, sys.argv[2])
pipeline = recorded_pipeline(store, earlier)
resumption = Resumption(store, earlier, pipeline)
def tell(event):
    if event.path.endswith(sys.argv[3]) and event.state == sys.argv[4]:
        Path(sys.argv[5]).touch()
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
run_pipeline(pipeline, earlier.parameters, store, lookup=resumption.lookup, listener=tell,
             is_caching=False, resumed_from=earlier.run_id)
"""


@pytest.mark.parametrize(
    ("task", "state"),
    [("step", "cached"), ("save", "cached"), ("merge", "running"), ("merge", "succeeded")],
)
def test_killed_resume_leaves_the_old_run_and_can_be_resumed(
    task: str,
    state: str,
    run: Callable[..., RunRecord],
    resume: Callable[..., Any],
    folder: Path,
    store: Store,
) -> None:
    (folder / "fail-merge").touch()
    failed = run(branching, folder=str(folder))
    (folder / "fail-merge").unlink()
    (folder / "ran").unlink()
    before = {path: path.read_bytes() for path in Path(store.uri).rglob("*") if path.is_file()}
    arguments = [store.uri, failed.run_id, task, state, str(folder / "killed")]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _RESUME, *arguments], check=False, env={**os.environ}
    )
    assert done.returncode == -signal.SIGKILL
    assert (folder / "killed").exists()
    after_it = {path: path.read_bytes() for path in before}
    assert after_it == before
    new_id = next(name for name in store.folders("runs") if name != failed.run_id)
    killed = find_run(store, new_id)
    assert (killed.state, killed.resumed_from) == (State.LOST, failed.run_id)
    record, said = resume(killed)
    assert record.state is State.SUCCEEDED, record.error
    assert sum(why == "reused" for why in said.values()) >= 1
