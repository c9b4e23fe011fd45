"""Fit an encoder and boosted trees, and write both as one model that scores by itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.train_model.graph import OUTPUT, build_graph
from dalsegno.boosting import check_hyper_parameters, fit_booster, matrix
from dalsegno.encoding import Array, Encoder, fit_encoder, read_inputs
from dalsegno.errors import InputError, TaskFailedError
from dalsegno.labels import Labels, read_labels, stratified_folds
from dalsegno.model import TOLERANCE, open_session
from dalsegno.monitoring.auc import auc, roc_curve
from dalsegno.monitoring.baseline import sketch_model
from dalsegno.scores import log_loss

FOLDS = 5
EXAMPLE_ROWS = 7


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        features: Columns to learn from, in order.
        hyper_parameters: Those of `dalsegno.boosting.DEFAULTS` that shall be others.
        entity: Column that tells the rows apart; never a feature.
        target: Label column, 0 or 1; never a feature.
        impute_by: Number column to the text column whose groups' medians fill it in.
        seed: Of row and column samples and of folds.
    """

    features: list[str]
    hyper_parameters: dict[str, float]
    entity: str
    target: str
    impute_by: dict[str, str]
    seed: int = 0


@dataclass(frozen=True)
class Lineage:
    """Where a model comes from: data set reference, digests (SHA-256) and commit; "" if unknown."""

    dataset: str = ""
    dataset_digest: str = ""
    features_digest: str = ""
    commit: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """What training gives.

    Attributes:
        settings: As they came, hyper-parameters completed.
        encoder: Fitted on the training split.
        booster: XGBoost UBJSON, cut after the best iteration.
        graph: Encoder and trees in ONNX.
        threshold: Class 1 from this probability on (0-1).
        baseline: Sketches of the inputs and of held-out probabilities.
        example: Rows and the probabilities they must get.
        metrics: On the validation split `auc` (0-1) and `log_loss`; `rows`, trained on;
            `best_iteration`, from 0.
    """

    settings: TrainingSettings
    encoder: Encoder
    booster: bytes
    graph: bytes
    threshold: float
    baseline: dict[str, Any]
    example: dict[str, Any]
    metrics: dict[str, float]


def train(
    train: pd.DataFrame, validation: pd.DataFrame, settings: TrainingSettings
) -> TrainedModel:
    """Fit on the training split; the validation split ends the boosting.

    Raises:
        InputError: Columns, labels or hyper-parameters are not as they must be.
        TaskFailedError: The ONNX graph does not score like XGBoost.
    """
    settings = _check_settings(settings)
    labels = read_labels("training split", train, settings.target, each=FOLDS)
    checks = read_labels("validation split", validation, settings.target, each=1)
    encoder = fit_encoder(train, settings.features, settings.impute_by)
    values, held_out = encoder.transform(train), encoder.transform(validation)
    booster = _fit(values, labels, held_out, checks, settings)
    scores = booster.predict(matrix(held_out))
    graph = build_graph(encoder, booster)
    session = open_session(graph)
    probes = _with_gaps(validation, list(encoder.inputs))
    check_graph(session, encoder, probes, booster.predict(matrix(encoder.transform(probes))))
    folded = _cross_predict(values, labels, booster.num_boosted_rounds(), settings)
    rows = pd.concat([train, validation], ignore_index=True)[list(encoder.inputs)]
    probabilities = np.concatenate([folded, scores])
    return TrainedModel(
        settings=settings,
        encoder=encoder,
        booster=bytes(booster.save_raw("ubj")),
        graph=graph,
        threshold=youden_threshold(np.concatenate([labels, checks]), probabilities),
        baseline=sketch_model(
            rows.assign(**{OUTPUT: probabilities}),
            np.concatenate([labels, checks]),
            seed=settings.seed,
        ),
        example=_example(session, encoder, validation),
        metrics={
            "auc": auc(checks, scores),
            "log_loss": log_loss(checks, scores),
            "rows": len(train),
            "best_iteration": booster.num_boosted_rounds() - 1,
        },
    )


