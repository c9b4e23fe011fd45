import numpy as np
import pandas as pd
import pytest
from kfp import dsl
from scipy.special import expit

from components.monitor_predictions import logic
from components.monitor_predictions.component import monitor_predictions
from components.monitor_predictions.findings import Baseline, MonitorSettings
from dalsegno.errors import InputError
from dalsegno.monitoring.baseline import sketch_model
from tests.components.model_folder import write_model

FEATURES = ["age", "fare", "sex"]


def predicted(
    seed: int, rows: int = 1500, *, age: float = 30.0, women: float = 0.36
) -> pd.DataFrame:
    """Predictions of a calibrated model."""
    rng = np.random.default_rng(seed)
    sex = np.where(rng.random(rows) < women, "female", "male")
    ages = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(age, 13, rows))
    fare = rng.choice([7.25, 8.05, 13.0, 26.0, 80.0], size=rows)
    score = expit(-2 + 3 * (sex == "female") + fare / 40 - np.nan_to_num(ages, nan=30) / 60)
    frame = pd.DataFrame({"id": np.arange(rows), "age": ages, "fare": fare, "sex": sex})
    return frame.assign(
        probability=score.astype("float32"),
        decision=(score >= 0.5).astype(int),
        survived=(rng.random(rows) < score).astype(int),
    )


LEARNED = predicted(0, 900)
REFERENCE = sketch_model(LEARNED[[*FEATURES, "probability"]], LEARNED["survived"].to_numpy())
UNRANKED = {key: value for key, value in REFERENCE.items() if key != "quality"}


def look(frame: pd.DataFrame, *, sketch=REFERENCE, released_recently: bool = False):
    return logic.monitor(
        frame,
        Baseline(sketch, FEATURES),
        MonitorSettings(),
        entity="id",
        target="survived",
        slices=["sex"],
        released_recently=released_recently,
    )


def test_clean_batches_raise_no_alarm():
    assert sum(bool(look(predicted(seed)).alarms) for seed in range(1, 31)) == 0


def test_clean_batch_without_labels_is_looked_at():
    found = look(predicted(1).drop(columns="survived"))
    assert (found.alarms, found.action, found.quality) == ([], "none", None)
    assert [len(each.gaps) for each in found.slices] == [1, 1]


def test_older_passengers_raise_a_drift_alarm():
    found = look(predicted(1, age=45))
    assert {alarm.subject for alarm in found.alarms} - {"probability"} == {"age"}
    assert any("mean 29.4 -> 44.6" in alarm.got for alarm in found.alarms)
    assert (found.action, found.drift.drift_share) == ("retrain", pytest.approx(1 / 3))


def test_drift_of_predictions_alone_raises_an_alarm():
    frame = predicted(1)
    frame["probability"] = frame["probability"] ** 0.4
    assert "probability" in {alarm.subject for alarm in look(frame).alarms}


@pytest.mark.parametrize(
    ("released_recently", "action"), [(True, "roll_back"), (False, "retrain")], ids=["new", "old"]
)
def test_lost_quality_depends_on_the_release(released_recently, action):
    frame = predicted(1).sample(frac=1, random_state=0)
    frame["survived"] = np.where(frame["id"] % 3 == 0, 1 - frame["survived"], frame["survived"])
    found = look(frame, released_recently=released_recently)
    assert "quality" in {alarm.kind for alarm in found.alarms}
    assert found.action == action


def test_quality_without_stored_auc_meets_what_scores_promise():
    found = look(predicted(1), sketch=UNRANKED)
    assert found.quality.promised
    assert found.quality.auc == pytest.approx(found.quality.wanted_auc, abs=0.04)


def test_slice_that_died_more_often_is_a_bias():
    frame = predicted(1)
    women = frame["sex"] == "female"
    frame.loc[women, "survived"] = (frame.loc[women, "id"] % 3 == 0).astype(int)
    alarms = [alarm for alarm in look(frame).alarms if alarm.kind == "bias"]
    assert {alarm.subject for alarm in alarms} == {"sex=female"}
    assert any(alarm.want == "as many positives as the scores promise" for alarm in alarms)


def test_slice_that_is_scored_otherwise_is_a_bias_without_labels():
    frame = predicted(1).drop(columns="survived")
    women = frame["sex"] == "female"
    frame.loc[women, "probability"] *= 0.5
    biased = [alarm.subject for alarm in look(frame).alarms if alarm.kind == "bias"]
    assert biased == ["sex=female"]


@pytest.mark.parametrize(
    ("change", "subject", "got"),
    [
        (lambda f: f.drop(columns="age"), "age", "no such column"),
        (lambda f: f.drop(columns="id"), "id", "no such column"),
        (lambda f: f.assign(fare="much"), "fare", "100% of the values are no numbers"),
        (lambda f: f.assign(sex=None), "sex", "100% nulls"),
        (lambda f: f.assign(id=f["id"] // 2), "id", "750 repeated values"),
        (
            lambda f: f.assign(probability=f["probability"] + 2),
            "probability",
            "1500 values outside",
        ),
        (lambda f: f.assign(survived=2), "survived", "1500 labels outside 0 and 1"),
    ],
    ids=["feature", "entity", "text", "nulls", "repeated", "scores", "labels"],
)
def test_broken_batch_freezes(change, subject, got):
    found = look(change(predicted(1)), released_recently=True)
    broken = [alarm for alarm in found.alarms if alarm.kind == "data"]
    assert [alarm.subject for alarm in broken] == [subject]
    assert broken[0].got.startswith(got)
    assert found.action == "freeze"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.head(0), "got 0 rows, want at least 1"),
        (lambda f: f.drop(columns="decision"), r"got no column \['decision'\]"),
    ],
    ids=["empty", "no-predictions"],
)
def test_what_is_no_table_of_predictions_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        look(change(predicted(1)))


@pytest.mark.parametrize(("age", "action"), [(30, "none"), (50, "retrain")], ids=["clean", "older"])
def test_component_writes_report_and_metrics(tmp_path, age, action):
    predicted(1, age=age).to_parquet(tmp_path / "predictions")
    write_model(tmp_path / "model", {"age": 1.0, "fare": 1.0}, baseline=REFERENCE)
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    found = monitor_predictions.python_func(
        dsl.Dataset(uri=str(tmp_path / "predictions")),
        dsl.Model(uri=str(tmp_path / "model")),
        dsl.HTML(uri=str(tmp_path / "report")),
        metrics,
        entity="id",
        target="survived",
        slices=["sex"],
    )
    assert found[1] == action
    assert (metrics.metadata["alarms"], metrics.metadata["drift_share"]) == (
        len(found[0]),
        found[2],
    )
    assert ("<h2>age</h2>" in (tmp_path / "report").read_text()) == (action == "retrain")


def test_folder_without_champion_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"want a champion's"):
        Baseline.read(tmp_path)
