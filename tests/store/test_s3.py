from __future__ import annotations

from dataclasses import replace

import pytest

from dalsegno.errors import ConfigurationError, InfrastructureError
from dalsegno.store import S3Access, open_store
from tests.servers import BUCKET, free_ports


def test_minio_scheme_means_the_same(s3_server: S3Access) -> None:
    store = open_store(f"minio://{BUCKET}/schemes/", s3_server)
    store.put("a", b"1")
    assert store.uri_of("a") == f"minio://{BUCKET}/schemes/a"
    assert store.key_of(f"s3://{BUCKET}/schemes/a") == "a"
    assert open_store(f"s3://{BUCKET}/schemes", s3_server).get("a") == b"1"


@pytest.mark.parametrize(
    ("key", "secret"), [("tester", "wrong"), ("nobody", "not-a-secret")], ids=["secret", "account"]
)
def test_wrong_keys_are_a_setting_to_mend(s3_server: S3Access, key: str, secret: str) -> None:
    access = replace(s3_server, access_key=key, secret_key=secret)
    store = open_store(f"s3://{BUCKET}/x", access)
    for use in (lambda: store.get("a"), lambda: store.create("a", b""), lambda: list(store.list())):
        with pytest.raises(ConfigurationError, match="403") as caught:
            use()
        assert secret not in str(caught.value)


def test_missing_bucket_is_a_setting_to_mend(s3_server: S3Access) -> None:
    store = open_store("s3://nowhere/x", s3_server)
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        list(store.list())


def test_silent_server_is_worth_a_retry() -> None:
    (port,) = free_ports(1)
    access = S3Access(f"127.0.0.1:{port}", "a", "b", region="us-east-1", secure=False)
    with pytest.raises(InfrastructureError, match=f"127.0.0.1:{port}") as caught:
        open_store("s3://bucket", access).stat("a")
    assert caught.value.retryable
    assert caught.value.__cause__ is not None


def test_another_protocol_is_told(gcs_server: str) -> None:
    access = S3Access(gcs_server.removeprefix("http://"), "a", "b", secure=False)
    with pytest.raises((InfrastructureError, ConfigurationError), match="got"):
        list(open_store("s3://bucket", access).list())


def test_keys_come_from_the_aws_chain(s3_server: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key or "")
    store = open_store(f"s3://{BUCKET}/chain", S3Access(s3_server.endpoint, secure=False))
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_no_keys_at_all_are_told(s3_server: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1")
    store = open_store(f"s3://{BUCKET}/x", S3Access(s3_server.endpoint, secure=False))
    with pytest.raises(ConfigurationError, match="no keys"):
        store.get("a")


def test_access_never_shows_its_secret() -> None:
    assert "hush" not in repr(S3Access("host:1", "me", "hush"))
