"""`roll_back` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.roll_back.component import roll_back
from dalsegno import registry, releases
from dalsegno.store import Store
from tests.model_folder import make_model


def test_roll_back_of_one_run_happens_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    for number in range(3):
        path = make_model(tmp_path / str(number), bias=number)
        releases.promote(store, "titanic", path, reason="", who="anna")
    assert [roll_back.python_func("titanic", "alarm", run_id="r1") for _ in range(2)] == [4, 4]
    made = releases.live(store, "titanic")
    assert made is not None
    assert (made.rolled_back_to, made.reason, made.who) == (2, "alarm", "pipeline")


def test_alias_that_failed_is_repaired_by_the_next_command(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", f"sqlite:///{tmp_path}/1/model.onnx")
    for number in range(2):
        path = make_model(tmp_path / str(number), bias=number)
        version = registry.register(path, name="titanic", tracking_uri=working)
        releases.promote(store, "titanic", path, reason="", who="anna", version=version)
    assert roll_back.python_func("titanic", "alarm") == 3
    monkeypatch.setenv("DALSEGNO_MLFLOW_URI", working)
    assert releases.repair_if_behind(store, "titanic")
    aliases = {item.version: item.aliases for item in registry.versions("titanic")}
    assert aliases == {"1": ["champion"], "2": ["challenger"]}
