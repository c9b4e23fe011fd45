"""`promote_model` by its KFP edge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.promote_model.component import promote_model
from dalsegno import registry, releases
from dalsegno.errors import InputError
from dalsegno.store import Store
from tests.model_folder import make_model


@pytest.fixture
def settled(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The test's store, as the settings name it."""
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    return store


def promote(tmp_path: Path, verdict: dict[str, Any], version: str = "") -> int:
    (tmp_path / "verdict").write_text(json.dumps(verdict))
    if not (tmp_path / "model").exists():
        make_model(tmp_path / "model")
    number: int = promote_model.python_func(
        dsl.Model(uri=str(tmp_path / "model")),
        dsl.Artifact(uri=str(tmp_path / "verdict")),
        endpoint="titanic",
        golden="golden@2",
        version=version,
    )
    return number


def test_blessed_model_is_released_once(settled: Store, tmp_path: Path) -> None:
    verdict = {"blessed": True, "reasons": ["no worse"]}
    assert [promote(tmp_path, verdict), promote(tmp_path, verdict)] == [1, 1]
    made = releases.live(settled, "titanic")
    assert made is not None
    assert (made.evidence, made.golden, made.who) == (verdict, "golden@2", "pipeline")


@pytest.mark.parametrize(
    "verdict",
    [{"blessed": False, "reasons": ["auc 0.6 below 0.75"]}, {"blessed": "false"}, {}],
    ids=["refused", "text", "empty"],
)
def test_refused_model_is_not_released(
    settled: Store, tmp_path: Path, verdict: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=r"got a refusal \(.*\), want blessed"):
        promote(tmp_path, verdict)
    assert releases.live(settled, "titanic") is None


def test_alias_that_failed_is_repaired_by_the_next_command(
    settled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = f"sqlite:///{tmp_path}/mlflow.db"
    path = make_model(tmp_path / "model")
    version = registry.register(path, name="titanic", tracking_uri=working)
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", f"sqlite:///{tmp_path}/model/model.onnx")
    assert promote(tmp_path, {"blessed": True, "reasons": []}, version) == 1
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", working)
    assert releases.repair_if_behind(settled, "titanic")
    assert registry.versions("titanic")[0].aliases == ["champion"]
