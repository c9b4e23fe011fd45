from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dalsegno.errors import InputError
from dalsegno.labels import read_labels, stratified_folds


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, None, None], "features: got no 'y' in 2 of 4 rows, want 0 or 1"),
        ([0, 1, 2, -1], "features: got other 'y' than 0 and 1 in 2 of 4 rows, want 0 or 1"),
        (["0", "1", "0", "1"], "got other 'y' than 0 and 1 in 4 of 4 rows"),
        ([0, 0, 0, 1], "got 3 rows with 'y' 0 and 1 with 1, want at least 2 of each"),
    ],
    ids=["missing", "others", "text", "too-few"],
)
def test_labels_are_refused(values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labels("features", pd.DataFrame({"y": values}), "y", each=2)


def test_labels_want_their_column() -> None:
    with pytest.raises(InputError, match=r"features: got columns \['x'\], want \['y'\]"):
        read_labels("features", pd.DataFrame({"x": [1]}), "y")


def test_labels_are_read_from_booleans() -> None:
    frame = pd.DataFrame({"y": [True, False]})
    assert read_labels("features", frame, "y").tolist() == [1, 0]


def test_folds_hold_both_labels_evenly() -> None:
    labels = np.array([0] * 70 + [1] * 20, dtype=np.int8)
    folds = stratified_folds(labels, 3, seed=1)
    assert np.bincount(folds).tolist() == [30, 30, 30]
    ones = np.bincount(folds, labels)
    assert ones.max() - ones.min() <= 1
    assert (folds == stratified_folds(labels, 3, seed=1)).all()
    assert (folds != stratified_folds(labels, 3, seed=2)).any()
