"""A server that follows releases in a real S3 store, and outlives it."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from dalsegno import releases
from dalsegno.serving.client import infer, wait_until_ready
from dalsegno.serving.process import start_server
from dalsegno.store import S3Access, Store, open_store
from tests.model_folder import make_model
from tests.servers import BUCKET, start_seaweedfs, stop

FRAME = pd.DataFrame({"sex": ["female"], "age": [30]})


def test_server_outlives_its_store(tmp_path: Path) -> None:
    folder = tmp_path / "seaweedfs"
    folder.mkdir()
    seaweedfs, access = start_seaweedfs(folder)
    try:
        uri = f"s3://{BUCKET}/outlives"
        store = open_store(uri, access)
        release(store, tmp_path, 0.0)
        options = {
            "log_path": tmp_path / "log",
            "cache_dir": tmp_path / "cache",
            "environment": environment(uri, access),
        }
        with start_server("titanic", **options) as server:
            wait_until_ready(server.url)
            release(store, tmp_path, 0.5)
            wait_until_ready(server.url, endpoint="titanic", release=2)
            stop(seaweedfs)
            wait_for_log(tmp_path / "log", "the releases cannot be read")
            assert infer(server.url, "titanic", FRAME)["release"].iloc[0] == 2
        with start_server("titanic", **options) as again:
            wait_until_ready(again.url, 10)
            assert infer(again.url, "titanic", FRAME)["release"].iloc[0] == 2
    finally:
        stop(seaweedfs)


def release(store: Store, tmp_path: Path, bias: float) -> None:
    path = make_model(tmp_path / str(bias), bias=bias)
    releases.promote(store, "titanic", path, reason="", who="anna")


def environment(uri: str, access: S3Access) -> dict[str, str]:
    return {
        "DALSEGNO_STORE_URI": uri,
        "DALSEGNO_S3_ENDPOINT": access.endpoint,
        "DALSEGNO_S3_ACCESS_KEY": access.access_key or "",
        "DALSEGNO_S3_SECRET_KEY": access.secret_key or "",
        "DALSEGNO_S3_SECURE": "false",
    }


def wait_for_log(path: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
