"""Where an artifact's bucket is reached: as its run says, as the settings say, or rewritten."""

from __future__ import annotations

import pytest

from dalsegno.settings import Settings, open_artifact_store

KEYS = {"s3_access_key": "a", "s3_secret_key": "b"}
REWRITE = {"s3_endpoint_rewrite": "seaweedfs.kubeflow:9000=127.0.0.1:19000, x:1=https://y:2"}


@pytest.mark.parametrize(
    ("uri", "endpoint", "given", "reached"),
    [
        ("minio://b/k", None, KEYS, ("seaweedfs.kubeflow:9000", False)),
        ("minio://b/k", "other:9000", KEYS, ("other:9000", False)),
        ("minio://b/k", None, {**KEYS, **REWRITE}, ("127.0.0.1:19000", False)),
        ("minio://b/k", "x:1", {**KEYS, **REWRITE}, ("y:2", True)),
        ("minio://b/k", "x:9", {**KEYS, "s3_endpoint": "z:3"}, ("z:3", True)),
        ("minio://b/k", "x:1", {**KEYS, **REWRITE, "s3_endpoint": "z:3"}, ("y:2", True)),
        ("s3://b/k", None, KEYS, ("s3.amazonaws.com", True)),
        ("s3://b/k", "s3.eu.example:443", KEYS, ("s3.eu.example:443", True)),
    ],
)
def test_artifact_store_is_reached_at(uri, endpoint, given, reached):
    store = open_artifact_store(uri, endpoint=endpoint, settings=Settings(**given))
    assert store.uri == uri.removesuffix("/k")
    assert (store._access.endpoint, store._access.secure) == reached


def test_artifact_of_the_default_store_comes_from_there(tmp_path):
    settings = Settings(store_uri=str(tmp_path))
    assert open_artifact_store(f"{tmp_path}/runs/x", settings=settings).uri == str(tmp_path)
