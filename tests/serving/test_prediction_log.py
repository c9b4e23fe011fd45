"""The prediction log without a server: nothing written is lost, nothing waits, all is bounded."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dalsegno import releases
from dalsegno.errors import InfrastructureError, InputError
from dalsegno.serving.endpoint import Served
from dalsegno.serving.identity import new_id, time_of
from dalsegno.serving.predictions import LogLimits, PredictionLog, segments
from dalsegno.serving.shadow import Shadow
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store
from tests.model_folder import make_model
from tests.serving.answers import answer, served

WRITER = """
import sys
from pathlib import Path
from dalsegno import releases
from dalsegno.serving.predictions import PredictionLog
from dalsegno.store import open_store
from tests.serving.answers import answer, served
store, model, folder = open_store(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
log, by = PredictionLog(folder), served(model, releases.live(store, "titanic"))
while True:
    made = answer(by, ("female", 30.0))
    if log.append(made):
        print(made.id, flush=True)
"""


@pytest.fixture
def champion(store: Store, tmp_path: Path) -> Served:
    """A released model."""
    path = make_model(tmp_path / "model")
    return served(path, releases.promote(store, "titanic", path, reason="", who="anna"))


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    """A log in an empty folder."""
    return PredictionLog(tmp_path / "log")


def shipped(store: Store) -> pd.DataFrame:
    tables = [
        pq.read_table(io.BytesIO(store.get(found.key))).flatten().to_pandas()
        for found in store.list("predictions")
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def test_answer_comes_back_as_it_was(store: Store, champion: Served, log: PredictionLog) -> None:
    made = answer(champion, ("female", 30.1), ("", None), request_id="r1", caller="anna", key="p-1")
    assert log.append(made)
    assert Shipper(log, store).stop()
    rows = shipped(store)
    assert rows["prediction_id"].tolist() == [made.id] * 2
    assert rows["row"].tolist() == [0, 1]
    assert rows["inputs.sex"].tolist() == ["female", ""]
    assert rows["inputs.age"][0] == np.float32(30.1)
    assert np.isnan(rows["inputs.age"][1])
    np.testing.assert_array_equal(rows["probability"].to_numpy(np.float32), made.probabilities)
    assert rows["decision"].tolist() == [1, 1]
    first = rows.iloc[0]
    wanted = (1, "champion", "r1", "anna", "p-1", "", 0.001)
    names = ["release", "role", "request_id", "caller", "entity", "error", "seconds"]
    assert tuple(first[names]) == wanted
    assert first["model_sha256"] == champion.release.model_sha256
    assert abs(first["at"].timestamp() - made.at) < 1e-3
    assert (log.buffered_bytes, log.counts.shipped_rows) == (0, 2)


def test_redacted_column_is_never_written(store: Store, champion: Served, tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log", redacted=["sex"])
    log.append(answer(champion, ("a-secret", 30.0)))
    assert b"a-secret" not in segments(log.folder)[0].read_bytes()
    Shipper(log, store).stop()
    assert "inputs.sex" not in shipped(store).columns


def test_failed_answer_is_logged_with_its_reason(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    made = answer(champion, ("male", 1.0), ("male", 2.0), probabilities=np.empty(0, np.float32))
    assert log.append(made, error="RuntimeError: no memory")
    Shipper(log, store).stop()
    rows = shipped(store)
    assert rows["error"].tolist() == ["RuntimeError: no memory"] * 2
    assert rows["probability"].isna().all()
    assert rows["decision"].isna().all()


def test_releases_go_to_batches_of_their_own(
    store: Store, champion: Served, log: PredictionLog, tmp_path: Path
) -> None:
    path = make_model(tmp_path / "other", bias=1.0)
    other = releases.start_canary(store, "titanic", path, 5, reason="", who="anna")
    for by in (champion, served(path, other, "canary")):
        log.append(answer(by, ("male", 1.0)))
    Shipper(log, store).stop()
    rows = shipped(store)
    assert sorted(zip(rows["release"], rows["role"], strict=True)) == [
        (1, "champion"),
        (2, "canary"),
    ]
    assert len(list(store.list("predictions"))) == 2


def test_killed_writer_loses_nothing(store: Store, champion: Served, tmp_path: Path) -> None:
    arguments = [store.uri, str(tmp_path / "model"), str(tmp_path / "log")]
    wanted: list[str] = []
    for _ in range(5):
        with subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                f"import sys; sys.path.insert(0, {os.getcwd()!r})\n{WRITER}",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout
            wanted += [writer.stdout.readline().strip() for _ in range(50)]
            writer.kill()
            wanted += writer.stdout.read().split("\n")[:-1]
    log = PredictionLog(tmp_path / "log")
    assert log.buffered_bytes > 0
    assert Shipper(log, store).ship()
    found = shipped(store)["prediction_id"]
    assert found.is_unique
    assert set(wanted) <= set(found)
    assert log.buffered_bytes == 0


@pytest.mark.parametrize("tail", [b'{"id": "half', b"\x00" * 40 + b"\n", b"[1]\nnull\n"])
def test_torn_tail_costs_only_itself(
    store: Store, champion: Served, log: PredictionLog, tail: bytes
) -> None:
    made = answer(champion, ("male", 1.0))
    log.append(made)
    log.seal()
    with segments(log.folder)[0].open("ab") as segment:
        segment.write(tail)
    assert Shipper(log, store).ship()
    assert shipped(store)["prediction_id"].tolist() == [made.id]
    assert log.counts.torn_lines >= 1


def test_segment_without_a_header_is_kept_aside(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    log.append(answer(champion, ("male", 1.0)))
    log.seal()
    segment = segments(log.folder)[0]
    segment.write_bytes(b"\x00" * 100)
    assert Shipper(log, store).ship()
    assert not segments(log.folder)
    assert segment.with_suffix(".broken").exists()


def test_segment_in_use_is_left_alone(store: Store, champion: Served, log: PredictionLog) -> None:
    log.append(answer(champion, ("male", 1.0)))
    assert Shipper(log, store).ship()
    assert len(segments(log.folder)) == 1
    log.append(answer(champion, ("male", 2.0)))
    assert Shipper(log, store).stop()
    assert len(shipped(store)) == 2


def test_what_another_server_moved_waits_no_more(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    log.append(answer(champion, ("male", 1.0)))
    log.seal()
    other = PredictionLog(log.folder)
    assert other.buffered_bytes > 0
    assert Shipper(log, store).ship()
    assert Shipper(other, store).ship()
    assert other.buffered_bytes == 0


def test_moving_again_changes_nothing(
    store: Store, champion: Served, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(answer(champion, ("male", 1.0)))
    log.seal()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _killed)  # after the upload, before the file is removed
        assert not Shipper(log, store).ship()
    before = {found.key: store.get(found.key) for found in store.list("predictions")}
    assert Shipper(log, store).ship()
    assert before == {found.key: store.get(found.key) for found in store.list("predictions")}
    assert len(before) == 1


def test_full_buffer_drops_and_counts(champion: Served, tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log", limits=LogLimits(buffer_bytes=2000))
    written = [log.append(answer(champion, ("male", 1.0))) for _ in range(50)]
    assert written[0]
    assert not written[-1]
    assert log.counts.logged + log.counts.dropped == 50
    assert log.buffered_bytes < 2500
    assert "the buffer is full" in log.counts.trouble


def test_lost_store_is_waited_for(
    store: Store, champion: Served, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper = Shipper(log, store)
    log.append(answer(champion, ("male", 1.0)))
    log.seal()
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", _unreachable)
        assert not shipper.ship()
        assert log.counts.failed_shipments == 1
        assert "predictions wait for the store" in log.counts.trouble
        assert log.append(answer(champion, ("male", 2.0)))
    log.seal()
    assert shipper.ship()
    assert log.counts.trouble == ""
    assert len(shipped(store)) == 2


def test_store_without_the_release_is_not_written(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    made, root = answer(champion, ("male", 1.0)), Path(store.uri)
    log.append(made)
    log.seal()
    away = root.rename(root.with_name("away"))  # as a folder that is not mounted
    assert not Shipper(log, store).ship()
    assert "got no release yet" in log.counts.trouble
    assert list(store.list("predictions")) == []
    shutil.rmtree(root, ignore_errors=True)
    away.rename(root)
    assert Shipper(log, store).ship()
    assert shipped(store)["prediction_id"].tolist() == [made.id]


def test_unwritable_disk_never_raises(champion: Served, log: PredictionLog) -> None:
    log.folder.rmdir()
    assert not log.append(answer(champion, ("male", 1.0)))
    assert log.counts.dropped == 1


def test_threads_append_at_once(store: Store, champion: Served, log: PredictionLog) -> None:
    made = [answer(champion, ("male", float(age))) for age in range(400)]
    parts = [made[start::4] for start in range(4)]
    writers = [
        threading.Thread(target=lambda part=part: [log.append(each) for each in part])
        for part in parts
    ]
    for writer in writers:
        writer.start()
        log.seal()
    for writer in writers:
        writer.join()
    Shipper(log, store).stop()
    assert sorted(shipped(store)["prediction_id"]) == sorted(each.id for each in made)


def test_shadow_is_logged_under_the_same_id(
    store: Store, champion: Served, log: PredictionLog, tmp_path: Path
) -> None:
    path = make_model(tmp_path / "other", bias=1.0)
    made = releases.start_canary(store, "titanic", path, 0, shadow=True, reason="", who="a")
    first = answer(champion, ("male", 1.0))
    shadow, done = Shadow(lambda *given: log.append(*given) and done.set()), threading.Event()
    shadow.start()
    shadow.ask(first, served(path, made, "shadow"))
    assert done.wait(10)
    Shipper(log, store).stop()
    row = shipped(store).iloc[0]
    assert (row["prediction_id"], row["release"], row["role"]) == (first.id, 2, "shadow")
    assert row["probability"] != first.probabilities[0]


def test_shadow_that_cannot_keep_up_is_skipped(champion: Served) -> None:
    shadow = Shadow(lambda *_: True)  # not started: nobody takes from the queue
    for _ in range(300):
        shadow.ask(answer(champion, ("male", 1.0)), champion)
    assert shadow.counts.skipped == 300 - 256


def test_ids_sort_by_time_and_tell_it() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)
    assert time_of(ids[0]) <= time_of(ids[-1])
    for wrong in ("", "x", "5b6a3f6e-8a38-4e2e-9d5c-000000000000", ids[0].upper()):
        with pytest.raises(InputError, match="want an id"):
            time_of(wrong)


def test_log_in_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="prediction log"):
        PredictionLog(tmp_path / "file" / "log")


def _killed(*_: object, **__: object) -> None:
    raise OSError("killed here")


def _unreachable(*_: object) -> None:
    raise InfrastructureError("store: got no answer, want one")
