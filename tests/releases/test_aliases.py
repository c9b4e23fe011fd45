"""The alias in the registry follows; where it cannot, the release stands."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dalsegno import registry, releases
from dalsegno.errors import NotFoundError
from dalsegno.store import Store
from tests.model_folder import make_model


def test_alias_is_repaired_after_a_failure(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    path = make_model(tmp_path / "a")
    version = registry.register(path, name="titanic", tracking_uri=uri)
    made = releases.promote(store, "titanic", path, reason="", who="anna", version=version)
    with caplog.at_level(logging.WARNING, "dalsegno"):
        assert not releases.follow(made, tracking_uri=f"sqlite:///{tmp_path}/a/model.onnx")
    assert "Repair it: dalsegno releases titanic --repair" in caplog.text
    assert releases.live(store, "titanic") == made
    assert releases.repair(store, "titanic", tracking_uri=uri)
    assert registry.versions("titanic", tracking_uri=uri)[0].aliases == ["champion"]


def test_unregistered_model_needs_no_registry(store: Store, tmp_path: Path) -> None:
    made = releases.promote(store, "titanic", make_model(tmp_path / "a"), reason="", who="anna")
    assert releases.follow(made, tracking_uri="sqlite:////nowhere/mlflow.db")


def test_repair_of_unknown_endpoint_names_the_known(store: Store) -> None:
    with pytest.raises(NotFoundError, match="got no release yet"):
        releases.repair(store, "titanic")


def test_next_command_repairs_the_alias(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", uri)
    path = make_model(tmp_path / "a")
    version = registry.register(path, name="titanic")
    made = releases.promote(store, "titanic", path, reason="", who="anna", version=version)
    broken = f"sqlite:///{tmp_path}/a/model.onnx"
    assert not releases.follow(made, store=store, tracking_uri=broken)
    assert releases.repair_if_behind(store, "titanic")
    assert registry.versions("titanic")[0].aliases == ["champion"]
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", broken)
    assert releases.repair_if_behind(store, "titanic")  # nothing to do: MLflow is not asked
