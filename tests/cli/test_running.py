"""`run FILE.yaml`, `runs` and `show` as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from kfp import compiler, dsl
from typer.testing import CliRunner

from dalsegno.cli import looking, running
from dalsegno.cli.output import GIVEN_STORE, as_typed
from dalsegno.errors import DalsegnoError, InputError, NotFoundError, TaskFailedError
from dalsegno.store import Store

Call = Callable[..., Result]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def double(number: int, data: dsl.Output[dsl.Dataset]) -> int:
    print(f"doubling {number}")  # noqa: T201 (the log that `show` prints)
    if number < 0:
        raise ValueError("negative")
    with open(data.path, "w") as file:
        file.write("x" * number)
    return 2 * number


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def total(numbers: list) -> int:
    return sum(numbers)


@dsl.pipeline(name="doubling")
def doubling(number: int = 2, more: list = [1]) -> int:  # noqa: B006 (KFP's way of a default)
    total(numbers=more)
    return double(number=number).outputs["Output"]


@pytest.fixture
def call(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command beside `doubling.yaml`; errors of ours are raised as they are."""
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    compiler.Compiler().compile(doubling, "doubling.yaml")
    app = typer.Typer()
    running.register(app)
    looking.register(app)

    def call_one(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        if isinstance(result.exception, DalsegnoError):
            raise result.exception
        return result

    return call_one


def test_run_prints_tasks_and_outputs(call: Call) -> None:
    output = call("run", "doubling.yaml", "--param", "number=21").output
    assert "✓" in output
    assert "Output = 42" in output
    assert "doubling succeeded in" in output


def test_run_prints_the_record_alone_as_json(call: Call) -> None:
    record = json.loads(call("run", "doubling.yaml", "-p", "more=[3,4]", "--json").output)
    assert (record["state"], record["outputs"]["parameters"]) == ("succeeded", {"Output": 4})
    assert record["parameters"] == {"number": 2, "more": [3, 4]}
    assert {task["state"] for task in record["tasks"].values()} == {"succeeded"}


def test_run_of_a_failing_task_names_the_next_command(call: Call) -> None:
    with pytest.raises(TaskFailedError, match="task 'double' failed in run") as caught:
        call("run", "doubling.yaml", "-p", "number=-1")
    assert str(caught.value).endswith(": ValueError: negative")
    command, verb, address = str(caught.value.next_command).split()
    assert (command, verb) == ("dalsegno", "replay")
    output = call("show", address).output
    assert "ValueError: negative" in output
    assert "doubling -1" in output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["doubling.yaml", "-p", "number"], InputError),
        (["doubling.yaml", "-p", "number=many"], InputError),
        (["doubling.yaml", "-p", "unknown=1"], InputError),
        (["missing.yaml"], NotFoundError),
        (["missing"], NotFoundError),
    ],
    ids=["form", "type", "name", "file", "pipeline"],
)
def test_run_refuses(call: Call, arguments: list[str], error: type[DalsegnoError]) -> None:
    with pytest.raises(error):
        call("run", *arguments)
    assert json.loads(call("runs", "--json").output) == []


def test_runs_lists_the_newest_first(call: Call) -> None:
    assert "No runs yet" in call("runs").output
    made = [json.loads(call("run", "doubling.yaml", "--json").output)["run_id"]]
    with pytest.raises(TaskFailedError):
        call("run", "doubling.yaml", "-p", "number=-1", "--json")
    listed = json.loads(call("runs", "--json").output)
    assert {item["state"] for item in listed} == {"succeeded", "failed"}
    created = [item["created_at"][:19] for item in listed]  # ids sort by the second
    assert created == sorted(created, reverse=True)
    assert made[0] in call("runs").output
    assert len(json.loads(call("runs", "--limit", "1", "--json").output)) == 1


def test_show_finds_a_run_by_a_part_of_its_id(call: Call) -> None:
    run_id = json.loads(call("run", "doubling.yaml", "--json").output)["run_id"]
    assert f"run {run_id}" in call("show", run_id[-6:]).output
    assert json.loads(call("show", run_id, "--json").output)["run_id"] == run_id


@pytest.mark.parametrize("attempt", ["", "/1"], ids=["latest", "attempt"])
def test_show_prints_a_task(call: Call, attempt: str) -> None:
    run_id = json.loads(call("run", "doubling.yaml", "--json").output)["run_id"]
    output = call("show", f"{run_id}/double{attempt}").output
    for text in ("parameter  number = 2", "data  2 bytes", "returned   Output = 4", "doubling 2"):
        assert text in output
    record = json.loads(call("show", f"{run_id}/double{attempt}", "--json").output)
    assert (record["task"], record["attempt"], record["state"]) == ("double", 1, "succeeded")


@pytest.mark.parametrize("address", ["nothing", "{}/nothing", "{}/double/9"])
def test_show_refuses_an_unknown_address(call: Call, address: str) -> None:
    run_id = json.loads(call("run", "doubling.yaml", "--json").output)["run_id"]
    with pytest.raises(NotFoundError):
        call("show", address.format(run_id))


def test_file_that_does_not_compile_is_named_with_its_line(call: Call) -> None:
    Path("broken.py").write_text("from kfp import dsl\n\nname = unknown\n")
    with pytest.raises(InputError, match=r"broken\.py:3: does not compile: NameError"):
        call("run", "broken.py")


def test_file_of_several_pipelines_lists_them(call: Call) -> None:
    head = "from kfp import dsl\n\n@dsl.component\ndef one() -> int:\n    return 1\n"
    graphs = "".join(f"\n@dsl.pipeline\ndef {name}():\n    one()\n" for name in ("a", "b"))
    Path("two.py").write_text(head + graphs)
    with pytest.raises(InputError, match=r"two\.py: got a, b, want one of them") as caught:
        call("run", "two.py")
    assert caught.value.next_command == "dalsegno run two.py:FUNCTION"


def test_next_command_has_the_store_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GIVEN_STORE, "my store")
    assert as_typed("dalsegno show 7f3a") == "dalsegno --store 'my store' show 7f3a"
    assert as_typed("kubectl get pods") == "kubectl get pods"
    monkeypatch.delenv(GIVEN_STORE)
    assert as_typed("dalsegno show 7f3a") == "dalsegno show 7f3a"


def test_stopped_run_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), running.telling_how_to_go_on():
        raise KeyboardInterrupt("7f3a")
    assert capsys.readouterr().err == "stopped: run 7f3a\n  next: dalsegno resume 7f3a\n"
