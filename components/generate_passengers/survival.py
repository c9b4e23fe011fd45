"""The law by which generated passengers survive."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]

# Fitted once to the 1,309 real passengers by scikit-learn's LogisticRegression (C=1) on `terms`; a
# test proves that they solve its equations. AUC on these rows 0.867, cross-validated 0.860 (5
# folds, 5 seeds), log loss 0.418. Labels drawn by it have an AUC of 0.858: that is the ceiling for
# every model of generated passengers.
INTERCEPT = -1.227
COEFFICIENTS = {
    "female": 3.545,
    "second": -0.707,
    "third": -0.784,
    "female_third": -1.576,
    "boy": 1.780,
    "girl": -0.257,
    "married": 0.319,
    "decades": -0.273,
    "age_missing": -0.079,
    "large_family": -1.837,
    "cabin": 0.820,
    "cherbourg": 0.499,
}
USUAL_AGE = 29.0
CHILD_AGE = 13
LARGE_FAMILY = 5


def terms(people: pd.DataFrame, *, sexes_swapped: bool = False) -> dict[str, Array]:
    """Return the terms of the model by name, each of shape (rows,).

    Args:
        people: sex, pclass, age (NaN allowed), title, sibsp, parch, cabin, port.
        sexes_swapped: Whether women are to fare as men did, and men as women.
    """
    female = _flag((people["sex"] == "female") != sexes_swapped)
    third = _flag(people["pclass"] == 3)  # noqa: PLR2004
    age = people["age"].to_numpy(dtype=np.float64, na_value=np.nan)
    family = people["sibsp"] + people["parch"] + 1
    return {
        "female": female,
        "second": _flag(people["pclass"] == 2),  # noqa: PLR2004
        "third": third,
        "female_third": female * third,
        "boy": _flag(people["title"] == "master"),
        "girl": female * _flag(age < CHILD_AGE),
        "married": _flag(people["title"] == "mrs"),
        "decades": (np.nan_to_num(age, nan=USUAL_AGE) - USUAL_AGE) / 10,
        "age_missing": _flag(np.isnan(age)),
        "large_family": _flag(family >= LARGE_FAMILY),
        "cabin": _flag(people["cabin"].notna()),
        "cherbourg": _flag(people["port"] == "C"),
    }


def log_odds(people: pd.DataFrame, *, sexes_swapped: bool = False) -> Array:
    """Return the log odds of survival, shape (rows,)."""
    found = terms(people, sexes_swapped=sexes_swapped)
    weighted = [COEFFICIENTS[name] * term for name, term in found.items()]
    total: Array = INTERCEPT + np.sum(weighted, axis=0)
    return total


def sigmoid(odds: Array) -> Array:
    """Turn log odds into probabilities (0-1)."""
    shares: Array = 1 / (1 + np.exp(-odds))
    return shares


def _flag(claim: Any) -> Array:
    return np.asarray(claim, dtype=np.float64)
