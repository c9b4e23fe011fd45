"""How often the gate refuses, over seeded trials of simulated score pairs.

Run: `.venv/bin/python -m benchmarks.gate_power`. Wanted: a true loss of 0.02 AUC is refused at
least 9 times in 10, an equal challenger at most 1 time in 20 (golden dataset of 5,000 rows).
"""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from components.compare_models.logic import compare
from components.compare_models.verdict import GateSettings, Scored, Verdict
from dalsegno.monitoring.drift import Drift

TRIALS = 200
GOLDEN_ROWS, FRESH_ROWS, POSITIVES, CHAMPION_AUC = 5000, 300, 0.38, 0.86
CASES = [(0.0, 0.9), (0.02, 0.9), (0.01, 0.9), (0.0, 0.95), (0.0, 0.85), (0.02, 0.85)]


def scored(
    rng: np.random.Generator, name: str, rows: int, loss: float, correlation: float
) -> Scored:
    """Draw labels, and scores that are normal within each label and correlated between models."""
    labels = (rng.random(rows) < POSITIVES).astype(int)
    champion, own = rng.normal(size=(2, rows))
    challenger = correlation * champion + np.sqrt(1 - correlation**2) * own
    champion += np.sqrt(2) * ndtri(CHAMPION_AUC) * labels
    challenger += np.sqrt(2) * ndtri(CHAMPION_AUC - loss) * labels
    return Scored(name, labels, expit(challenger), expit(champion))


def trial(seed: int, loss: float, correlation: float) -> Verdict:
    """Let the gate decide once, on the golden dataset, a validation split and five slices."""
    rng = np.random.default_rng([seed, int(1000 * loss), int(1000 * correlation)])
    slices = pd.DataFrame(
        {
            "sex": rng.choice(["male", "female"], GOLDEN_ROWS, p=[0.64, 0.36]),
            "pclass": rng.choice([1, 2, 3], GOLDEN_ROWS, p=[0.25, 0.21, 0.54]),
        }
    )
    golden = scored(rng, "golden dataset", GOLDEN_ROWS, loss, correlation)
    fresh = scored(rng, "validation split", FRESH_ROWS, loss, correlation)
    return compare(golden, fresh, slices, Drift([]), GateSettings(seed=seed))


def measure(loss: float, correlation: float) -> dict[str, float]:
    """Give the share of refusals over all trials, and the seconds of a decision."""
    start = time.perf_counter()
    verdicts = [trial(seed, loss, correlation) for seed in range(TRIALS)]
    return {
        "true_loss": loss,
        "correlation": correlation,
        "trials": TRIALS,
        "refused_share": sum(not verdict.blessed for verdict in verdicts) / TRIALS,
        "median_standard_error": float(np.median([v.golden.standard_error for v in verdicts])),
        "seconds_a_decision": (time.perf_counter() - start) / TRIALS,
    }


def main() -> None:
    """Print one JSON line a case."""
    for loss, correlation in CASES:
        print(json.dumps(measure(loss, correlation)), flush=True)


if __name__ == "__main__":
    main()
