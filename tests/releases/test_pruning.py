"""The clean-up walks the releases first, and takes only what none of them names."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dalsegno import releases
from dalsegno.errors import InfrastructureError, InputError
from dalsegno.releases.models import keep
from dalsegno.store import Store, digest_of
from tests.model_folder import make_model

DAY = 24 * 3600.0


def age(store: Store, key: str, days: float) -> None:
    """Make a model look as if nobody had touched it for days."""
    for path in Path(store.uri, key).iterdir():
        os.utime(path, (time.time() - days * DAY,) * 2)


@pytest.fixture
def kept(store: Store, tmp_path: Path) -> list[str]:
    """Keys of four old models: superseded, champion, canary, and one that no release names."""
    paths = [make_model(tmp_path / str(number), bias=float(number)) for number in range(4)]
    for path in paths[:2]:
        releases.promote(store, "titanic", path, reason="", who="anna")
    releases.start_canary(store, "titanic", paths[2], 5, reason="", who="anna")
    keep(store, paths[3])
    keys = [f"models/sha256/{digest_of(path).sha256}" for path in paths]
    for key in keys:
        age(store, key, 2)
    return keys


def test_prune_takes_what_no_release_names(store: Store, kept: list[str]) -> None:
    done = releases.prune_models(store)
    assert (done.removed, done.kept) == ([kept[3]], 3)
    assert done.freed_bytes > 0
    assert list(store.list(kept[3])) == []
    assert releases.prune_models(store).removed == []
    assert releases.roll_back(store, "titanic", 1, reason="", who="anna").number == 4


def test_prune_leaves_what_was_touched_lately(store: Store, kept: list[str], tmp_path) -> None:
    keep(store, tmp_path / "3")  # a promotion is about to name it
    assert releases.prune_models(store).removed == []


def test_dry_run_removes_nothing(store: Store, kept: list[str]) -> None:
    assert releases.prune_models(store, dry_run=True).removed == [kept[3]]
    assert list(store.list(kept[3]))


def test_prune_stops_at_a_release_it_cannot_read(store: Store, kept: list[str]) -> None:
    store.put("releases/titanic/2.json", b"{}")
    with pytest.raises(InfrastructureError, match=r"releases/titanic/2.json"):
        releases.prune_models(store)
    assert list(store.list(kept[3]))


def test_model_taken_during_a_promotion_comes_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_model(tmp_path / "a")
    create = releases.log.create

    def create_and_lose(*given: object) -> releases.Release:
        made = create(*given)  # type: ignore[arg-type]
        for found in list(store.list(made.model_key)):
            store.delete(found.key)
        return made

    monkeypatch.setattr(releases.log, "create", create_and_lose)
    made = releases.promote(store, "titanic", path, reason="", who="anna")
    releases.fetch_model(store, made, tmp_path / "fetched")


def test_prune_of_fresh_models_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="want at least an hour"):
        releases.prune_models(store, older_than_seconds=60)
