"""`releases`, `promote`, `rollback`, `serve` and `predict` as a user calls them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import typer
from click.testing import Result
from kfp import dsl
from typer.testing import CliRunner

from dalsegno import registry, releases
from dalsegno.cli import releasing, serving
from dalsegno.errors import ConflictError, DalsegnoError, InputError, NotFoundError
from dalsegno.runs.record import RunRecord
from dalsegno.store import Store
from tests.model_folder import make_model, probability

Call = Callable[..., Result]
ROWS = "name,sex,age\nAnna,female,30\nBen,male,\n"
_SERVE = "import typer; from dalsegno.cli import serving, releasing; app = typer.Typer(); "
_SERVE += "serving.register(app); releasing.register(app); app()"


@pytest.fixture
def call(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command in an empty directory; errors of ours are raised as they are."""
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    for module in (releasing, serving):
        module.register(app)

    def call_one(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, DalsegnoError):
            raise result.exception
        return result

    return call_one


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two model folders."""
    return make_model(tmp_path / "one"), make_model(tmp_path / "two", bias=1.0)


def test_promote_releases_a_folder(call: Call, store: Store, models: tuple[Path, Path]) -> None:
    result = call("promote", "titanic", models[0], "--who", "anna", "--reason", "first")
    live = releases.live(store, "titanic")
    assert live
    assert (live.number, live.who, live.reason, live.evidence) == (
        1,
        "anna",
        "first",
        {"by": "hand"},
    )
    assert result.output.startswith("release 1 of titanic is live: model ")


def test_promote_names_the_user_by_default(call: Call, models: tuple[Path, Path]) -> None:
    result = call("promote", "titanic", models[0], "--json")
    assert json.loads(result.output)["who"] == releasing.user_name() != ""


def test_promote_refuses_another_live_release(call: Call, models: tuple[Path, Path]) -> None:
    call("promote", "titanic", models[0], "--expected", 0)
    with pytest.raises(ConflictError, match="release 1 of 'titanic'"):
        call("promote", "titanic", models[1], "--expected", 0)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def copy_model(source: str, model: dsl.Output[dsl.Model]) -> None:
    import shutil

    shutil.copytree(source, model.path)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def say(text: str) -> str:
    return text


@dsl.pipeline(name="copying")
def copying(source: str) -> None:
    copy_model(source=source)
    say(text=source)


def test_promote_releases_a_tasks_model(
    call: Call, store: Store, models: tuple[Path, Path], run: Callable[..., RunRecord]
) -> None:
    record = run(copying, source=str(models[0]))
    call("promote", "titanic", f"{record.run_id}/copy-model")
    live = releases.live(store, "titanic")
    assert live
    assert live.run_id == record.run_id
    assert releases.fetch_model(store, live, Path("fetched")).is_dir()
    with pytest.raises(InputError, match="want a Model named 'model'"):
        call("promote", "titanic", f"{record.run_id}/say")


def test_promote_lets_the_champion_follow(
    call: Call, store: Store, models: tuple[Path, Path], run: Callable[..., RunRecord]
) -> None:
    record = run(copying, source=str(models[0]))
    version = registry.register(models[0], name="titanic", run_id=record.run_id)
    call("promote", "titanic", f"{record.run_id}/copy-model")
    live = releases.live(store, "titanic")
    assert live
    assert live.model_version == version
    assert registry.versions("titanic")[0].aliases == ["champion"]
    assert "live" in call("releases", "titanic", "--repair").output


@pytest.mark.parametrize("model", ["nowhere", "./nowhere", "no-run/train-model"])
def test_promote_refuses_a_model_that_is_not_there(call: Call, model: str) -> None:
    with pytest.raises(NotFoundError):
        call("promote", "titanic", model)


def test_rollback_returns_to_the_release_before(
    call: Call, store: Store, models: tuple[Path, Path]
) -> None:
    for model in models:
        call("promote", "titanic", model)
    result = call("rollback", "titanic", "--reason", "alarm", "--who", "ben", "--json")
    document = json.loads(result.output)
    assert (document["number"], document["rolled_back_to"], document["who"]) == (3, 1, "ben")
    assert "that of release 2" in call("rollback", "titanic", "--to", 2).output


def test_releases_lists_what_became_of_each(call: Call, models: tuple[Path, Path]) -> None:
    for model in models:
        call("promote", "titanic", model, "--reason", "because")
    call("rollback", "titanic")
    listed = json.loads(call("releases", "titanic", "--json").output)
    assert [(item["number"], item["status"]) for item in listed] == [
        (3, "live"),
        (2, "rolled back"),
        (1, "superseded"),
    ]
    table = call("releases", "titanic").output
    assert "3 = 1" in table
    assert listed[0]["model_sha256"][:12] in table


def test_releases_lists_every_endpoint(call: Call, models: tuple[Path, Path]) -> None:
    assert "No releases yet" in call("releases").output
    assert json.loads(call("releases", "--json").output) == []
    call("promote", "titanic", models[0])
    call("promote", "bavaria", models[1])
    found = json.loads(call("releases", "--json").output)
    assert [(item["endpoint"], item["status"]) for item in found] == [
        ("bavaria", "live"),
        ("titanic", "live"),
    ]
    assert "bavaria" in call("releases").output


def test_releases_tells_what_was_live(call: Call, models: tuple[Path, Path]) -> None:
    made = [json.loads(call("promote", "titanic", m, "--json").output) for m in models]
    for at, numbers in [(made[0]["created_at"], [1]), ("2100-01-01", [2]), ("1912-04-15", [])]:
        for endpoint in ["titanic"], []:
            found = json.loads(call("releases", *endpoint, "--at", at, "--json").output)
            assert [item["number"] for item in found] == numbers
    assert "Nothing was live" in call("releases", "titanic", "--at", "1912-04-15").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--at", "noon"], "--at: got 'noon'"), (["--repair"], "--repair: got no endpoint")],
    ids=["time", "endpoint"],
)
def test_releases_refuses(call: Call, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call("releases", *arguments)


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_predict_scores_every_form(
    call: Call, models: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    call("promote", "titanic", models[0])
    (tmp_path / "rows.csv").write_text(ROWS)
    rows = tmp_path / f"rows.{form}"
    serving.write_rows(serving.read_rows(tmp_path / "rows.csv"), rows)
    scored = json.loads(call("predict", "titanic", rows, "--json").output)
    wanted = [probability("female", 30), probability("male", 0)]
    assert [row["probability"] for row in scored] == pytest.approx(wanted, abs=1e-6)
    assert [(row["name"], row["age"], row["decision"], row["release"]) for row in scored] == [
        ("Anna", 30, 1, 1),
        ("Ben", None, 1, 1),
    ]


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_predict_writes_a_file(
    call: Call, models: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    call("promote", "titanic", models[0])
    (tmp_path / "rows.csv").write_text(ROWS)
    result = call("predict", "titanic", "rows.csv", "--output", f"scored.{form}")
    assert result.output == f"wrote 2 rows to scored.{form}\n"
    with pytest.raises(InputError, match="want rows without predictions"):
        call("predict", "titanic", f"scored.{form}")


def test_predict_prints_the_first_ten(
    call: Call, models: tuple[Path, Path], tmp_path: Path
) -> None:
    call("promote", "titanic", models[0])
    pd.DataFrame({"sex": ["male"] * 12, "age": 40.0}).to_csv(tmp_path / "rows.csv", index=False)
    output = call("predict", "titanic", "rows.csv").output
    assert output.count("0.5987") == 10
    assert "release 1, 10 of 12 rows; all of them: --output FILE" in output


def test_read_rows_keeps_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("pclass,deck\n3,NA\n,\n")
    frame = serving.read_rows(tmp_path / "rows.csv")
    assert frame["pclass"].tolist() == [3, pd.NA]
    assert frame["deck"].tolist() == ["NA", pd.NA]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", ""), ("a.csv", "a\n1,2,3\n4\n1,2,3,4\n"), ("a.jsonl", "[1]"), ("a.txt", "a\n1\n")],
    ids=["empty", "ragged", "list", "ending"],
)
def test_read_rows_refuses(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="unreadable file"):
        serving.read_rows(tmp_path / name)


def test_predict_asks_the_champion_beside_a_canary(
    call: Call, models: tuple[Path, Path], tmp_path: Path
) -> None:
    call("promote", "titanic", models[0])
    call("promote", "titanic", models[1], "--canary", 10)
    (tmp_path / "rows.csv").write_text(ROWS)
    scored = json.loads(call("predict", "titanic", "rows.csv", "--json").output)
    assert [row["release"] for row in scored] == [1, 1]
    assert scored[0]["probability"] == pytest.approx(probability("female", 30), abs=1e-6)


def test_predict_refuses_an_unknown_endpoint(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    with pytest.raises(NotFoundError, match="endpoint 'titanic': got no release yet"):
        call("predict", "titanic", "rows.csv")


def test_serve_answers_its_own_example_and_stops(
    call: Call, models: tuple[Path, Path], tmp_path: Path, store: Store
) -> None:
    from dalsegno.serving.client import wait_until_ready

    call("promote", "titanic", models[0])
    (tmp_path / "rows.csv").write_text(ROWS)
    command = [sys.executable, "-P", "-c", _SERVE, "serve", "titanic", "--port", "0"]
    environment = {**os.environ, "HOME": str(tmp_path), "DALSEGNO_STORE_URI": store.uri}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout
        try:
            line, example = server.stdout.readline(), shlex.split(server.stdout.readline())
            url = line.split(" on ")[1].split(" ")[0]
            wait_until_ready(url, endpoint="titanic", release=1)
            request = urllib.request.Request(example[2], example[-1].encode())
            request.add_header(*example[4].split(": "))
            answer = json.load(urllib.request.urlopen(request))
            scored = json.loads(
                call("predict", "titanic", "rows.csv", "--url", url, "--json").output
            )
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert answer["outputs"][0]["data"][0] == pytest.approx(probability("female", 30), abs=1e-5)
    assert scored[0]["probability"] == pytest.approx(probability("female", 30), abs=1e-5)
