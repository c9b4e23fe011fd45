"""`roll_back` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.roll_back.component import roll_back
from dalsegno import releases
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
