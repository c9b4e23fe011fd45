from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from dalsegno import datasets
from dalsegno.errors import InfrastructureError, InputError, NotFoundError
from dalsegno.store import Store, digest_of, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def table(path: Path, rows: int) -> Path:
    pd.DataFrame({"passenger_id": range(rows)}).to_parquet(path)
    return path


def test_publish_counts_versions_from_one(store: Store, tmp_path: Path) -> None:
    first = datasets.publish(store, "titanic", table(tmp_path / "a", 3), run_id="7f3a")
    second = datasets.publish(store, "titanic", table(tmp_path / "b", 4), metadata={"why": "x"})
    assert (first.ref, first.rows, first.run_id) == ("titanic@1", 3, "7f3a")
    assert (second.ref, second.rows, second.metadata) == ("titanic@2", 4, {"why": "x"})
    assert second.sha256 == digest_of(tmp_path / "b").sha256
    assert json.loads(store.get("datasets/titanic/2.json"))["number"] == 2
    assert store.stat(f"datasets/sha256/{second.sha256}").size_bytes == second.size_bytes


def test_publish_of_the_latest_content_changes_nothing(store: Store, tmp_path: Path) -> None:
    a, b = table(tmp_path / "a", 3), table(tmp_path / "b", 4)
    assert datasets.publish(store, "t", a) == datasets.publish(store, "t", a)
    datasets.publish(store, "t", b)
    assert datasets.publish(store, "t", a).ref == "t@3"
    assert [version.rows for version in datasets.versions(store, "t")] == [3, 4, 3]


def test_reference_finds_latest_or_numbered(store: Store, tmp_path: Path) -> None:
    first = datasets.publish(store, "t", table(tmp_path / "a", 3))
    second = datasets.publish(store, "t", table(tmp_path / "b", 4))
    assert datasets.resolve(store, "t") == second
    assert datasets.resolve(store, "t@1") == first
    assert datasets.names(store) == ["t"]


def test_unknown_reference_names_the_known(store: Store, tmp_path: Path) -> None:
    datasets.publish(store, "titanic", table(tmp_path / "a", 3))
    with pytest.raises(NotFoundError, match="want one of: titanic"):
        datasets.resolve(store, "britannic")
    with pytest.raises(NotFoundError, match="version 2, want one of: 1"):
        datasets.resolve(store, "titanic@2")


@pytest.mark.parametrize("ref", ["", "t@", "t@0", "t@x", "t@1@2", "../t", "a/b@1", "sha256"])
def test_wrong_reference_is_refused(store: Store, ref: str) -> None:
    with pytest.raises(InputError, match="data set"):
        datasets.resolve(store, ref)


def test_fetch_brings_file_or_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    table(tmp_path / "folder/tickets.parquet", 2)
    datasets.publish(store, "file", table(tmp_path / "a", 3))
    assert datasets.publish(store, "folder", tmp_path / "folder").rows is None
    datasets.fetch(store, "file", tmp_path / "got/a")
    datasets.fetch(store, "folder@1", tmp_path / "got/folder")
    assert (tmp_path / "got/a").read_bytes() == (tmp_path / "a").read_bytes()
    assert digest_of(tmp_path / "got/folder") == digest_of(tmp_path / "folder")


def test_fetch_refuses_tampered_content(store: Store, tmp_path: Path) -> None:
    version = datasets.publish(store, "t", table(tmp_path / "a", 3))
    store.put(f"datasets/sha256/{version.sha256}", b"tampered")
    with pytest.raises(InfrastructureError, match="SHA-256"):
        datasets.fetch(store, "t", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_publish_completes_torn_content(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.parquet", "b.parquet"):
        table(tmp_path / "folder" / name, 2)
    digest = digest_of(tmp_path / "folder")
    store.put(f"datasets/sha256/{digest.sha256}/a.parquet", b"")
    datasets.publish(store, "t", tmp_path / "folder")
    datasets.fetch(store, "t", tmp_path / "got")
    assert digest_of(tmp_path / "got") == digest


def test_publishers_at_once_take_one_number_each(store: Store, tmp_path: Path) -> None:
    paths = [table(tmp_path / str(rows), rows) for rows in range(1, 7)]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda path: datasets.publish(store, "t", path), paths))
    assert sorted(version.number for version in got) == [1, 2, 3, 4, 5, 6]
    assert sorted(version.rows or 0 for version in datasets.versions(store, "t")) == list(
        range(1, 7)
    )


def test_publish_refuses_a_torn_parquet_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="torn Parquet"):
        datasets.publish(store, "t", tmp_path / "a")
    assert list(store.list()) == []
