from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kfp import dsl

from components.evaluate_model import logic
from components.evaluate_model.component import evaluate_model
from dalsegno.errors import InputError
from tests.people import draw_people, write_trained

TEST = pd.DataFrame(
    {"y": [0, 0, 1, 1, 1], "sex": ["m", "m", "m", "f", None], "pclass": [1, 2, 1, 2, 1]}
)
SCORES = np.array([0.1, 0.6, 0.5, 0.9, 0.7])


def evaluate(**changed: object) -> logic.Evaluation:
    settings = {"target": "y", "threshold": 0.5, "slices": ["sex", "pclass"], **changed}
    return logic.evaluate(TEST, SCORES, **settings)


def test_scores_are_those_of_all_rows() -> None:
    scores = evaluate().scores
    assert scores["auc"] == pytest.approx(5 / 6)
    assert scores["accuracy"] == 0.8
    assert scores["f1"] == pytest.approx(6 / 7)
    assert scores["brier"] == pytest.approx((0.01 + 0.36 + 0.25 + 0.01 + 0.09) / 5)
    assert scores["rows"] == 5
    assert scores["positive_share"] == 0.6


def test_slices_are_scored_apart() -> None:
    slices = {(part.column, part.value): part for part in evaluate().slices}
    assert list(slices) == [
        ("sex", "f"),
        ("sex", "m"),
        ("sex", "missing"),
        ("pclass", "1"),
        ("pclass", "2"),
    ]
    assert slices["sex", "m"].auc == 0.5
    assert slices["sex", "f"].auc is None
    assert slices["sex", "f"].log_loss == pytest.approx(-math.log(0.9))
    assert (slices["pclass", "1"].rows, slices["pclass", "1"].positive_share) == (3, 2 / 3)
    assert slices["pclass", "2"].mean_probability == pytest.approx(0.75)


def test_flat_scores_are_finite_numbers() -> None:
    flat = logic.flatten(evaluate())
    assert all(math.isfinite(value) for value in flat.values())
    assert flat["auc.sex.m"] == 0.5
    assert "auc.sex.f" not in flat
    assert flat["rows.pclass.1"] == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slices": ["deck"]}, "slices: got column 'deck'"),
        ({"target": "z"}, r"want \['z'\]"),
    ],
    ids=["slice", "target"],
)
def test_evaluation_refuses(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(**changed)


def test_evaluate_model_writes_metrics_and_report(tmp_path: Path) -> None:
    draw_people(200, seed=7).to_parquet(tmp_path / "test")
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    report = dsl.HTML(uri=str(tmp_path / "out" / "report"))
    auc = evaluate_model.python_func(
        dsl.Model(uri=str(write_trained(tmp_path / "model"))),
        dsl.Dataset(uri=str(tmp_path / "test")),
        metrics,
        report,
        ["sex", "age"],
    )
    assert 0.7 < auc == metrics.metadata["auc"] < 1
    assert "auc.sex.female" in metrics.metadata
    html = Path(report.path).read_text()
    assert html.count("<svg") == 1
    assert "sex = female" in html
