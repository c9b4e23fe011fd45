"""Predictions traced, labelled and replayed, canaries and drills, as users call them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from click.testing import Result
from kfp import dsl
from typer.testing import CliRunner

from dalsegno import datasets, releases
from dalsegno.cli import releasing, replaying, tracing
from dalsegno.errors import ConflictError, DalsegnoError, InputError, NotFoundError
from dalsegno.runs.reader import read_task
from dalsegno.runs.record import RunRecord
from dalsegno.serving.predictions import PredictionLog
from dalsegno.serving.process import start_server
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store
from tests.model_folder import make_model, probability
from tests.serving.answers import answer, served
from tests.serving.test_canary import add_input

Call = Callable[..., Result]


@pytest.fixture
def call(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command in an empty directory; errors of ours are raised as they are."""
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    for module in (releasing, tracing, replaying):
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


def log_answers(store: Store, folder: Path, release: releases.Release, count: int = 1) -> list[str]:
    log, by = PredictionLog(folder), served(folder.parent / "one", release)
    made = [answer(by, ("male", 20.0), seconds=0.001) for _ in range(count)]
    for each in made:
        log.append(each)
    Shipper(log, store).stop()
    return [each.id for each in made]


def test_canary_is_tried_grown_and_promoted(call: Call, models: tuple[Path, Path]) -> None:
    call("promote", "titanic", models[0])
    said = call("promote", "titanic", models[1], "--canary", 10, "--key", "sex").output
    assert said.startswith("release 2 of titanic answers 10 % beside release 1: model ")
    assert "canary 10 %" in call("releases", "titanic").output
    assert "answers 50 %" in call("promote", "titanic", "--canary", 50).output
    assert call("promote", "titanic").output.startswith("release 4 of titanic is live")
    listed = json.loads(call("releases", "titanic", "--json").output)
    assert [item["status"] for item in listed] == ["live", "promoted", "superseded", "superseded"]


def test_what_stood_includes_the_canary(call: Call, models: tuple[Path, Path]) -> None:
    call("promote", "titanic", models[0])
    made = json.loads(call("promote", "titanic", models[1], "--shadow", "--json").output)
    then = json.loads(call("releases", "titanic", "--at", made["created_at"], "--json").output)
    assert [(item["number"], item["status"]) for item in then] == [(2, "shadow"), (1, "live")]
    assert "is asked in the shadow" in call("promote", "titanic", "--shadow").output
    call("rollback", "titanic")
    assert [item["status"] for item in json.loads(call("releases", "--json").output)] == ["live"]


@pytest.mark.parametrize(
    ("seconds", "code", "state"), [("0", 1, "rolled_back"), ("60", 0, "promoted")]
)
def test_when_concludes_the_canary(
    call: Call,
    models: tuple[Path, Path],
    store: Store,
    tmp_path: Path,
    seconds: str,
    code: int,
    state: str,
) -> None:
    call("promote", "titanic", models[0])
    canary = json.loads(call("promote", "titanic", models[1], "--canary", 50, "--json").output)
    if code == 0:
        log_answers(store, tmp_path / "log", releases.find(store, "titanic", canary["number"]), 5)
    options = ["--when", "requests>=5", "--timeout", seconds, "--json"]
    result = call("promote", "titanic", *options)
    assert result.exit_code == code
    assert json.loads(result.output)["state"] == state


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["one", "--when", "requests>=5"], "want it tried first"),
        (["one", "--shadow", "--canary", "5"], "want one of them"),
        (["one", "--key", "sex"], "got no --canary"),
        (["one", "--wait", "ftp://x"], "want a URL as http://HOST:PORT"),
        (["one", "--canary", "5", "--when", "bad"], "want a condition as in"),
    ],
)
def test_promote_refuses_what_does_not_fit(
    call: Call, models: tuple[Path, Path], store: Store, options: list[str], message: str
) -> None:
    call("promote", "titanic", models[0])
    with pytest.raises(InputError, match=message):
        call("promote", "titanic", *options)
    assert len(releases.history(store, "titanic")) == 1


def test_columns_that_callers_must_send_are_told(call: Call, models: tuple[Path, Path]) -> None:
    add_input(models[1])
    assert "warning" not in call("promote", "titanic", models[0]).output
    said = call("promote", "titanic", models[1], "--canary", 10).output
    assert "warning: it takes fare, which release 1 did not" in said
    assert "warning" not in call("promote", "titanic", models[0]).output
    assert "which release 3 did not" in call("promote", "titanic", models[1]).output


