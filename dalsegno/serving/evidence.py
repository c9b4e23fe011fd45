"""Measures a canary against its champion, from the prediction log and the labels that have come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dalsegno.releases import Release, Standing
from dalsegno.serving import feedback, history
from dalsegno.store import Store

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: dict[str, Any] = {
    "prediction_id": str,
    "row": "int32",
    "at": "datetime64[us, UTC]",
    "release": int,
    "seconds": float,
    "error": str,
    "probability": float,
    "decision": float,
}
_BINS = 10
_LEAST_TIMED = 100  # answers of each, for a 99th percentile that says anything
_LEAST_LABELS = 10  # of each kind, for an AUC that says anything


class Evidence:
    """Reads what canary and champion have answered since the canary was made.

    Every batch is read once, however often it is measured.

    Args:
        store: Where the log is.
        standing: Champion and canary.

    Attributes:
        last_error: Why the canary last gave no answer, "" if it always did.
    """

    def __init__(self, store: Store, standing: Standing) -> None:
        if standing.canary is None:
            raise ValueError("a canary is needed")
        self._store = store
        self._champion: Release = standing.champion
        self._canary: Release = standing.canary
        self._since = datetime.fromisoformat(standing.canary.created_at)
        self._read: dict[str, pd.DataFrame] = {}
        self.last_error = ""

    def measure(self) -> dict[str, float | None]:
        """Measure everything that can be measured by now; the rest is None."""
        canary, champion = self._answers()
        sound, other = canary[canary["error"] == ""], champion[champion["error"] == ""]
        requests = canary["prediction_id"].nunique()
        errors = canary[canary["error"] != ""].sort_values("at")
        failed = errors["prediction_id"].nunique()
        self.last_error = str(errors["error"].iloc[-1]) if failed else ""
        p99, champion_p99 = _p99(sound), _p99(other)
        if self._canary.shadow:
            p99 = champion_p99 = None  # a shadow has no caller whose time would count
        return {
            "requests": float(requests),
            "errors": failed / requests if requests else None,
            "p99_ms": p99,
            "p99_ratio": p99 / champion_p99 if p99 and champion_p99 else None,
            "score_drift": _drift(other["probability"], sound["probability"]),
            "agreement": _agreement(other, sound) if self._canary.shadow else None,
            **self._quality(sound, other),
        }

    def _answers(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        import pandas as pd

        mine = {self._canary.number, self._champion.number}
        for batch in history.batches(self._store, self._canary.endpoint, self._since):
            if batch.release in mine and batch.key not in self._read:
                self._read[batch.key] = history.read_batch(self._store, batch.key, list(_COLUMNS))
        empty = pd.DataFrame(columns=list(_COLUMNS)).astype(_COLUMNS)
        frames = list(self._read.values())
        answers = pd.concat(frames, ignore_index=True) if frames else empty
        answers = answers[answers["at"] >= self._since]
        return (
            answers[answers["release"] == self._canary.number],
            answers[answers["release"] == self._champion.number],
        )

    def _quality(self, sound: pd.DataFrame, other: pd.DataFrame) -> dict[str, float | None]:
        endpoint, until = self._canary.endpoint, datetime.now(UTC)
        given = feedback.labels_between(self._store, endpoint, self._since, until)
        labelled = sound.merge(given, on=["prediction_id", "row"])
        auc = _auc(labelled)
        champion_auc = _auc(other.merge(given, on=["prediction_id", "row"]))
        loss = champion_auc - auc if auc is not None and champion_auc is not None else None
        return {"labels": float(len(labelled)), "auc": auc, "auc_loss": loss}


def _p99(answers: pd.DataFrame) -> float | None:
    times = answers.drop_duplicates("prediction_id")["seconds"].to_numpy(dtype=float)
    return float(np.percentile(times, 99)) * 1000 if len(times) >= _LEAST_TIMED else None


def _drift(reference: pd.Series[float], current: pd.Series[float]) -> float | None:
    """Give the population stability index over the reference's deciles."""
    if min(len(reference), len(current)) < _LEAST_TIMED:
        return None
    edges = np.unique(np.quantile(reference, np.arange(1, _BINS) / _BINS))
    shares = []
    for scores in (reference, current):
        rows = np.bincount(np.searchsorted(edges, scores), minlength=len(edges) + 1)
        shares.append((rows + 0.5) / (rows.sum() + 0.5 * len(rows)))  # an empty bin is no certainty
    before, after = shares
    return float(np.sum((after - before) * np.log(after / before)))


def _agreement(champion: pd.DataFrame, shadow: pd.DataFrame) -> float | None:
    both = champion.merge(shadow, on=["prediction_id", "row"])
    return float((both["decision_x"] == both["decision_y"]).mean()) if len(both) else None


def _auc(labelled: pd.DataFrame) -> float | None:
    """Give the share of pairs in which the positive scores higher (Mann and Whitney, 1947)."""
    labels = labelled["label"].to_numpy(dtype=float)
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    if min(positives, negatives) < _LEAST_LABELS:
        return None
    ranks = labelled["probability"].rank().to_numpy()
    above = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
