"""What the gate is told, measures and decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dalsegno.monitoring.sketch import Array

POWER = 0.9


@dataclass(frozen=True)
class GateSettings:
    """What the challenger has to prove; AUCs and shares are 0-1.

    Attributes:
        min_auc: Floor on the golden dataset, with or without a champion.
        margin: Loss of AUC against the champion that must be ruled out.
        slice_margin: Loss of AUC within a slice that must not be shown.
        confidence: With which such losses are ruled out or shown, one-sided: the bounds at 0.95
            are those of a two-sided 90% interval, as in any test of equivalence (Schuirmann, 1987).
        bootstraps: Draws an interval.
        seed: Of the draws.
        min_golden_rows: Fewer rows cannot bless.
        min_slice_rows: A slice with fewer positives or fewer negatives is not judged.
        max_drift_share: The golden dataset is stale when so many of its features have drifted
            from the fresh validation split.
    """

    min_auc: float = 0.75
    margin: float = 0.01
    slice_margin: float = 0.05
    confidence: float = 0.95
    bootstraps: int = 1000
    seed: int = 0
    min_golden_rows: int = 5000
    min_slice_rows: int = 50
    max_drift_share: float = 0.3


@dataclass(frozen=True)
class Scored:
    """Labels (0 or 1) and both models' scores of one dataset, each of shape (n,).

    `champion` is None when there is none yet.
    """

    name: str
    labels: Array
    challenger: Array
    champion: Array | None = None


@dataclass(frozen=True)
class Difference:
    """Challenger's AUC minus champion's, with one-sided bounds and the standard error."""

    rows: int
    auc_champion: float
    auc_challenger: float
    difference: float
    lower: float
    upper: float
    standard_error: float


@dataclass(frozen=True)
class SliceResult:
    """One slice of the golden dataset; the p-value (Holm-adjusted) is of a loss past the margin."""

    column: str
    value: str
    rows: int
    positives: int
    auc_champion: float | None = None
    auc_challenger: float | None = None
    difference: float | None = None
    p_value: float | None = None
    judged: bool = False
    worse: bool = False


@dataclass(frozen=True)
class Power:
    """What the golden dataset can show.

    Attributes:
        detectable_loss: Smallest true loss of AUC that is refused with 90% probability.
        equal_refused: Probability (0-1) that an equal challenger is refused.
    """

    detectable_loss: float
    equal_refused: float

    def __str__(self) -> str:
        return (
            f"a true loss of {self.detectable_loss:.4f} AUC is refused with {POWER:.0%} "
            f"probability, an equal challenger with {self.equal_refused:.1%}"
        )


@dataclass(frozen=True)
class Verdict:
    """The gate's decision with its evidence; `reasons` are given also when blessed."""

    blessed: bool
    reasons: list[str]
    golden_rows: int
    auc_challenger: float
    auc_champion: float | None
    margin: float
    confidence: float
    golden: Difference | None
    validation: Difference | None
    power: Power | None
    slices: list[SliceResult] = field(default_factory=list)
    drift_share: float = 0.0
    drifted: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give the verdict as the artifact has it; `interval` repeats the golden bounds."""
        interval = [self.golden.lower, self.golden.upper] if self.golden else None
        statement = str(self.power) if self.power else None
        return {**asdict(self), "interval": interval, "power_statement": statement}