def test_promote_without_a_model_wants_a_canary(call: Call, models: tuple[Path, Path]) -> None:
    call("promote", "titanic", models[0])
    with pytest.raises(ConflictError, match="got release 1 live and no canary"):
        call("promote", "titanic")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make_features(sql: str, features: dsl.Output[dsl.Dataset]) -> None:
    import pandas as pd

    pd.DataFrame({"length": [len(sql)]}).to_parquet(features.path)


@dsl.pipeline(name="feature")
def feature() -> None:
    make_features(sql="SELECT 1")
    make_features(sql="SELECT age, sex\nFROM passengers")


def test_lineage_leads_to_run_data_set_and_sql(
    call: Call,
    models: tuple[Path, Path],
    store: Store,
    tmp_path: Path,
    run: Callable[..., RunRecord],
) -> None:
    made_features, trained = run(feature), run(feature)
    (made,) = read_task(store, made_features, "make-features-2").outputs["features"]
    datasets.publish(store, "titanic", Path(made["uri"]), run_id=made_features.run_id)
    release = releases.promote(
        store, "titanic", models[0], reason="good", who="anna", run_id=trained.run_id
    )
    (prediction,) = log_answers(store, tmp_path / "log", release)
    said = call("lineage", prediction).output
    for text in (
        f"prediction {prediction}",
        "release 1 of titanic, promoted by anna",
        f"model {release.model_sha256[:12]}",
        f"run {trained.run_id}, feature, succeeded",
        "data set titanic@1, 1 rows",
        f"made by run {made_features.run_id}",
        "SELECT age, sex",
        f"commit {'c' * 40}",
    ):
        assert text in said
    document = json.loads(call("lineage", prediction, "--json").output)
    assert document["features"]["sql"] == "SELECT age, sex\nFROM passengers"
    assert document["gaps"] == []


def test_lineage_tells_where_the_trail_ends(
    call: Call, models: tuple[Path, Path], store: Store, tmp_path: Path
) -> None:
    release = releases.promote(store, "titanic", models[0], reason="", who="anna", run_id="gone-1")
    (prediction,) = log_answers(store, tmp_path / "log", release)
    said = call("lineage", prediction).output
    assert "run gone-1, no longer here" in said
    assert "not found: run 'gone-1'" in said
    with pytest.raises(InputError, match="want an id"):
        call("lineage", "42")


def test_feedback_joins_the_predictions(
    call: Call, models: tuple[Path, Path], store: Store, tmp_path: Path
) -> None:
    release = releases.promote(store, "titanic", models[0], reason="", who="anna")
    ids = log_answers(store, tmp_path / "log", release, 3)
    Path("labels.csv").write_text(f"prediction_id,label\n{ids[0]},1\n{ids[1]},0\n")
    assert "kept 2 labels, all of logged" in call("feedback", "titanic", "labels.csv").output
    assert "kept 1 labels" in call("feedback", "titanic", "--id", ids[1], "--label", 1).output
    options = ["--since", "1h", "--output", "all.parquet", "--label", "survived"]
    assert (
        "wrote 3 rows to all.parquet, 2 with a label"
        in call("predictions", "titanic", *options).output
    )
    table = pd.read_parquet("all.parquet").set_index("prediction_id").loc[ids]
    assert table["survived"].tolist()[:2] == [1, 1]
    assert table["sex"].tolist() == ["male"] * 3
    assert table["probability"].tolist() == pytest.approx([probability("male", 20)] * 3, abs=1e-6)


