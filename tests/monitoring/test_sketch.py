import json

import numpy as np
import pandas as pd
import pytest

from dalsegno.monitoring import sketch


def test_sketch_frame_is_plain_json():
    frame = pd.DataFrame(
        {
            "age": [22.0, None, float("inf"), 38.0],
            "sex": ["male", None, "", "female"],
            "empty": [None, None, None, None],
            "alone": [True, False, True, True],
        }
    )
    found = sketch.sketch_frame(frame)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["columns"]["age"]["nulls"] == 2
    assert found["columns"]["sex"] == {
        "kind": "category",
        "rows": 4,
        "nulls": 2,
        "counts": {"female": 1, "male": 1},
        "other": 0,
    }


def test_continuous_number_gets_ten_even_bins():
    column = pd.Series(np.random.default_rng(1).normal(size=1000))
    found = sketch.sketch_column(column)
    assert found["counts"] == [100 + (i == 9) - (i == 0) for i in range(10)]
    assert found["mean"] == pytest.approx(column.mean())


def test_discrete_number_gets_a_bin_per_value():
    found = sketch.sketch_column(pd.Series([0, 0, 0, 1, 1, 3]))
    assert (found["values"], found["edges"], found["counts"]) == ([0, 1, 3], [0.5, 2.0], [3, 2, 1])


def test_heavy_tie_leaves_no_empty_bin():
    column = pd.Series([0.0] * 400 + list(np.linspace(0.1, 9, 300)) + [8.05] * 300)
    found = sketch.sketch_column(column)
    assert min(found["counts"]) > 0
    assert sum(found["counts"]) == 1000


def test_many_categories_keep_fifty_and_other():
    found = sketch.sketch_column(pd.Series([f"T{i % 70}" for i in range(700)]))
    assert (len(found["counts"]), found["other"]) == (50, 200)


def test_size_does_not_grow_with_rows():
    rng = np.random.default_rng(0)
    sizes = [
        len(json.dumps(sketch.sketch_frame(pd.DataFrame({"x": rng.normal(size=n)}))))
        for n in (1_000, 200_000)
    ]
    assert sizes[1] < 1.1 * sizes[0]


def test_counting_the_reference_gives_its_counts_back():
    column = pd.Series([1.0, 2.5, None, 7.0] * 30 + list(range(50)))
    found = sketch.sketch_column(column)
    counts, nulls = sketch.count_number(found, column)
    assert (counts.tolist(), nulls) == (found["counts"], found["nulls"])


def test_unseen_category_is_counted_as_other():
    found = sketch.sketch_column(pd.Series(["S", "C", "S"]))
    assert sketch.count_category(found, pd.Series(["X", "S", None])) == ({"S": 1, "C": 0}, 1, 1)


def test_scores_are_kept_by_value_of_the_column():
    frame = pd.DataFrame(
        {"sex": ["m", "m", "f"], "pclass": [1, 3, 3], "probability": [0.1, 0.3, 0.9]}
    )
    columns = sketch.sketch_frame(frame)["columns"]
    assert columns["sex"]["scores"]["m"] == {
        "rows": 2,
        "mean": pytest.approx(0.2),
        "std": pytest.approx(0.1),
    }
    assert set(columns["pclass"]["scores"]) == {"1", "3"}
    assert "scores" not in columns["probability"]


def test_large_column_is_binned_the_same_each_time():
    column = pd.Series(np.random.default_rng(0).normal(size=150_000))
    first, second = (sketch.sketch_column(column, seed=4) for _ in range(2))
    assert first == second
    assert sum(first["counts"]) == 150_000
