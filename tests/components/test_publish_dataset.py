"""`publish_dataset` by its KFP edge."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.publish_dataset.component import publish_dataset
from dalsegno import datasets
from dalsegno.store import Store


def test_publish_dataset_makes_one_version_a_content(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    refs = []
    for age in (30, 30, 31):
        pd.DataFrame({"age": [age, age]}).to_parquet(tmp_path / "rows")
        data = dsl.Dataset(uri=str(tmp_path / "rows"), metadata={"features_digest": "5a1"})
        refs.append(publish_dataset.python_func(data, "rows", run_id="r1"))
    assert refs == [(ref, f"dataset://{ref}", "5a1") for ref in ("rows@1", "rows@1", "rows@2")]
    version = datasets.resolve(store, "rows")
    assert (version.rows, version.run_id, version.metadata) == (2, "r1", {"features_digest": "5a1"})