def test_served_predictions_become_a_data_set(
    call: Call, models: tuple[Path, Path], store: Store, tmp_path: Path
) -> None:
    first = releases.promote(store, "titanic", models[0], reason="", who="anna")
    old = log_answers(store, tmp_path / "log", first, 2)
    second = releases.promote(store, "titanic", models[1], reason="", who="anna")
    with pytest.raises(InputError, match="got 2 of other releases, want some of release 2"):
        call("predictions", "titanic", "--dataset", "titanic-served")
    ids = log_answers(store, tmp_path / "log", second, 3)
    call("feedback", "titanic", "--id", ids[1], "--label", 1)
    said = call("predictions", "titanic", "--dataset", "titanic-served").output
    assert said == "published 3 rows as titanic-served@1\n"
    datasets.fetch(store, "titanic-served@1", tmp_path / "served.parquet")
    table = pd.read_parquet(tmp_path / "served.parquet")
    assert not set(old) & set(table["prediction_id"])
    table = table.set_index("passenger").loc[[f"{each}/0" for each in ids]]
    assert table["survived"].tolist() == pytest.approx([np.nan, 1, np.nan], nan_ok=True)
    assert table["sex"].tolist() == ["male"] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["feedback", "titanic"], "got neither or both"),
        (["predictions", "titanic"], "got neither or both of --output and --dataset"),
        (["feedback", "titanic", "--id", "x"], "--id without --label"),
        (["predictions", "titanic", "--output", "a.csv", "--since", "noon"], "time: got 'noon'"),
        (["replay"], "want one of them"),
    ],
)
def test_missing_words_are_told(call: Call, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(*arguments)


def test_predictions_of_nothing_are_told(call: Call) -> None:
    with pytest.raises(NotFoundError, match="got no predictions logged since"):
        call("predictions", "titanic", "--output", "a.csv")


def test_replay_plays_a_prediction(
    call: Call, models: tuple[Path, Path], store: Store, tmp_path: Path
) -> None:
    release = releases.promote(store, "titanic", models[0], reason="", who="anna")
    (prediction,) = log_answers(store, tmp_path / "log", release)
    result = call("replay", "--prediction", prediction)
    assert result.exit_code == 0
    assert "identical" in result.output
    document = json.loads(call("replay", "--prediction", prediction, "--json").output)
    assert document["played"] == document["recorded"]


def test_drill_times_a_rollback_and_touches_nothing(
    call: Call, models: tuple[Path, Path], store: Store
) -> None:
    add_input(models[0])  # so that a request must suit both
    for model in models:
        call("promote", "titanic", model)
    before = sorted(found.key for found in store.list())
    done = json.loads(call("rollback", "titanic", "--drill", "--json").output)
    assert (done["left"], done["returned_to"], done["failed"]) == (2, 1, 0)
    assert 0 < done["test_seconds"] < done["answer_seconds"] < 30
    assert sorted(found.key for found in store.list()) == before
    assert not Path(store.uri, "drills").exists()


def test_drill_wants_something_to_return_to(call: Call, models: tuple[Path, Path]) -> None:
    with pytest.raises(NotFoundError, match="got no release yet"):
        call("rollback", "titanic", "--drill")
    call("promote", "titanic", models[0])
    with pytest.raises(NotFoundError, match="got release 1 with none before it"):
        call("rollback", "titanic", "--drill")


def test_prune_tells_what_it_would_remove(call: Call, models: tuple[Path, Path]) -> None:
    call("promote", "titanic", models[0])
    assert (
        "would remove 0 models that no release names; kept 1" in call("prune", "--dry-run").output
    )
    assert json.loads(call("prune", "--json").output)["removed"] == []


def test_promote_waits_for_the_replicas(
    call: Call,
    models: tuple[Path, Path],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DALSEGNO_SERVING_TOKEN", "very secret")
    call("promote", "titanic", models[0])
    options: dict[str, object] = {
        "cache_dir": tmp_path / "cache",
        "environment": {"DALSEGNO_STORE_URI": store.uri},
    }
    with start_server("titanic", log_path=tmp_path / "log", **options) as server:  # type: ignore[arg-type]
        wait = ["--wait", server.url, "--timeout", 20]
        result = call("promote", "titanic", models[1], *wait)
        assert result.exit_code == 0
        assert "1 of 1 replicas follow release 2" in result.stderr
        monkeypatch.delenv("DALSEGNO_SERVING_TOKEN")
        result = call("promote", "titanic", models[0], "--wait", server.url, "--timeout", 0)
        assert result.exit_code == 1
        assert "next: set DALSEGNO_SERVING_TOKEN" in result.stderr
    result = call("promote", "titanic", models[0], "--wait", server.url, "--timeout", 0)
    assert result.exit_code == 1
    assert "0 of 1 replicas follow release 3" in result.stderr
    assert "ConnectError" in result.stderr
