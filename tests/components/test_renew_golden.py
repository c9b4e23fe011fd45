"""`renew_golden` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.renew_golden.component import renew_golden
from dalsegno.store import Store


def test_golden_changes_only_when_asked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)

    def settle(age: int, *, renew: bool) -> tuple[str, list[int]]:
        candidate = dsl.Dataset(uri=str(tmp_path / f"candidate-{age}"))
        golden = dsl.Dataset(uri=str(tmp_path / f"golden-{age}"))
        pd.DataFrame({"age": [age]}).to_parquet(candidate.path)
        ref: str = renew_golden.python_func(candidate, golden, name="golden", renew=renew)
        return ref, pd.read_parquet(golden.path)["age"].tolist()

    assert settle(1, renew=False) == ("golden@1", [1])
    assert settle(2, renew=False) == ("golden@1", [1])
    assert settle(3, renew=True) == ("golden@2", [3])
