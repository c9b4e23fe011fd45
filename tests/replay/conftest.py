"""Fixtures that build and play capsules of real runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dalsegno.replay.build import build_capsule
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.find import find_task
from dalsegno.replay.outcome import Replayed
from dalsegno.replay.play import play, prepare_replay
from dalsegno.replay.shelf import place_of
from dalsegno.store import Store


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def capsule_of(store: Store) -> Callable[[str], Capsule]:
    """Build the capsule of an address in the test's store."""

    def build(address: str) -> Capsule:
        run, record = find_task(store, address)
        return build_capsule(store, run, record, place_of(store, record))

    return build


@pytest.fixture
def replay(capsule_of: Callable[[str], Capsule]) -> Callable[..., Replayed]:
    """Build the capsule of an address and play it in this process."""

    def replay_it(address: str, *, current: bool = False) -> Replayed:
        return play(prepare_replay(capsule_of(address), current=current))

    return replay_it
