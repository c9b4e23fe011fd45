from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xgboost
from kfp import dsl

from components.assemble_examples.logic import AssemblySettings, assemble
from components.train_model import logic
from components.train_model.component import train_model
from dalsegno.encoding import read_inputs
from dalsegno.errors import InputError, TaskFailedError
from dalsegno.model import ScoringModel, open_session
from tests.people import FEATURES, SETTINGS, draw_people

TRAIN, VALIDATION = draw_people(400), draw_people(150, seed=1)
ODD = pd.DataFrame(
    {
        "sex": ["female", None, "unseen", ""],
        "age": [np.nan, np.nan, 0.0, 1e30],
        "title": ["child", "count", None, "mr"],
        "fare": [np.nan, -1.0, 3.4e38, 0.0],
        "deck": [None, "T", "A", "B"],
    }
)


@pytest.fixture(scope="module")
def trained() -> logic.TrainedModel:
    return logic.train(TRAIN, VALIDATION, SETTINGS)


def score(model: logic.TrainedModel, rows: pd.DataFrame) -> np.ndarray:
    tensors = read_inputs(rows, model.encoder.inputs)
    return open_session(model.graph).run(["probability"], tensors)[0]


def test_graph_scores_like_xgboost(trained: logic.TrainedModel) -> None:
    booster = xgboost.Booster(model_file=bytearray(trained.booster))
    for rows in (ODD, VALIDATION, draw_people(2000, seed=9)):
        wanted = booster.predict(xgboost.DMatrix(trained.encoder.transform(rows)))
        np.testing.assert_allclose(score(trained, rows), wanted, rtol=0, atol=1e-6)


def test_graph_scores_exactly_at_its_splits(trained: logic.TrainedModel) -> None:
    booster = xgboost.Booster(model_file=bytearray(trained.booster))
    splits = booster.trees_to_dataframe().query("Feature == 'f3'")["Split"].astype(np.float32)
    fares = np.concatenate([splits, np.nextafter(splits, np.float32(0), dtype=np.float32)])
    rows = VALIDATION.iloc[[0] * len(fares)].assign(fare=fares)
    wanted = booster.predict(xgboost.DMatrix(trained.encoder.transform(rows)))
    assert len(splits) > 5
    np.testing.assert_allclose(score(trained, rows), wanted, rtol=0, atol=1e-6)


def test_same_examples_give_same_bytes(trained: logic.TrainedModel) -> None:
    again = logic.train(TRAIN.copy(), VALIDATION.copy(), SETTINGS)
    assert logic.model_files(again, logic.Lineage()) == logic.model_files(trained, logic.Lineage())
    other = logic.train(TRAIN, VALIDATION, replace(SETTINGS, seed=1))
    assert other.booster != trained.booster


def test_encoder_sees_nothing_of_validation(trained: logic.TrainedModel) -> None:
    changed = VALIDATION.assign(age=1000.0, title="count", deck="Z", sex="unseen")
    other = logic.train(TRAIN, changed, SETTINGS)
    assert other.encoder == trained.encoder
    booster, other_booster = (
        xgboost.Booster(model_file=bytearray(model.booster)) for model in (trained, other)
    )
    shared = min(booster.num_boosted_rounds(), other_booster.num_boosted_rounds())
    assert booster.get_dump()[:shared] == other_booster.get_dump()[:shared]


def test_test_split_leaves_no_trace_in_model() -> None:
    settings = AssemblySettings("person_id", "survived", [])
    people = draw_people(600, seed=2)
    tested = assemble(people, people.head(0), settings).test["person_id"]
    changed = people.copy()
    is_tested = people["person_id"].isin(tested)
    changed.loc[is_tested, ["age", "title", "fare"]] = [999.0, "count", -5.0]
    changed.loc[is_tested, "survived"] = 1 - people.loc[is_tested, "survived"]
    models = []
    for frame in (people, changed):
        splits = assemble(frame, frame.head(0), settings)
        models.append(logic.train(splits.train, splits.validation, SETTINGS))
    assert 0 < is_tested.sum() < 600
    assert logic.model_files(models[0], logic.Lineage()) == logic.model_files(
        models[1], logic.Lineage()
    )


def test_missing_ages_are_those_of_the_title(trained: logic.TrainedModel) -> None:
    median = TRAIN.loc[TRAIN["title"] == "child", "age"].median()
    row = ODD.head(1).assign(title="child", fare=20.0)
    assert trained.encoder.imputation["age"].values["child"] == pytest.approx(median)
    assert score(trained, row.assign(age=np.nan)) == score(trained, row.assign(age=median))


