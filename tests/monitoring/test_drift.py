import numpy as np
import pandas as pd
import pytest

from dalsegno.monitoring import drift
from dalsegno.monitoring.drift import DriftSettings, compare_frame
from dalsegno.monitoring.sketch import sketch_frame

INDEPENDENT = DriftSettings(design_effect=1.0)


def passengers(rows: int, seed: int, *, age: float = 30.0, nulls: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ages = np.where(rng.random(rows) < nulls, np.nan, rng.normal(age, 12, rows))
    ports = rng.choice(["S", "C", "Q"], size=rows, p=[0.7, 0.2, 0.1])
    return pd.DataFrame({"age": ages, "port": ports, "sibsp": rng.poisson(0.5, rows)})


def test_same_rows_have_no_drift():
    frame = passengers(1000, 0)
    found = compare_frame(sketch_frame(frame), frame, DriftSettings())
    assert [column.psi for column in found.columns] == pytest.approx([0, 0, 0])
    assert found.drift_share == 0


def test_shifted_number_is_named_with_its_means():
    frame = passengers(1000, 1, age=42, nulls=0)
    found = compare_frame(sketch_frame(passengers(1000, 0)), frame, DriftSettings())
    assert [column.column for column in found.drifted] == ["age"]
    assert found.columns[0].text == "age: mean 29.8 -> 42.3, nulls 19% -> 0%"
    assert found.drift_share == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("current", "text"),
    [
        (["S"] * 50 + ["X"] * 50, "port: S 100% -> 50%, other values 0% -> 50%, nulls 0% -> 0%"),
        (["S"] * 50 + [None] * 50, "port: S 100% -> 50%, other values 0% -> 0%, nulls 0% -> 50%"),
    ],
    ids=["unseen", "nulls"],
)
def test_category_drift_is_found_in_new_values(current, text):
    sketch = sketch_frame(pd.DataFrame({"port": ["S"] * 100}))
    (column,) = compare_frame(sketch, pd.DataFrame({"port": current}), DriftSettings()).columns
    assert (column.drifted, column.text) == (True, text)


def test_predictions_do_not_count_in_the_drift_share():
    sketch = sketch_frame(pd.DataFrame({"age": range(500), "probability": np.linspace(0, 1, 500)}))
    frame = pd.DataFrame({"age": range(500), "probability": np.full(500, 0.9)})
    found = compare_frame(sketch, frame, DriftSettings())
    assert [column.column for column in found.drifted] == ["probability"]
    assert found.drift_share == 0


def test_psi_follows_its_chi_square_law():
    rng = np.random.default_rng(5)
    shares = np.full(8, 1 / 8)
    psi = [
        drift.population_stability(rng.multinomial(800, shares), rng.multinomial(1500, shares))
        for _ in range(2000)
    ]
    limit = drift.psi_quantile(np.full(8, 100), np.full(8, 1500 / 8), alpha=0.05)
    assert np.mean(np.array(psi) > limit) == pytest.approx(0.05, abs=0.015)


def test_rare_values_raise_no_false_alarm():
    settings = DriftSettings(alpha=0.05, floor=0.0, design_effect=1.0)
    alarms = [
        bool(
            compare_frame(
                sketch_frame(passengers(800, i)), passengers(900, 999 + i), settings
            ).drifted
        )
        for i in range(100)
    ]
    assert sum(alarms) <= 11


def test_tiny_batch_raises_no_alarm():
    sketch = sketch_frame(passengers(1000, 0))
    assert not compare_frame(sketch, passengers(3, 1), INDEPENDENT).drifted


def test_missing_column_is_left_out():
    sketch = sketch_frame(passengers(100, 0))
    found = compare_frame(sketch, passengers(100, 1).drop(columns="age"), DriftSettings())
    assert {column.column for column in found.columns} == {"port", "sibsp"}
