from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from dalsegno.errors import ConfigurationError, InputError, NotFoundError
from dalsegno.store import open_store
from dalsegno.store.file import FileStore


def test_root_appears_with_the_first_object(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "a/root")
    assert list(store.list()) == []
    assert not (tmp_path / "a").exists()
    store.put("x", b"1")
    assert (tmp_path / "a/root/x").read_bytes() == b"1"


@pytest.mark.parametrize("link", ["outside", "outside/secret"], ids=["folder", "file"])
def test_link_outside_is_never_followed(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / link)
    store = FileStore(tmp_path / "root")
    key = "link/secret" if link == "outside" else "link"
    for use in (store.get, store.stat, store.delete, lambda key: store.put(key, b"")):
        with pytest.raises(InputError, match="leads outside"):
            use(key)
    assert list(store.list()) == []
    assert (tmp_path / "outside/secret").read_text() == "secret"


def test_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = FileStore(tmp_path / "link")
    store.put("a/b", b"1")
    assert [found.key for found in store.list()] == ["a/b"]
    assert store.key_of(str(tmp_path / "real/a/b")) == "a/b"
    assert store.key_of(f"file://{tmp_path}/link/a/b") == "a/b"


def test_prepared_objects_are_never_listed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a", b"1")
    (tmp_path / ".tmp/torn").write_bytes(b"half")
    assert [found.key for found in store.list()] == ["a"]
    assert store.folders() == []


def test_abandoned_objects_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp/folder").mkdir(parents=True)
    (tmp_path / ".tmp/fresh").write_bytes(b"")
    os.utime(tmp_path / ".tmp/folder", (0, time.time() - 2 * 24 * 3600))
    FileStore(tmp_path).put("a", b"1")
    assert [path.name for path in (tmp_path / ".tmp").iterdir()] == ["fresh"]


def test_object_and_folder_exclude_each_other(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a/b", b"1")
    for key in ("a", "a/b/c"):
        with pytest.raises(InputError, match="want a free key"):
            store.put(key, b"2")
    assert store.get("a/b") == b"1"


def test_empty_leftover_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    store = FileStore(tmp_path)
    store.put("a", b"1")
    store.create("b", b"2")
    assert (store.get("a"), store.get("b")) == (b"1", b"2")


def test_upload_refuses_what_is_no_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "root")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/dangling").symlink_to(tmp_path / "absent")
    with pytest.raises(InputError, match="dangling"):
        store.upload(tmp_path / "in", "x")
    assert list(store.list()) == []
    assert list((tmp_path / "root/.tmp").iterdir()) == []


def test_file_uri_opens_the_same_folder(tmp_path: Path) -> None:
    FileStore(tmp_path).put("a", b"1")
    assert open_store(f"file://{tmp_path}").get("a") == b"1"


def test_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("mine")
    with pytest.raises(ConfigurationError, match="want a folder"):
        FileStore(tmp_path / "root").put("a", b"1")


@pytest.mark.parametrize("uri", ["ftp://x/y", "file://relative", "s3://", "gs://", "s3:///x"])
def test_unknown_uri_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="want"):
        open_store(uri)


def test_object_outlives_a_pruned_folder(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a/b/c", b"1")
    store.delete("a/b/c")
    assert not (tmp_path / "a").exists()
    with pytest.raises(NotFoundError):
        store.get("a/b/c")


def test_full_disk_asks_for_room(tmp_path: Path) -> None:
    failure = FileStore(tmp_path)._failure(OSError(errno.ENOSPC, "No space left on device"))
    assert str(failure) == f"store {tmp_path}: got No space left on device, want room"
    assert failure.next_command == f"df -h {tmp_path}"