def test_baseline_holds_inputs_and_held_out_scores(trained: logic.TrainedModel) -> None:
    assert set(trained.baseline["columns"]) == {*FEATURES, "probability"}
    assert trained.baseline["rows"] == 550
    own = score(trained, TRAIN).std()
    assert trained.baseline["columns"]["probability"]["std"] < own


def test_metrics_are_those_of_validation(trained: logic.TrainedModel) -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    scores = score(trained, VALIDATION)
    assert trained.metrics["auc"] == pytest.approx(roc_auc_score(VALIDATION["survived"], scores))
    assert trained.metrics["log_loss"] == pytest.approx(log_loss(VALIDATION["survived"], scores))
    assert trained.metrics["rows"] == 400


def test_boosting_ends_early_on_validation() -> None:
    many = replace(SETTINGS, hyper_parameters={"rounds": 300.0, "learning_rate": 0.3})
    model = logic.train(TRAIN, VALIDATION, many)
    booster = xgboost.Booster(model_file=bytearray(model.booster))
    assert booster.num_boosted_rounds() == model.metrics["best_iteration"] + 1 < 100


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.4),
        ([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.7], 0.6),
        ([0, 0, 0, 1], [0.01, 0.02, 0.03, 0.05], 0.04),
        ([1, 0], [0.2, 0.6], 0.1),
    ],
    ids=["apart", "equal-picks-near-half", "rare", "upside-down"],
)
def test_threshold_has_largest_youden(
    labels: list[int], probabilities: list[float], threshold: float
) -> None:
    found = logic.youden_threshold(np.array(labels), np.array(probabilities))
    assert found == pytest.approx(threshold)


def test_graph_that_scores_otherwise_fails(trained: logic.TrainedModel) -> None:
    session, wrong = open_session(trained.graph), score(trained, VALIDATION) + 2e-5
    with pytest.raises(TaskFailedError, match="ONNX graph: got probabilities 2e-05 off XGBoost's"):
        logic.check_graph(session, trained.encoder, VALIDATION, wrong)


@pytest.mark.parametrize(
    ("column", "features"),
    [
        (lambda rows: [f"rare {n}" for n in range(rows)], ["sex", "odd"]),
        (lambda rows: [None] * rows, ["sex", "odd"]),
        (lambda rows: [n % 2 == 0 for n in range(rows)], ["odd"]),
        (lambda rows: ["both"] * rows, ["odd"]),
    ],
    ids=["all-rare", "all-missing", "booleans", "constant"],
)
def test_odd_columns_are_trained_on(column: object, features: list[str]) -> None:
    train, validation = (frame.assign(odd=column(len(frame))) for frame in (TRAIN, VALIDATION))
    model = logic.train(train, validation, replace(SETTINGS, features=features))
    assert np.isfinite(score(model, validation)).all()


@pytest.mark.parametrize(
    ("train", "settings", "message"),
    [
        (TRAIN, {"features": ["sex", "survived"]}, r"features: got \['survived'\]"),
        (TRAIN, {"hyper_parameters": {"depth": 3}}, "hyper_parameters: got"),
        (TRAIN, {"features": ["boat"]}, r"want \['boat'\]"),
        (TRAIN.assign(survived=1), {}, "training split: got 0 rows with 'survived' 0"),
    ],
    ids=["target", "hyper-parameter", "column", "one-label"],
)
def test_training_refuses(train: pd.DataFrame, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        logic.train(train, VALIDATION, replace(SETTINGS, **settings))


def test_train_model_writes_the_model_folder(tmp_path: Path) -> None:
    TRAIN.to_parquet(tmp_path / "train")
    VALIDATION.to_parquet(tmp_path / "validation")
    model, metrics = dsl.Model(uri=str(tmp_path / "out" / "model")), dsl.Metrics(uri="/m")
    train_model.python_func(
        dsl.Dataset(uri=str(tmp_path / "train")),
        dsl.Dataset(uri=str(tmp_path / "validation")),
        model,
        metrics,
        FEATURES,
        "survived",
        "person_id",
        {"rounds": 5.0},
        {"age": "title"},
        "people@3",
    )
    scorer = ScoringModel.load(Path(model.path))
    scorer.self_test()
    training = json.loads((Path(model.path) / "training.json").read_text())
    assert (training["dataset"], training["rows"], training["features"]) == (
        "people@3",
        400,
        FEATURES,
    )
    assert len(training["dataset_digest"]) == 64
    assert scorer.signature["target"] == "survived"
    assert {"auc", "log_loss", "rows", "best_iteration"} == set(metrics.metadata)
