"""Search hyper-parameters by cross-validation on the training split."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dalsegno.boosting import DEFAULTS, check_hyper_parameters, fit_booster, matrix
from dalsegno.encoding import Array, fit_encoder
from dalsegno.errors import InputError
from dalsegno.labels import Labels, read_labels, stratified_folds

FOLDS = 3
WORKERS = 2  # folds at once; each is fitted by one thread, so that the sums stay the same
LOG_EVERY = 5
LOGGER = "optuna.tune_model"  # Optuna's handler, which writes to the error stream, shows it


@dataclass(frozen=True)
class Tuning:
    """What the search found.

    Attributes:
        hyper_parameters: The best set, complete.
        losses: Cross-validated log loss of each trial, in order; the first trial has the defaults.
        rounds: Mean best number of boosting rounds of each trial.
    """

    hyper_parameters: dict[str, float]
    losses: list[float]
    rounds: list[float]

    @property
    def best_loss(self) -> float:
        """Smallest cross-validated log loss."""
        return min(self.losses)


def tune(
    train: pd.DataFrame, *, features: list[str], target: str, trials: int = 20, seed: int = 0
) -> Tuning:
    """Search with Optuna's TPE for the smallest log loss over stratified folds.

    The folds, the search and the trees follow from the seed alone.

    Args:
        train: One row an entity, labelled.
        features: Columns to learn from.
        target: Label column, 0 or 1.
        trials: Sets to try, the defaults among them.
        seed: Of folds, search and row and column samples.

    Raises:
        InputError: An argument or the examples are not as they must be.
    """
    import optuna

    if trials < 1:
        raise InputError(f"trials: got {trials}, want at least 1")
    labels = read_labels("training split", train, target, each=FOLDS)
    folds = _Folds.of(fit_encoder(train, features).transform(train), labels, seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger(LOGGER).setLevel(logging.INFO)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: value for name, value in DEFAULTS.items() if name != "rounds"})
    with ThreadPoolExecutor(WORKERS) as pool:
        study.optimize(
            lambda trial: folds.evaluate(trial, pool, seed), n_trials=trials, callbacks=[_report]
        )
    return Tuning(
        hyper_parameters=check_hyper_parameters(study.best_params),
        losses=[float(trial.value) for trial in study.trials],
        rounds=[float(trial.user_attrs["rounds"]) for trial in study.trials],
    )


def render(tuning: Tuning) -> str:
    """Draw the history of the search as a self-contained HTML page."""
    from matplotlib.figure import Figure

    from dalsegno.report import figure_svg, page, paragraph, table

    numbers = np.arange(1, len(tuning.losses) + 1)
    figure = Figure(figsize=(8, 3.2))
    axes = figure.add_subplot()
    axes.plot(numbers, tuning.losses, "o", color="#2f6fb0", label="trial")
    axes.plot(numbers, np.minimum.accumulate(tuning.losses), color="#d07a2d", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel("log loss")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    text = (
        f"Best cross-validated log loss {tuning.best_loss:.4f} of {len(numbers)} trials; "
        f"the defaults have {tuning.losses[0]:.4f}."
    )
    best = [{"name": name, "value": value} for name, value in tuning.hyper_parameters.items()]
    sections = [("Search", paragraph(text) + figure_svg(figure)), ("Hyper-parameters", table(best))]
    return page("Tuned hyper-parameters", sections)


@dataclass(frozen=True)
class _Folds:
    """Matrices of each fold: to fit on, and held out; built once for all trials."""

    matrices: list[tuple[Any, Any]]

    @classmethod
    def of(cls, values: Array, labels: Labels, seed: int) -> _Folds:
        numbers = stratified_folds(labels, FOLDS, seed=seed)
        parts = [numbers == number for number in range(FOLDS)]
        return cls(
            [
                (matrix(values[~part], labels[~part]), matrix(values[part], labels[part]))
                for part in parts
            ]
        )

    def evaluate(self, trial: Any, pool: ThreadPoolExecutor, seed: int) -> float:
        """Give the mean log loss over the folds, each at its own best round."""
        hyper_parameters = _suggest(trial)
        boosters = list(
            pool.map(
                lambda pair: fit_booster(pair[0], hyper_parameters, seed=seed, validation=pair[1]),
                self.matrices,
            )
        )
        rounds = float(np.mean([booster.best_iteration + 1 for booster in boosters]))
        trial.set_user_attr("rounds", rounds)
        return float(np.mean([booster.best_score for booster in boosters]))


def _suggest(trial: Any) -> dict[str, float]:
    """Draw a set; wider ranges only fit the noise of small training splits."""
    return check_hyper_parameters(
        {
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.15, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 6),
            "min_child_weight": trial.suggest_float("min_child_weight", 1, 8, log=True),
            "subsample": trial.suggest_float("subsample", 0.6, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.5, 8, log=True),
        }
    )


def _report(study: Any, trial: Any) -> None:
    if (trial.number + 1) % LOG_EVERY == 0:
        log = logging.getLogger(LOGGER)
        log.info("trial %d: best log loss %.4f", trial.number + 1, study.best_value)
