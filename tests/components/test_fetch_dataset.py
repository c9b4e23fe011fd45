"""`fetch_dataset` and `publish_dataset` by their KFP edges."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kfp import dsl

from components.fetch_dataset.component import fetch_dataset
from dalsegno import datasets
from dalsegno.errors import InputError, NotFoundError
from dalsegno.store import Store


def test_dataset_comes_with_its_exact_reference(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    for number in (1, 2):
        pd.DataFrame({"age": [number]}).to_parquet(tmp_path / "rows")
        datasets.publish(store, "rows", tmp_path / "rows")
    data = dsl.Dataset(uri=str(tmp_path / "latest"))
    assert fetch_dataset.python_func(data, "rows") == ("rows@2", "")
    assert data.metadata["dataset"] == "rows@2"
    assert pd.read_parquet(data.path)["age"].tolist() == [2]
    first = dsl.Dataset(uri=str(tmp_path / "first"))
    assert fetch_dataset.python_func(first, "rows@1") == ("rows@1", "")
    assert pd.read_parquet(first.path)["age"].tolist() == [1]


def test_unknown_dataset_names_the_known(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    with pytest.raises(NotFoundError, match="want one of: none is published yet"):
        fetch_dataset.python_func(dsl.Dataset(uri=str(tmp_path / "x")), "rows")


def test_no_name_gives_no_data_where_that_may_be(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DALSEGNO_STORE_URI", store.uri)
    data = dsl.Dataset(uri=str(tmp_path / "x"))
    with pytest.raises(InputError, match="got '', want 'name' or 'name@number'"):
        fetch_dataset.python_func(data, "")
    assert not Path(data.path).exists()
    assert fetch_dataset.python_func(data, "", is_optional=True) == ("", "")
    assert list(Path(data.path).iterdir()) == []
