"""Answers of a model, made by hand, to log."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dalsegno.model import ScoringModel
from dalsegno.releases import Release
from dalsegno.serving.endpoint import Prediction, Served
from dalsegno.serving.identity import new_id


def served(path: Path, release: Release, role: str = "champion") -> Served:
    """Return a release with its model loaded."""
    return Served(release, ScoringModel.load(path), role)


def answer(by: Served, *rows: tuple[str, float | None], **given: Any) -> Prediction:
    """Let a model answer rows of sex and age."""
    inputs = {
        "sex": np.array([[sex] for sex, _ in rows], dtype=object),
        "age": np.array([[np.nan if age is None else age] for _, age in rows], dtype=np.float32),
    }
    made = Prediction(
        id=new_id(),
        request_id="",
        served=by,
        inputs=inputs,
        probabilities=by.model.run(inputs),
        at=time.time(),
        seconds=0.001,
        caller="",
        key="",
    )
    return replace(made, **given)
