"""Promotion: one object, once, by exactly one."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dalsegno import releases
from dalsegno.errors import (
    ConfigurationError,
    ConflictError,
    InfrastructureError,
    InputError,
    NotFoundError,
)
from dalsegno.store import Store, digest_of, race
from dalsegno.store.file import FileStore
from tests.model_folder import make_model

PROMOTE = """
import sys
from pathlib import Path
from dalsegno import releases
from dalsegno.errors import ConflictError
from dalsegno.store import open_store
print("ready", flush=True)
sys.stdin.readline()
try:
    made = releases.promote(open_store(sys.argv[1]), "titanic", Path(sys.argv[2]),
                            reason="race", who=sys.argv[3], run_id=sys.argv[3], expected=1)
    print("won", made.number)
except ConflictError as error:
    print("lost", error)
"""


def promote(store: Store, path: Path, **given: object) -> releases.Release:
    details = {"reason": "better", "who": "anna", "run_id": path.name, **given}
    return releases.promote(store, "titanic", path, **details)  # type: ignore[arg-type]


def test_release_carries_what_moves_together(store: Store, tmp_path: Path) -> None:
    path = make_model(tmp_path / "a", threshold=0.4)
    made = promote(store, path, golden="golden@1", version="7", evidence={"blessed": True})
    assert made == releases.live(store, "titanic")
    assert (made.number, made.state, made.threshold) == (1, "promoted", 0.4)
    assert (made.dataset, made.features_digest) == ("titanic@1", "f" * 64)
    assert (made.golden, made.model_version, made.evidence) == ("golden@1", "7", {"blessed": True})
    assert made.model_sha256 == digest_of(path).sha256
    assert made.baseline_sha256 == digest_of(path / "baseline.json").sha256


def test_released_model_comes_back_the_same(store: Store, tmp_path: Path) -> None:
    made = promote(store, make_model(tmp_path / "a"))
    fetched = releases.fetch_model(store, made, tmp_path / "fetched")
    assert digest_of(fetched).sha256 == made.model_sha256


def test_promoting_the_live_model_changes_nothing(store: Store, tmp_path: Path) -> None:
    first = promote(store, make_model(tmp_path / "a"))
    assert promote(store, tmp_path / "a") == first
    again = promote(store, tmp_path / "a", run_id="another")
    assert (again.number, again.model_sha256) == (2, first.model_sha256)


def test_damaged_stored_model_is_replaced(store: Store, tmp_path: Path) -> None:
    made = promote(store, make_model(tmp_path / "a"))
    graph = store.get(f"{made.model_key}/model.onnx")
    store.put(f"{made.model_key}/model.onnx", b"x" * len(graph))
    with pytest.raises(InfrastructureError, match="got SHA-256"):
        releases.fetch_model(store, made, tmp_path / "fetched")
    promote(store, tmp_path / "a", run_id="another")
    releases.fetch_model(store, made, tmp_path / "fetched")


@pytest.mark.parametrize("name", ["model.onnx", "baseline.json", "encoder.json"])
def test_torn_model_folder_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    path = make_model(tmp_path / "a")
    (path / name).unlink()
    with pytest.raises(InputError, match=f"got no {name}"):
        promote(store, path)
    assert releases.live(store, "titanic") is None


def test_model_that_scores_otherwise_is_refused(store: Store, tmp_path: Path) -> None:
    path = make_model(tmp_path / "a")
    (make_model(tmp_path / "b", bias=1.0) / "model.onnx").replace(path / "model.onnx")
    with pytest.raises(InputError, match="other probabilities"):
        promote(store, path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x"])
def test_endpoint_name_is_checked(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="endpoint: got"):
        releases.promote(store, name, make_model(tmp_path / "a"), reason="", who="")


def test_unexpected_live_release_is_a_conflict(store: Store, tmp_path: Path) -> None:
    promote(store, make_model(tmp_path / "a"), expected=0)
    with pytest.raises(ConflictError, match="release 1 of 'titanic': created by anna meanwhile"):
        promote(store, make_model(tmp_path / "b", bias=1.0), expected=0)


def test_of_two_promoting_processes_one_wins(store: Store, tmp_path: Path) -> None:
    promote(store, make_model(tmp_path / "a"))
    racers = []
    for who in ("anna", "bert", "cleo"):
        path = make_model(tmp_path / who, bias=float(len(racers) + 1))
        racers.append(
            subprocess.Popen(
                [sys.executable, "-P", "-c", PROMOTE, store.uri, str(path), who],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate()[0] for racer in racers]
    assert sorted(text.split()[0] for text in said) == ["lost", "lost", "won"]
    live = releases.live(store, "titanic")
    assert live is not None
    assert live.number == 2
    for text in said:
        assert text.startswith("won 2") or f"created by {live.who} meanwhile" in text


def test_live_at_answers_for_every_time(store: Store, tmp_path: Path) -> None:
    noon, one = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=UTC)
    promote(store, make_model(tmp_path / "a"), now=noon)
    promote(store, make_model(tmp_path / "b", bias=1.0), now=one)
    asked = [datetime(2026, 1, 1, hour, 30) for hour in (11, 12, 13)]
    found = [releases.live_at(store, "titanic", at) for at in asked]
    assert [release and release.number for release in found] == [None, 1, 2]


def test_unknown_endpoint_names_the_known(store: Store, tmp_path: Path) -> None:
    promote(store, make_model(tmp_path / "a"))
    with pytest.raises(NotFoundError, match=r"got 'titanik', want one of: titanic"):
        releases.listing(store, "titanik")


def test_broken_release_document_is_named(store: Store) -> None:
    store.create("releases/titanic/1.json", b'{"endpoint": "titanic", "number": 1}')
    with pytest.raises(InfrastructureError, match=r"releases/titanic/1.json: got"):
        releases.live(store, "titanic")


def test_killed_promotion_leaves_all_or_nothing(store: Store, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for number in range(12):
        path = make_model(tmp_path / str(number), bias=float(number))
        promoting = fork.Process(target=promote, args=(store, path), daemon=True)
        promoting.start()
        promoting.join(number * 0.005)
        promoting.kill()
        promoting.join()
        for made in releases.history(store, "titanic"):
            releases.fetch_model(store, made, tmp_path / f"fetched-{number}-{made.number}")
    before = releases.live(store, "titanic")
    made = promote(store, make_model(tmp_path / "after", bias=99.0))
    assert made.number == (before.number if before else 0) + 1


def test_store_that_lets_all_creators_win_is_refused(tmp_path: Path) -> None:
    class Careless(FileStore):
        """Looks, then writes: of creators at one moment all win."""

        def create(self, key: str, data: bytes) -> None:
            self.put(key, data)

    store = Careless(tmp_path / "careless")
    with pytest.raises(ConfigurationError, match="winners of 8 that create one object at once"):
        promote(store, make_model(tmp_path / "a"))
    assert releases.history(store, "titanic") == []


def test_store_is_raced_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(store, make_model(tmp_path / "a"))
    monkeypatch.setattr(race, "check_create_only", None)  # a second race would fail
    promote(store, make_model(tmp_path / "b", bias=1.0))
