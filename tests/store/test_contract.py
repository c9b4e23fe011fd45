"""What every store does, checked on each of them."""

from __future__ import annotations

import hashlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dalsegno.errors import ConflictError, InfrastructureError, InputError, NotFoundError
from dalsegno.store import Digest, S3Access, Store, digest_of, open_store
from dalsegno.store.numbered import Numbered
from tests.servers import BUCKET

LARGE_BYTES = 40 * 1024 * 1024 + 17  # three parts, the last one short
OUTSIDE_KEYS = ["/etc/x", "..", "../x", "a/../../x", ".tmp/x"]
MALFORMED_KEYS = ["", "a//b", "a/", "./a", "a/\0", "a\\b", "\ud800", "x" * 300, "a/" * 500 + "a"]


def keys(store: Store, prefix: str = "") -> list[str]:
    return [found.key for found in store.list(prefix)]


def write_folder(folder: Path) -> Path:
    for name, text in {"b.txt": "bee", "a/x.txt": "ex", "a-b/y.txt": "", "ü n.txt": "u"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class StoreContract:
    def test_get_returns_what_put_wrote(self, store: Store) -> None:
        store.put("a/b.txt", b"one")
        store.put("a/b.txt", b"two")
        assert store.get("a/b.txt") == b"two"

    def test_put_keeps_an_empty_object(self, store: Store) -> None:
        store.put("empty", b"")
        assert store.get("empty") == b""
        assert store.stat("empty").size_bytes == 0

    def test_put_takes_unusual_keys(self, store: Store) -> None:
        odd = ["sp ace", "plus+and&", "per%20cent", "ü/é", "a=b,c;d@e", "~!$'()*", "hash#q?"]
        for key in odd:
            store.put(f"odd/{key}", key.encode())
        assert {found: store.get(found) for found in keys(store, "odd")} == {
            f"odd/{key}": key.encode() for key in odd
        }

    @pytest.mark.parametrize("key", ["absent", "folder", "folder/x/y", "folder/x/y/z"])
    def test_missing_object_is_not_found(self, store: Store, key: str, tmp_path: Path) -> None:
        store.put("folder/x.txt", b"")
        for ask in (store.get, store.stat):
            with pytest.raises(NotFoundError):
                ask(key)
        if key != "folder":
            with pytest.raises(NotFoundError):
                store.download(key, tmp_path / "target")
            assert list(tmp_path.iterdir()) == []

    def test_create_refuses_an_existing_object(self, store: Store) -> None:
        store.create("releases/1.json", b"first")
        with pytest.raises(ConflictError):
            store.create("releases/1.json", b"second")
        assert store.get("releases/1.json") == b"first"

    def test_create_works_again_after_delete(self, store: Store) -> None:
        store.create("one", b"1")
        store.delete("one")
        store.create("one", b"2")
        assert store.get("one") == b"2"

    def test_create_has_one_winner_in_a_race(self, store: Store) -> None:
        barrier = threading.Barrier(8)

        def race(writer: int) -> int | None:
            barrier.wait()
            try:
                store.create("race/1", b"%d" % writer)
            except ConflictError:
                return None
            return writer

        with ThreadPoolExecutor(8) as pool:
            winners = [writer for writer in pool.map(race, range(8)) if writer is not None]
        assert len(winners) == 1
        assert store.get("race/1") == b"%d" % winners[0]

    def test_stat_tells_size_and_utc_time(self, store: Store) -> None:
        before = datetime.now(UTC) - timedelta(seconds=5)
        store.put("a", b"12345")
        found = store.stat("a")
        assert (found.key, found.size_bytes) == ("a", 5)
        assert before < found.modified_at < datetime.now(UTC) + timedelta(seconds=5)
        assert found.modified_at.utcoffset() == timedelta(0)

    def test_list_sorts_by_whole_key(self, store: Store) -> None:
        expected = ["a", "b-c/x", "b.txt", "b/c/d", "b/c.txt", "b0", "runs-old/x"]
        for key in reversed(expected):
            store.put(key, b"1")
        assert keys(store) == sorted(expected)

    def test_list_takes_a_folder_not_a_beginning(self, store: Store) -> None:
        for key in ("runs/1", "runs/2/x", "runs-old/1", "runs2"):
            store.put(key, b"1")
        assert keys(store, "runs") == keys(store, "runs/") == ["runs/1", "runs/2/x"]
        assert keys(store, "run") == keys(store, "runs/1") == []

    def test_list_passes_a_thousand_objects(self, store: Store) -> None:
        expected = [f"many/{number:04}" for number in range(1005)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: store.put(key, b""), expected))
        assert keys(store, "many") == expected

    def test_folders_names_the_direct_ones(self, store: Store) -> None:
        for key in ("runs/b/x/y", "runs/a/1", "runs/a/2", "runs/file", "other/z"):
            store.put(key, b"1")
        assert store.folders("runs") == store.folders("runs/") == ["a", "b"]
        assert store.folders() == ["other", "runs"]
        assert store.folders("absent") == []

    def test_delete_is_idempotent(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.delete("a/b")
        store.delete("a/b")
        assert keys(store) == []

    def test_delete_leaves_objects_below(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.delete("a")
        assert keys(store) == ["a/b"]

    def test_file_survives_the_round_trip(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"content")
        digest = store.upload(tmp_path / "in", "models/m")
        assert digest == Digest(hashlib.sha256(b"content").hexdigest(), 7)
        assert store.download("models/m", tmp_path / "out/m", sha256=digest.sha256) == digest
        assert (tmp_path / "out/m").read_bytes() == b"content"

    def test_large_file_survives_in_parts(self, store: Store, tmp_path: Path) -> None:
        block = bytes(range(256)) * 4096
        with (tmp_path / "in").open("wb") as file:
            for number in range(41):
                file.write(bytes([number]) + block[1:])
            file.truncate(LARGE_BYTES)
        digest = store.upload(tmp_path / "in", "large")
        assert digest == digest_of(tmp_path / "in")
        assert store.stat("large").size_bytes == LARGE_BYTES
        assert store.download("large", tmp_path / "out") == digest == digest_of(tmp_path / "out")

    def test_folder_survives_the_round_trip(self, store: Store, tmp_path: Path) -> None:
        folder = write_folder(tmp_path / "in")
        digest = store.upload(folder, "model")
        assert digest == digest_of(folder)
        assert keys(store, "model")[0] == "model/a-b/y.txt"
        assert store.download("model", tmp_path / "out", sha256=digest.sha256) == digest
        assert digest_of(tmp_path / "out") == digest

    def test_empty_folder_is_known_by_digest(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        digest = store.upload(tmp_path / "in", "champion")
        assert digest == digest_of(tmp_path / "in")
        with pytest.raises(NotFoundError):
            store.download("champion", tmp_path / "out")
        store.download("champion", tmp_path / "out", sha256=digest.sha256)
        assert list((tmp_path / "out").iterdir()) == []

    def test_upload_adds_to_a_folder(self, store: Store, tmp_path: Path) -> None:
        store.put("model/old.txt", b"old")
        store.put("model/b.txt", b"old")
        store.upload(write_folder(tmp_path / "in"), "model")
        assert store.get("model/old.txt") == b"old"
        assert store.get("model/b.txt") == b"bee"

    def test_upload_of_nothing_is_not_found(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            store.upload(tmp_path / "absent", "a")
        assert keys(store) == []

    @pytest.mark.parametrize("content", ["file", "folder"])
    def test_wrong_digest_leaves_nothing(self, store: Store, tmp_path: Path, content: str) -> None:
        store.put("thing" if content == "file" else "thing/part", b"tampered")
        with pytest.raises(InfrastructureError, match="want 0000"):
            store.download("thing", tmp_path / "target", sha256="0" * 64)
        assert list(tmp_path.iterdir()) == []

    def test_download_keeps_a_full_folder(self, store: Store, tmp_path: Path) -> None:
        store.put("thing/part", b"1")
        (tmp_path / "mine").write_text("precious")
        with pytest.raises(ConflictError, match="not empty"):
            store.download("thing", tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_download_replaces_file_or_empty_folder(self, store: Store, tmp_path: Path) -> None:
        store.put("file", b"new")
        store.put("folder/part", b"part")
        (tmp_path / "a").write_text("old")
        (tmp_path / "b").mkdir()
        store.download("file", tmp_path / "a")
        store.download("folder", tmp_path / "b")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert (tmp_path / "b/part").read_bytes() == b"part"

    @pytest.mark.parametrize("key", OUTSIDE_KEYS + MALFORMED_KEYS, ids=lambda key: ascii(key)[:12])
    def test_bad_key_is_refused_everywhere(self, store: Store, key: str, tmp_path: Path) -> None:
        (tmp_path / "in").write_text("1")
        for use in (
            lambda: store.get(key),
            lambda: store.put(key, b""),
            lambda: store.create(key, b""),
            lambda: store.stat(key),
            lambda: store.delete(key),
            lambda: store.upload(tmp_path / "in", key),
            lambda: store.download(key, tmp_path / "out"),
            lambda: store.uri_of(key),
        ):
            with pytest.raises(InputError):
                use()

    def test_uri_and_key_are_inverse(self, store: Store) -> None:
        assert store.uri_of("a/b c") == f"{store.uri}/a/b c"
        assert store.key_of(store.uri_of("a/b c")) == "a/b c"
        for uri in (store.uri, f"{store.uri}-other/a", f"{store.uri}/../a", "s3://elsewhere/a"):
            with pytest.raises(InputError):
                store.key_of(uri)

    def test_numbers_are_an_append_only_log(self, store: Store) -> None:
        log = Numbered(store, "releases/titanic")
        assert log.latest() is None
        for number in (9, 10):
            log.create(number, {"number": number})
        store.put("releases/titanic/notes.json", b"{}")
        assert log.numbers() == [9, 10]
        assert log.latest() == (10, {"number": 10})
        with pytest.raises(ConflictError, match="number 10"):
            log.create(10, {"number": "other"})
        with pytest.raises(NotFoundError):
            log.get(11)


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, s3_server: S3Access) -> Store:
        return open_store(f"s3://{BUCKET}/{uuid.uuid4()}/store", s3_server)


class TestGCSStore(StoreContract):
    @pytest.fixture
    def store(self, gcs_server: str) -> Store:
        return open_store(f"gs://{BUCKET}/{uuid.uuid4()}/store")


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> Store:
        return open_store(str(tmp_path_factory.mktemp("store") / "root"))