def youden_threshold(labels: Array, probabilities: Array) -> float:
    """Pick the threshold with the largest true less false positive rate.

    That is Youden's J (Youden, "Index for rating diagnostic tests", 1950): both kinds of error
    weigh alike, whatever the share of positives. It lies half-way between two probabilities that
    came up; of equals the one next to 0.5 is taken.
    """
    false_rates, true_rates = roc_curve(labels, probabilities)
    gains = (true_rates - false_rates)[1:]
    found = np.unique(np.asarray(probabilities, dtype=float))[::-1]
    between = (found + np.append(found[1:], 0.0)) / 2
    best = between[gains >= gains.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def check_graph(session: Any, encoder: Encoder, frame: pd.DataFrame, wanted: Array) -> None:
    """Compare an ONNX session's probabilities of rows with XGBoost's.

    Raises:
        TaskFailedError: They are apart by more than 1e-5.
    """
    got = session.run([OUTPUT], read_inputs(frame, encoder.inputs))[0]
    apart = float(np.abs(got - wanted).max())
    if not apart <= TOLERANCE:
        raise TaskFailedError(
            f"ONNX graph: got probabilities {apart:.2g} off XGBoost's, want at most {TOLERANCE:g}"
        )


def model_files(model: TrainedModel, lineage: Lineage) -> dict[str, bytes]:
    """Lay out the model folder: content by file name, the same bytes for the same model."""
    inputs = [
        {"name": name, "datatype": datatype} for name, datatype in model.encoder.inputs.items()
    ]
    settings = model.settings
    signature = {
        "inputs": inputs,
        "outputs": [{"name": OUTPUT, "datatype": "FP32"}],
        "entity": settings.entity,
        "target": settings.target,
    }
    training = {
        "hyper_parameters": settings.hyper_parameters,
        "features": settings.features,
        **asdict(lineage),
        "seed": settings.seed,
        "rows": int(model.metrics["rows"]),
        "best_iteration": int(model.metrics["best_iteration"]),
        "threshold": model.threshold,
    }
    return {
        "model.onnx": model.graph,
        "model.ubj": model.booster,
        "encoder.json": _json(asdict(model.encoder)),
        "signature.json": _json(signature),
        "training.json": _json(training),
        "baseline.json": _json(model.baseline),
        "example.json": _json(model.example),
    }


def _check_settings(settings: TrainingSettings) -> TrainingSettings:
    known = {settings.entity, settings.target} & set(settings.features)
    if known:
        raise InputError(f"features: got {sorted(known)}, want neither entity nor target")
    hyper_parameters = check_hyper_parameters(settings.hyper_parameters)
    return TrainingSettings(**{**vars(settings), "hyper_parameters": hyper_parameters})


def _fit(
    values: Array, labels: Labels, held_out: Array, checks: Labels, settings: TrainingSettings
) -> Any:
    booster = fit_booster(
        matrix(values, labels),
        settings.hyper_parameters,
        seed=settings.seed,
        validation=matrix(held_out, checks),
    )
    return booster[: booster.best_iteration + 1]


def _cross_predict(values: Array, labels: Labels, rounds: int, settings: TrainingSettings) -> Array:
    """Score each training row by trees that were fitted without it.

    Drift is measured against these: the model's own probabilities of rows that it was fitted on
    are further apart than those of new rows will ever be.
    """
    folds = stratified_folds(labels, FOLDS, seed=settings.seed)
    scores = np.empty(len(labels), dtype=np.float32)
    for fold in range(FOLDS):
        rest, out = folds != fold, folds == fold
        booster = fit_booster(
            matrix(values[rest], labels[rest]),
            {**settings.hyper_parameters, "rounds": rounds},
            seed=settings.seed,
        )
        scores[out] = booster.predict(matrix(values[out]))
    return scores


def _with_gaps(frame: pd.DataFrame, inputs: list[str]) -> pd.DataFrame:
    """Give the rows, and again with one value missing in each: every input has its turn."""
    rows = frame[inputs].astype(object)
    gaps = np.eye(len(inputs), dtype=bool)[np.arange(len(rows)) % len(inputs)]
    return pd.concat([rows, rows.mask(gaps)], ignore_index=True)


def _example(session: Any, encoder: Encoder, frame: pd.DataFrame) -> dict[str, Any]:
    """Choose rows for the self-test: the first of the frame, and one in which all is missing."""
    rows = frame.head(EXAMPLE_ROWS).reindex(columns=list(encoder.inputs))
    blank = pd.DataFrame([dict.fromkeys(encoder.inputs)])
    columns = {
        name: np.concatenate([values, read_inputs(blank, {name: encoder.inputs[name]})[name]])
        for name, values in read_inputs(rows, encoder.inputs).items()
    }
    cells = {name: [_cell(value) for value in values[:, 0]] for name, values in columns.items()}
    return {
        "rows": [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)],
        "probability": [float(value) for value in session.run([OUTPUT], columns)[0]],
    }


def _cell(value: Any) -> str | float | None:
    if isinstance(value, str):
        return value or None
    return None if np.isnan(value) else float(value)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()
