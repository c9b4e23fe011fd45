"""`fetch_champion` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pytest
from kfp import dsl

from components.fetch_champion.component import fetch_champion
from dalsegno import releases
from dalsegno.store import Store, digest_of
from tests.model_folder import make_model


def test_champion_comes_as_released(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    path = make_model(tmp_path / "a")
    releases.promote(store, "titanic", path, reason="", who="anna")
    champion = dsl.Model(uri=str(tmp_path / "champion"))
    assert fetch_champion.python_func(champion, "titanic") == 1
    assert digest_of(tmp_path / "champion") == digest_of(path)
    assert champion.metadata["release"] == 1


def test_no_champion_is_an_empty_folder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    champion = dsl.Model(uri=str(tmp_path / "champion"))
    assert fetch_champion.python_func(champion, "titanic") == 0
    assert list((tmp_path / "champion").iterdir()) == []
