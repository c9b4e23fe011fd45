"""`register_model` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pytest
from kfp import dsl

from components.register_model.component import register_model
from dalsegno import registry
from tests.model_folder import make_model


def test_register_model_makes_a_challenger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", str(tmp_path / "store"))
    model = dsl.Model(uri=str(make_model(tmp_path / "model")))
    metrics = dsl.Metrics(metadata={"auc": 0.8})
    assert register_model.python_func(model, metrics, name="titanic", run_id="r1") == "1"
    assert register_model.python_func(model, metrics, name="titanic", run_id="r1") == "1"
    (version,) = registry.versions("titanic")
    assert (version.source, version.aliases) == (model.uri, ["challenger"])
    assert version.metrics == {"auc": 0.8}
    assert (tmp_path / "store" / "mlflow.db").is_file()
