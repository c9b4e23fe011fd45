"""Killed writers, broken connections, full disks."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dalsegno.errors import ConflictError, InfrastructureError
from dalsegno.store import S3Access, Store, digest_of, open_store
from tests.servers import BUCKET
from tests.store.proxy import BrokenLine
from tests.store.writer import is_whole

WRITER = Path(__file__).with_name("writer.py")
Broken = Callable[[list[int]], Store]


@pytest.fixture(params=["file", "s3", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, S3Access | None]:
    if request.param == "file":
        return str(tmp_path / "store"), None
    if request.param == "gcs":
        request.getfixturevalue("gcs_server")
        return f"gs://{BUCKET}/{uuid.uuid4()}", None
    return f"s3://{BUCKET}/{uuid.uuid4()}", request.getfixturevalue("s3_server")


def kill_writer(uri: str, access: S3Access | None, after_seconds: float) -> None:
    given = json.dumps(asdict(access) if access else None)
    writer = subprocess.Popen(
        [sys.executable, "-P", WRITER, uri, given], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert writer.stdout is not None
    with writer.stdout:
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(after_seconds)
        writer.kill()
    writer.wait()


def test_killed_writer_leaves_nothing_torn(place: tuple[str, S3Access | None]) -> None:
    uri, access = place
    store = open_store(uri, access)
    dice = random.Random(7)
    for _ in range(20 if access is None and "://" not in uri else 5):
        kill_writer(uri, access, dice.uniform(0, 0.25))
        found = list(store.list())
        assert [stat.key for stat in found if not is_whole(store.get(stat.key))] == []
        assert {stat.key.split("/")[0] for stat in found} <= {"put", "log", "folder", "large"}
    assert len(found) > 10


def test_killed_writer_leaves_folders_whole(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    for _ in range(3):
        kill_writer(store.uri, None, 0.1)
    names = store.folders("folder")
    assert len(names) > 0
    for name in names:
        assert [stat.key[-1] for stat in store.list(f"folder/{name}")] == ["a", "b", "c"]


def test_put_survives_deletes_beside_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))

    def work(worker: int) -> None:
        for _ in range(100):
            store.put(f"a/b/{worker}", b"1")
            assert store.get(f"a/b/{worker}") == b"1"
            store.delete(f"a/b/{worker}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert list(store.list()) == []


@contextmanager
def small_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_the_old_object(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put("x", b"old")
    with small_disk(), pytest.raises(InfrastructureError, match="File too large"):
        store.put("x", bytes(1_000_000))
    assert store.get("x") == b"old"
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_full_disk_leaves_no_download(place: tuple[str, S3Access | None], tmp_path: Path) -> None:
    store = open_store(*place)
    store.put("x", bytes(1_000_000))
    target = tmp_path / "target"
    target.mkdir()
    with small_disk(), pytest.raises(InfrastructureError, match="File too large"):
        store.download("x", target / "x")
    assert list(target.iterdir()) == []


@pytest.fixture(params=["s3", "gcs"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    prefix, lines = uuid.uuid4(), []

    def connect(cuts: list[int]) -> Store:
        if request.param == "s3":
            access: S3Access = request.getfixturevalue("s3_server")
            lines.append(BrokenLine(access.endpoint, cuts))
            access = replace(access, endpoint=lines[-1].endpoint, region="us-east-1")
            return open_store(f"s3://{BUCKET}/{prefix}", access)
        url: str = request.getfixturevalue("gcs_server")
        lines.append(BrokenLine(url.removeprefix("http://"), cuts))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{lines[-1].endpoint}")
        return open_store(f"gs://{BUCKET}/{prefix}")

    yield connect
    left = [line.cuts_left for line in lines]
    for line in lines:
        line.close()
    assert set(left) == {0}


def test_create_with_lost_answer_has_won(broken: Broken) -> None:
    store = broken([0])
    store.create("releases/1.json", b"mine")
    assert store.get("releases/1.json") == b"mine"


def test_create_with_lost_answer_may_have_lost(broken: Broken) -> None:
    broken([]).create("releases/1.json", b"theirs")
    with pytest.raises(ConflictError):
        broken([0]).create("releases/1.json", b"mine")


def test_broken_read_is_read_again(broken: Broken) -> None:
    content = random.Random(7).randbytes(3_000_000)
    broken([]).put("x", content)
    assert broken([1_000_000, 0]).get("x") == content


def test_broken_part_is_fetched_again(broken: Broken, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(random.Random(7).randbytes(20_000_000))
    digest = broken([]).upload(tmp_path / "in", "x")
    store = broken([10_000_000, 1_000_000])
    assert store.download("x", tmp_path / "out") == digest == digest_of(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_broken_upload_is_sent_again(broken: Broken, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(random.Random(7).randbytes(20_000_000))
    store = broken([0])
    digest = store.upload(tmp_path / "in", "x")
    assert store.download("x", tmp_path / "out", sha256=digest.sha256) == digest
