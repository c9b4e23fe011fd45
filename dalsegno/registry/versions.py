"""Versions of registered models, and which of them is challenger and champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalsegno.errors import InputError
from dalsegno.registry.connection import EXISTS, MISSING, connect, mlflow_error
from dalsegno.store import digest_of
from dalsegno.store.keys import check_name

CHAMPION, CHALLENGER = "champion", "challenger"
MODEL_SHA256, RUN_ID = "model_sha256", "run_id"
_FROM_TRAINING = ("dataset", "dataset_digest", "features_digest", "commit", "seed", "rows")
_MAX_VALUE = 500


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name: Name of the registered model.
        version: From 1, as text.
        source: Where its files are.
        tags: Digest of the model, run, data set and its digest, commit.
        aliases: `champion` or `challenger`, if it is that.
        metrics: As they were registered.
    """

    name: str
    version: str
    source: str
    tags: dict[str, str]
    aliases: list[str]
    metrics: dict[str, float]


def register(
    model_path: Path,
    *,
    name: str,
    metrics: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str = "",
    source: str | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Record how a model was trained, and make it the newest version, the challenger.

    The same model out of the same run is registered once.

    Args:
        model_path: Model folder; `training.json` gives parameters and tags.
        name: Name of the registered model.
        metrics: Numbers by name; anything else among them is passed over.
        tags: To keep besides those of `training.json`.
        run_id: Run that trained it.
        source: Where the folder can be fetched; its path if not given.
        tracking_uri: MLflow's tracking URI; that of the settings if not given.

    Returns:
        The version.

    Raises:
        InputError: The name is not allowed, or the folder has no readable `training.json`.
        InfrastructureError: MLflow cannot be reached, or fails.
    """
    training = _training(model_path, check_name(name, "registered model"))
    identity = {MODEL_SHA256: digest_of(model_path).sha256, RUN_ID: run_id}
    described = {key: str(training[key]) for key in _FROM_TRAINING if training.get(key) is not None}
    with connect(tracking_uri) as client:
        known = _find(client, name, identity)
        if known:
            return known
        mlflow_run = _record(
            client, name, training, metrics or {}, {**described, **(tags or {}), **identity}
        )
        _ensure_model(client, name)
        made = client.create_model_version(
            name, source or str(model_path), mlflow_run, tags={**described, **identity}
        )
        client.set_registered_model_alias(name, CHALLENGER, made.version)
        return str(made.version)


def set_champion(name: str, version: str, *, tracking_uri: str | None = None) -> None:
    """Point the alias `champion` to a version; it is no challenger any more.

    Raises:
        NotFoundError: There is no such version.
        InfrastructureError: MLflow cannot be reached, or fails.
    """
    with connect(tracking_uri) as client:
        client.set_registered_model_alias(name, CHAMPION, version)
        aliases = client.get_registered_model(name).aliases
        if str(aliases.get(CHALLENGER)) == version:
            client.delete_registered_model_alias(name, CHALLENGER)


def set_challenger(name: str, version: str, *, tracking_uri: str | None = None) -> None:
    """Point the alias `challenger` to a version.

    Raises:
        NotFoundError: There is no such version.
        InfrastructureError: MLflow cannot be reached, or fails.
    """
    with connect(tracking_uri) as client:
        client.set_registered_model_alias(name, CHALLENGER, version)


def versions(name: str, *, tracking_uri: str | None = None) -> list[ModelVersion]:
    """Return every version of a registered model, oldest first; an empty list if there is none."""
    with connect(tracking_uri) as client:
        try:
            aliases = client.get_registered_model(name).aliases
        except mlflow_error() as error:
            if error.error_code != MISSING:
                raise
            return []
        found = client.search_model_versions(f"name = '{name}'", max_results=1000)
        return sorted(
            (_version(client, item, aliases) for item in found), key=lambda item: int(item.version)
        )


def _version(client: Any, item: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(
        item.name,
        str(item.version),
        item.source,
        dict(item.tags),
        sorted(alias for alias, version in aliases.items() if str(version) == str(item.version)),
        dict(client.get_run(item.run_id).data.metrics),
    )


def _training(model_path: Path, name: str) -> dict[str, Any]:
    import json

    try:
        document = json.loads((model_path / "training.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"model {name!r}: got no readable training.json in {model_path.name!r}, want one"
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"model {name!r}: got no object in training.json, want one")
    return document


def _find(client: Any, name: str, identity: Mapping[str, str]) -> str | None:
    if not identity[RUN_ID]:
        return None
    wanted = f"name = '{name}' AND tags.`{MODEL_SHA256}` = '{identity[MODEL_SHA256]}'"
    for found in client.search_model_versions(wanted):
        if found.tags.get(RUN_ID) == identity[RUN_ID]:
            return str(found.version)
    return None


def _record(
    client: Any,
    name: str,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    from mlflow.entities import Metric, Param, RunTag

    run = client.create_run(_experiment(client, name), run_name=tags.get(RUN_ID) or None)
    parameters = {"threshold": training.get("threshold"), **training.get("hyper_parameters", {})}
    at = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, at, 0) for key, value in _numbers(metrics)],
        params=[Param(key, str(value)[:_MAX_VALUE]) for key, value in parameters.items()],
        tags=[RunTag(key, value[:_MAX_VALUE]) for key, value in tags.items()],
    )
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, float(value)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except mlflow_error() as error:
            if error.error_code != EXISTS:
                raise
            found = client.get_experiment_by_name(name)
    return str(found.experiment_id)


def _ensure_model(client: Any, name: str) -> None:
    try:
        client.create_registered_model(name)
    except mlflow_error() as error:
        if error.error_code != EXISTS:
            raise
