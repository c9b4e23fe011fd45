from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import dsl

from components.tune_model import logic
from components.tune_model.component import tune_model
from dalsegno.boosting import DEFAULTS, check_hyper_parameters
from dalsegno.errors import InputError
from tests.people import FEATURES, draw_people

PEOPLE = draw_people(200)
ROOT = Path(__file__).parents[2]


def test_tuning_is_reproducible() -> None:
    first, again = (
        logic.tune(PEOPLE, features=FEATURES, target="survived", trials=6, seed=4) for _ in range(2)
    )
    assert first == again
    other = logic.tune(PEOPLE, features=FEATURES, target="survived", trials=6, seed=5)
    assert other.losses != first.losses


def test_tuning_never_loses_to_the_defaults() -> None:
    alone = logic.tune(PEOPLE, features=FEATURES, target="survived", trials=1)
    tuning = logic.tune(PEOPLE, features=FEATURES, target="survived", trials=8)
    assert alone.hyper_parameters == DEFAULTS
    assert tuning.losses[0] == alone.losses[0]
    assert tuning.best_loss <= tuning.losses[0] < 0.69
    assert tuning.losses.index(tuning.best_loss) > 0
    assert check_hyper_parameters(tuning.hyper_parameters) != DEFAULTS


def test_tuning_shows_its_progress() -> None:
    code = (
        "from components.tune_model import logic; from tests.people import draw_people;"
        "logic.tune(draw_people(50), features=['sex'], target='survived', trials=10)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stderr.count("trial 5: best log loss 0.") == 1
    assert done.stderr.count("trial") == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("trials", "features", "rows", "message"),
    [
        (0, FEATURES, 200, "trials: got 0, want at least 1"),
        (1, [], 200, "features: got"),
        (1, ["boat"], 200, r"want \['boat'\]"),
        (1, FEATURES, 3, "training split: got .* want at least 3 of each"),
    ],
    ids=["trials", "no-feature", "unknown", "few-rows"],
)
def test_tuning_refuses(trials: int, features: list[str], rows: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        logic.tune(PEOPLE.head(rows), features=features, target="survived", trials=trials)


def test_tune_model_returns_hyper_parameters(tmp_path: Path) -> None:
    PEOPLE.to_parquet(tmp_path / "train")
    report = dsl.HTML(uri=str(tmp_path / "out" / "report"))
    found = tune_model.python_func(
        dsl.Dataset(uri=str(tmp_path / "train")), report, FEATURES, "survived", trials=3
    )
    assert json.loads(json.dumps(found)).keys() == DEFAULTS.keys()
    assert "<svg" in Path(report.path).read_text()
    assert "of 3 trials" in Path(report.path).read_text()
