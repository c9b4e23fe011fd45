"""What may be different about a batch of passengers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.generate_passengers.parties import Donors
from components.generate_passengers.survival import log_odds, sigmoid
from dalsegno.errors import InputError

Array = npt.NDArray[Any]

SCENARIOS = ("none", "covariate", "label", "concept", "broken")
CLASS_WEIGHT = {1: 6.0, 2: 1.0, 3: 0.5}
CHERBOURG_WEIGHT = 3.0
YEARS_OLDER, ADULT_AGE = 10, 14
FARE_FACTOR = 1.5
SURVIVAL_SHARE = 0.6  # under `label`; 0.38 of the real passengers survived
MAX_ODDS = 30.0
BROKEN_ROWS = 10


def covariate_weights(donors: Donors) -> Array:
    """Return how likely each real party is: richer ones, and those from Cherbourg, are likelier."""
    port = donors.people["port"].to_numpy()[donors.start]
    by_class = donors.tickets["pclass"].map(CLASS_WEIGHT).fillna(1.0).to_numpy(np.float64)
    weights: Array = by_class * np.where(port == "C", CHERBOURG_WEIGHT, 1.0)
    return weights


def shift_covariates(crowd: pd.DataFrame) -> pd.DataFrame:
    """Make adults older and fares dearer."""
    older = crowd["age"] + YEARS_OLDER * (crowd["age"] >= ADULT_AGE)
    return crowd.assign(age=older, fare=crowd["fare"] * FARE_FACTOR)


def probability(crowd: pd.DataFrame, scenario: str) -> Array:
    """Return the probability of survival (0-1), shape (rows,).

    Under `concept` women fare as men did and men as women; as many survive as before.
    """
    odds = log_odds(crowd)
    if scenario != "concept":
        return sigmoid(odds)
    swapped = log_odds(crowd, sexes_swapped=True)
    return sigmoid(swapped + _level(swapped, float(sigmoid(odds).mean())))


def keep_share(party: Array, survived: Array) -> Array:
    """Return how likely a party is to be kept so that 60% of the passengers survived.

    Who survived and who died stay as they are: within each size of party, parties are weighed by
    their survivors until its rate is what Bayes' rule gives with the new base rate, and sizes are
    weighed so that survivors, and the dead, come in parties of the same sizes as before.

    Args:
        party: Number of each passenger's party, ascending from 0, shape (rows,).
        survived: 0 or 1, shape (rows,).

    Returns:
        Probabilities (0-1), shape (parties,).
    """
    size, saved = np.bincount(party), np.bincount(party, weights=survived)
    base = survived.mean()
    lift = SURVIVAL_SHARE / base, (1 - SURVIVAL_SHARE) / (1 - base)
    weights = np.zeros(len(size))
    for each in np.unique(size):
        here = size == each
        rate = saved[here].sum() / size[here].sum()
        mass = lift[0] * rate + lift[1] * (1 - rate)
        tilted = _tilt(saved[here], each, lift[0] * rate / mass)
        weights[here] = mass * tilted / tilted.mean()
    return np.minimum(weights / np.quantile(weights, 0.99), 1)


def break_tables(passengers: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Break what a schema can name: 40% nulls in sex, an entity twice, a label 2, wild ages."""
    rows = len(passengers)
    if rows < BROKEN_ROWS:
        raise InputError(f"rows: got {rows}, want at least {BROKEN_ROWS} for a broken batch")
    broken = passengers.copy()
    nulls = rng.permutation(rows)[: round(0.4 * rows)]
    broken["sex"] = broken["sex"].where(~broken.index.isin(nulls), None)
    broken.loc[1, "passenger_id"] = broken["passenger_id"].iloc[0]
    broken.loc[2, "survived"] = 2
    broken.loc[[3, 4], "age"] = [400.0, -5.0]
    return broken


def _tilt(saved: Array, size: int, rate: float) -> Array:
    """Return weights of parties of one size by their survivors that give a rate of survival."""
    low, high = -MAX_ODDS, MAX_ODDS
    for _ in range(60):
        slope = (low + high) / 2
        weights = np.exp(slope * (saved / size - 0.5))
        reached = (weights * saved).sum() / (weights.sum() * size)
        low, high = (slope, high) if reached < rate else (low, slope)
    found: Array = weights
    return found


def _level(odds: Array, share: float) -> float:
    """Return what to add to log odds so that the mean probability is a given share."""
    low, high = -MAX_ODDS, MAX_ODDS
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(odds + middle).mean() < share else (low, middle)
    return (low + high) / 2
