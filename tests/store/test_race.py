from __future__ import annotations

import time
from pathlib import Path

import pytest

from dalsegno.errors import ConfigurationError, ConflictError, NotFoundError
from dalsegno.store import S3Access, open_store
from dalsegno.store.file import FileStore
from dalsegno.store.race import check_create_only
from tests.servers import BUCKET


class LooksFirst(FileStore):
    """Answers a second create with a conflict, and lets creators at one moment all win."""

    def create(self, key: str, data: bytes) -> None:
        try:
            self.stat(key)
        except NotFoundError:
            time.sleep(0.01)
            return self.put(key, data)
        raise ConflictError("exists")


class LosesQuietly(FileStore):
    """Lets one creator win, and keeps something else."""

    def create(self, key: str, data: bytes) -> None:
        super().create(key, b"other")


@pytest.mark.parametrize("kind", [LooksFirst, LosesQuietly])
def test_race_refuses_an_unsafe_store(kind: type[FileStore], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Releases are not safe here"):
        check_create_only(kind(tmp_path))
    assert list(kind(tmp_path).list()) == []


def test_race_trusts_a_folder(tmp_path: Path) -> None:
    check_create_only(FileStore(tmp_path), rounds=50)
    assert list(FileStore(tmp_path).list()) == []


def test_race_trusts_seaweedfs(s3_server: S3Access) -> None:
    store = open_store(f"s3://{BUCKET}/race", s3_server)
    check_create_only(store, rounds=2)
    assert list(store.list()) == []


def test_race_trusts_gcs(gcs_server: str) -> None:
    check_create_only(open_store(f"gs://{BUCKET}/race"))
