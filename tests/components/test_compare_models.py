import json

import numpy as np
import pandas as pd
import pytest
from kfp import dsl
from scipy.special import expit, ndtri

from components.compare_models import logic
from components.compare_models.component import compare_models
from components.compare_models.verdict import GateSettings, Scored
from dalsegno.errors import InputError
from dalsegno.monitoring.drift import Drift
from tests.components.model_folder import write_model

NO_DRIFT = Drift([])
FAST = GateSettings(bootstraps=200)


def score_pair(seed: int, *, loss: float = 0.0, rows: int = 5000, correlation: float = 0.9):
    """Binormal scores of a champion of AUC 0.86 and of a challenger that is worse by a loss."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.38).astype(int)
    champion, own = rng.normal(size=(2, rows))
    challenger = correlation * champion + np.sqrt(1 - correlation**2) * own
    champion += np.sqrt(2) * ndtri(0.86) * labels
    challenger += np.sqrt(2) * ndtri(0.86 - loss) * labels
    return labels, expit(champion), expit(challenger)


def decide(seed: int = 0, *, loss: float = 0.0, rows: int = 5000, settings=FAST, drift=NO_DRIFT):
    labels, champion, challenger = score_pair(seed, loss=loss, rows=rows)
    fresh = score_pair(seed + 10_000, loss=loss, rows=300)
    slices = pd.DataFrame({"sex": np.where(np.arange(rows) % 3, "male", "female")})
    return logic.compare(
        Scored("golden dataset", labels, challenger, champion),
        Scored("validation split", fresh[0], fresh[2], fresh[1]),
        slices,
        drift,
        settings,
    )


def test_true_loss_is_refused():
    refused = sum(not decide(seed, loss=0.02).blessed for seed in range(40))
    assert refused >= 36


def test_equal_challenger_is_blessed():
    assert sum(not decide(seed).blessed for seed in range(40)) <= 2


def test_same_scores_are_blessed_as_equal():
    labels, champion, _ = score_pair(0)
    golden = Scored("golden dataset", labels, champion, champion)
    verdict = logic.compare(golden, golden, pd.DataFrame(index=range(5000)), NO_DRIFT, FAST)
    assert verdict.blessed
    assert any("both are equal" in reason for reason in verdict.reasons)


def test_refusal_gives_only_refusing_reasons():
    verdict = decide(loss=0.03)
    assert len(verdict.reasons) == 1
    assert "want the lower end above -0.0100" in verdict.reasons[0]


def test_small_golden_dataset_has_no_power():
    verdict = decide(rows=800)
    assert not verdict.blessed
    assert verdict.reasons[0].startswith("golden dataset: got 800 rows, want at least 5000")
    assert verdict.power.equal_refused > 0.5


def test_power_statement_holds_in_trials():
    power = decide(settings=GateSettings(bootstraps=1000)).power
    refused = sum(not decide(seed, loss=power.detectable_loss).blessed for seed in range(60))
    assert 48 <= refused <= 60


def test_slice_that_loses_refuses():
    labels, champion, challenger = score_pair(0, correlation=0.99)
    third = np.arange(5000) < 600
    challenger = np.where(third, score_pair(0, loss=0.2)[2], challenger)
    slices = pd.DataFrame({"pclass": np.where(third, 3, 1)})
    golden = Scored("golden dataset", labels, challenger, champion)
    judged = logic.measure_slices(golden, slices, FAST)
    assert [(result.value, result.worse) for result in judged] == [("1", False), ("3", True)]


def test_small_slice_is_listed_but_not_judged():
    labels, champion, challenger = score_pair(0)
    slices = pd.DataFrame({"deck": ["T"] * 60 + ["C"] * 4940})
    judged = logic.measure_slices(Scored("golden", labels, challenger, champion), slices, FAST)
    assert [(result.value, result.judged) for result in judged] == [("C", True), ("T", False)]


def test_fresh_rows_can_refuse():
    labels, champion, challenger = score_pair(1)
    fresh_labels, fresh_champion, fresh_challenger = score_pair(2, loss=0.15, rows=1000)
    verdict = logic.compare(
        Scored("golden dataset", labels, challenger, champion),
        Scored("validation split", fresh_labels, fresh_challenger, fresh_champion),
        pd.DataFrame(index=range(5000)),
        NO_DRIFT,
        FAST,
    )
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["validation split"]


def test_stale_golden_dataset_refuses_and_says_the_way_on():
    rng = np.random.default_rng(0)
    golden = pd.DataFrame({"age": rng.normal(30, 10, 5000), "fare": rng.gamma(2, 15, 5000)})
    fresh = pd.DataFrame({"age": rng.normal(50, 10, 400), "fare": rng.gamma(2, 15, 400)})
    verdict = decide(drift=logic.golden_drift(golden, fresh, ["age", "fare"]))
    assert verdict.reasons[0].startswith("golden dataset is stale: got 1 of 2 features drifted")
    assert verdict.reasons[0].endswith("dalsegno run training --param renew_golden=true")


@pytest.mark.parametrize(("loss", "blessed"), [(0.0, True), (0.2, False)], ids=["above", "below"])
def test_first_model_meets_the_floor_alone(loss, blessed):
    labels, _, challenger = score_pair(0, loss=loss)
    golden = Scored("golden dataset", labels, challenger)
    verdict = logic.compare(golden, golden, pd.DataFrame({"all": [1] * 5000}), NO_DRIFT, FAST)
    assert (verdict.blessed, verdict.golden, verdict.auc_champion) == (blessed, None, None)
    assert any("want at least 0.75" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, np.nan], "challenger on golden dataset: got 1 finite scores, want 2"),
        ([0, 0], [0.1, 0.2], "golden dataset: got only label 0, want both 0 and 1"),
        ([0, np.nan], [0.1, 0.2], "golden dataset: got 1 labels outside 0 and 1"),
        ([], [], "golden dataset: got 0 rows"),
    ],
    ids=["nan-score", "one-class", "nan-label", "empty"],
)
def test_unusable_scores_are_refused(labels, scores, message):
    golden = Scored("golden dataset", np.array(labels, dtype=float), np.array(scores))
    with pytest.raises(InputError, match=message):
        logic.compare(golden, golden, pd.DataFrame(), NO_DRIFT, FAST)


def labelled(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, rows))
    sex = rng.choice(["male", "female"], size=rows)
    y = (rng.random(rows) < expit(2 * x)).astype(int)
    return pd.DataFrame({"x": x, "noise": noise, "sex": sex, "y": y})


@pytest.fixture
def files(tmp_path):
    labelled(5000, 0).to_parquet(tmp_path / "golden")
    labelled(300, 1).to_parquet(tmp_path / "validation")
    write_model(tmp_path / "good", {"x": 2.0})
    write_model(tmp_path / "bad", {"x": 2.0, "noise": 2.0})
    (tmp_path / "none").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("challenger", "champion", "blessed"),
    [("good", "none", True), ("good", "good", True), ("good", "bad", True), ("bad", "good", False)],
)
def test_component_writes_its_verdict(files, challenger, champion, blessed):
    verdict = dsl.Artifact(uri=str(files / "verdict"))
    page = dsl.HTML(uri=str(files / "report"))
    found = compare_models.python_func(
        dsl.Model(uri=str(files / challenger)),
        dsl.Model(uri=str(files / champion)),
        dsl.Dataset(uri=str(files / "golden")),
        dsl.Dataset(uri=str(files / "validation")),
        verdict,
        page,
        target="y",
        slices=["sex"],
    )
    written = json.loads((files / "verdict").read_text())
    assert (found, written["blessed"], verdict.metadata["blessed"]) == (blessed,) * 3
    assert verdict.metadata["reasons"] == written["reasons"]
    assert (files / "report").read_text().count("<svg") == (1 if champion == "none" else 2)


def test_unknown_slice_is_answered_with_the_known_ones(files):
    with pytest.raises(InputError, match="got \\['deck'\\], want some of \\['noise', 'sex'"):
        logic.slice_columns(pd.read_parquet(files / "golden"), ["sex", "deck"])
