"""Walks from a prediction back to all that made it: release, model, run, data set, SQL, commit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dalsegno import datasets, releases
from dalsegno.datasets import DatasetVersion
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.releases import Release
from dalsegno.runs.reader import find_run, task_records
from dalsegno.runs.record import RunRecord
from dalsegno.serving import history
from dalsegno.serving.history import LoggedPrediction
from dalsegno.store import Store

_TRAINING = "training.json"


@dataclass(frozen=True)
class Lineage:
    """Where a prediction comes from; None or "" where the trail ends.

    Attributes:
        prediction: As it was logged.
        shadow: Of the same request, what a challenger said in the shadow.
        release: That answered.
        training: How its model came about (`training.json`).
        run: That trained it.
        dataset: That it was trained on.
        features_run: That made the data set.
        sql: Text that made the data set, if the run that did is known.
        features_digest: Digest of that text and its settings.
        commit: Of the code that trained the model.
        gaps: What could not be followed, a line each.
    """

    prediction: LoggedPrediction
    shadow: LoggedPrediction | None
    release: Release
    training: dict[str, Any] = field(default_factory=dict)
    run: RunRecord | None = None
    dataset: DatasetVersion | None = None
    features_run: RunRecord | None = None
    sql: str = ""
    features_digest: str = ""
    commit: str = ""
    gaps: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, the prediction's rows included."""
        return {
            "prediction": _prediction(self.prediction),
            "shadow": _prediction(self.shadow) if self.shadow else None,
            "release": self.release.as_json(),
            "training": self.training,
            "run": _run(self.run),
            "dataset": asdict(self.dataset) if self.dataset else None,
            "features": {
                "digest": self.features_digest,
                "sql": self.sql,
                "run": _run(self.features_run),
            },
            "commit": self.commit,
            "gaps": self.gaps,
        }


def trace(store: Store, prediction_id: str, log_folder: Path | None = None) -> Lineage:
    """Follow a prediction back as far as the store's records reach.

    Args:
        store: Where log, releases, runs and data sets are.
        prediction_id: As the server's answer has it.
        log_folder: Where a server on this machine keeps what it has not moved yet.

    Raises:
        InputError: It is no id of a prediction.
        NotFoundError: There is no such prediction, or its release is gone.
    """
    found = history.find(store, prediction_id, log_folder)
    answered, shadow = found[0], found[1] if len(found) > 1 else None
    release = releases.find(store, answered.endpoint, answered.release)
    gaps: list[str] = []
    training = _follow(gaps, lambda: _training(store, release)) or {}
    run = _follow(gaps, lambda: find_run(store, release.run_id)) if release.run_id else None
    dataset = (
        _follow(gaps, lambda: datasets.resolve(store, release.dataset)) if release.dataset else None
    )
    features_run, sql = None, ""
    if dataset and dataset.run_id:
        features_run = _follow(gaps, lambda: find_run(store, dataset.run_id))
        sql = _follow(gaps, lambda: _sql(store, features_run, dataset)) if features_run else ""
    return Lineage(
        answered,
        shadow,
        release,
        training,
        run,
        dataset,
        features_run,
        sql or "",
        release.features_digest,
        str(training.get("commit") or (run.commit if run else "") or ""),
        gaps,
    )


def _follow(gaps: list[str], step: Any) -> Any:
    try:
        return step()
    except DalsegnoError as error:
        gaps.append(str(error))
        return None


def _training(store: Store, release: Release) -> dict[str, Any]:
    try:
        return dict(json.loads(store.get(f"{release.model_key}/{_TRAINING}")))
    except (ValueError, TypeError) as error:
        raise NotFoundError(
            f"model {release.model_sha256[:12]}: got a broken {_TRAINING}"
        ) from error


def _sql(store: Store, run: RunRecord, dataset: DatasetVersion) -> str:
    """Return the query of the task whose output the data set is."""
    for record in task_records(store, run):
        written = [item["sha256"] for items in record.outputs.values() for item in items]
        given = record.executor_input.get("inputs", {}).get("parameterValues", {})
        if dataset.sha256 in written and "sql" in given:
            return str(given["sql"])
    raise NotFoundError(f"run {run.run_id}: got no task whose `sql` made {dataset.ref}, want one")


def _run(run: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    names = ("run_id", "pipeline", "state", "created_at", "commit", "pipeline_sha256")
    return {name: getattr(run, name) for name in names}


def _prediction(logged: LoggedPrediction) -> dict[str, Any]:
    text = logged.rows.to_json(
        orient="records", date_format="iso", date_unit="us", double_precision=15
    )
    rows = json.loads(text)
    return {"id": logged.id, "place": logged.place, "redacted": logged.redacted, "rows": rows}
