"""Gradient-boosted trees, as every task uses them: the same settings, the same bytes each time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from dalsegno.encoding import Array
from dalsegno.errors import InputError

THREADS = 1  # same sums on every machine; on up to 12,000 rows a second thread only waits
PATIENCE = 20  # rounds without a better validation loss
DEFAULTS: dict[str, float] = {
    "learning_rate": 0.05,
    "max_depth": 4,
    "min_child_weight": 2.0,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "reg_lambda": 2.0,
    "rounds": 300,
}
WHOLE_NUMBERS = ("max_depth", "rounds")


def import_xgboost() -> Any:
    """Import XGBoost without scikit-learn, which it takes in on sight for its estimators.

    We use none of those, and scikit-learn is more than half of the import time (1.5 s of 2.7 s).
    """
    if "xgboost" in sys.modules or "sklearn" in sys.modules:
        return importlib.import_module("xgboost")
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("xgboost")
    finally:
        del sys.modules["sklearn"]


def check_hyper_parameters(given: Mapping[str, float]) -> dict[str, float]:
    """Complete hyper-parameters by the defaults; whole numbers may come as floats, as from JSON.

    Raises:
        InputError: One is unknown or no number.
    """
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise InputError(f"hyper_parameters: got {unknown}, want some of {sorted(DEFAULTS)}")
    wrong = [name for name, value in given.items() if not isinstance(value, int | float)]
    if wrong:
        raise InputError(f"hyper_parameters: got no number for {wrong}, want numbers")
    merged = {**DEFAULTS, **given}
    return {
        name: int(value) if name in WHOLE_NUMBERS else float(value)
        for name, value in merged.items()
    }


def fit_booster(
    train: Any, hyper_parameters: Mapping[str, float], *, seed: int, validation: Any = None
) -> Any:
    """Fit trees for a 0/1 label.

    Args:
        train: `xgboost.DMatrix` with labels.
        hyper_parameters: As `check_hyper_parameters` gives them; `rounds` is the upper bound.
        seed: Of row and column samples.
        validation: `xgboost.DMatrix`; its log loss ends the training early.

    Returns:
        `xgboost.Booster`; `best_iteration` and `best_score` (log loss) when validated.
    """
    xgboost = import_xgboost()
    settings: dict[str, Any] = {
        **{name: value for name, value in hyper_parameters.items() if name != "rounds"},
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "nthread": THREADS,
        "seed": int(seed),
    }
    return xgboost.train(
        settings,
        train,
        int(hyper_parameters["rounds"]),
        evals=[] if validation is None else [(validation, "validation")],
        early_stopping_rounds=None if validation is None else PATIENCE,
        verbose_eval=False,
    )


def matrix(values: Array, labels: Array | None = None) -> Any:
    """Wrap rows for XGBoost; NaN is missing."""
    return import_xgboost().DMatrix(values, labels, nthread=THREADS)
