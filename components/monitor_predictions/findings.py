"""What monitoring is told and what it finds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dalsegno.errors import InputError
from dalsegno.monitoring.drift import Drift, DriftSettings
from dalsegno.monitoring.policy import Action, Alarm


@dataclass(frozen=True)
class MonitorSettings:
    """When a finding becomes an alarm: it must be sure, and it must be large.

    Attributes:
        drift: Of the columns.
        design_effect: Rows that count as one where labels and scores are averaged; they are less
            alike within a family than the columns that describe it.
        alpha: Chance (0-1) of any false alarm in one batch, for quality and for bias each.
        quality_floor: Loss of AUC against the baseline that is never an alarm; three times that
            where the reference is only what the scores promise.
        bias_floor: Gap of a slice's mean score, calibration or AUC that is never an alarm.
        null_floor: Share (0-1) of nulls in a feature that is a break where none were before.
        min_labels: Fewer positives or fewer negatives are not judged.
    """

    drift: DriftSettings = field(default_factory=DriftSettings)
    design_effect: float = 2.0
    alpha: float = 0.001
    quality_floor: float = 0.03
    bias_floor: float = 0.1
    null_floor: float = 0.4
    min_labels: int = 30


@dataclass(frozen=True)
class Baseline:
    """What the champion's folder says about itself.

    Attributes:
        sketch: Of its features and of `probability`.
        features: Columns it reads.
    """

    sketch: dict[str, Any]
    features: list[str]

    @classmethod
    def read(cls, folder: Path) -> Baseline:
        """Read `baseline.json` and `signature.json` of a model folder.

        Raises:
            InputError: One is not there; the folder of no champion is empty.
        """
        names = ("baseline.json", "signature.json")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise InputError(
                f"model folder: got no {missing}, want a champion's",
                next_command="dalsegno run training",
            )
        sketch, signature = (json.loads((folder / name).read_text()) for name in names)
        return cls(sketch, features=[column["name"] for column in signature["inputs"]])


@dataclass(frozen=True)
class Quality:
    """AUC, calibration and loss of a labelled batch.

    Attributes:
        wanted_auc: The stored AUC, or the one that the scores promise (`promised`).
        floor: Loss of AUC that is no alarm yet.
        p_value: Of no loss.
        calibration: Bins of equal rows: rows, mean score, share of positives.
    """

    rows: int
    positives: int
    auc: float
    auc_error: float
    wanted_auc: float
    promised: bool
    floor: float
    p_value: float
    mean_score: float
    positive_rate: float
    log_loss: float
    calibration: list[dict[str, float]]


@dataclass(frozen=True)
class Gap:
    """How far a slice is from its reference.

    Attributes:
        kind: `score`: mean score minus that of the same slice in the baseline; `calibration`:
            share of positives minus mean score; `auc`: AUC minus that of the same slice.
        p_value: Of no gap; adjusted for all gaps of all slices (Holm).
        biased: Whether the gap is sure and large.
    """

    kind: str
    size: float
    p_value: float
    biased: bool = False


@dataclass(frozen=True)
class SliceFinding:
    """One slice of the batch; what needs labels is None without enough of them.

    Attributes:
        decided_rate: Share (0-1) of rows decided as class 1.
        gaps: Those that could be measured.
    """

    column: str
    value: str
    rows: int
    decided_rate: float
    mean_score: float
    positive_rate: float | None = None
    auc: float | None = None
    gaps: list[Gap] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """Everything found in one batch."""

    rows: int
    alarms: list[Alarm]
    action: Action
    drift: Drift
    quality: Quality | None
    slices: list[SliceFinding]

    def metrics(self) -> dict[str, float]:
        """Give the batch in a few numbers."""
        numbers = {
            "rows": float(self.rows),
            "alarms": float(len(self.alarms)),
            "drift_share": self.drift.drift_share,
        }
        if self.quality:
            numbers |= {"auc": self.quality.auc, "log_loss": self.quality.log_loss}
        return numbers
