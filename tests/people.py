"""Labelled people, drawn at random, with all that a model has to cope with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.train_model import logic

FEATURES = ["sex", "age", "title", "fare", "deck"]
SETTINGS = logic.TrainingSettings(
    FEATURES, {"rounds": 20}, "person_id", "survived", {"age": "title"}
)


def draw_people(rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw people who survive by sex and age: missing ages and decks, a constant and noise."""
    rng = np.random.default_rng(seed)
    is_woman, age = rng.random(rows) < 0.4, rng.uniform(1, 70, rows)
    title = np.where(age < 14, "child", np.where(is_woman, "mrs", "mr"))
    odds = 2.5 * is_woman - 1.5 + 1.5 * (age < 14)
    return pd.DataFrame(
        {
            "person_id": [f"p{number}" for number in range(rows)],
            "survived": (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int),
            "sex": np.where(is_woman, "female", "male"),
            "age": np.where(rng.random(rows) < 0.2, np.nan, age),
            "title": title,
            "fare": rng.lognormal(3, 1, rows),
            "deck": np.where(rng.random(rows) < 0.5, None, rng.choice(list("ABC"), rows)),
            "constant": 1,
        }
    )


def write_trained(path: Path, rows: int = 300) -> Path:
    """Train a model and write its folder."""
    trained = logic.train(draw_people(rows), draw_people(rows // 3, seed=1), SETTINGS)
    path.mkdir()
    for name, content in logic.model_files(trained, logic.Lineage()).items():
        (path / name).write_bytes(content)
    return path
