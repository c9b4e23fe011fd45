"""Rolling back: always a new release, always further back."""

from __future__ import annotations

from pathlib import Path

import pytest

from dalsegno import releases
from dalsegno.errors import ConflictError, InfrastructureError, NotFoundError
from dalsegno.releases.log import newest_after
from dalsegno.store import Store
from tests.model_folder import make_model


@pytest.fixture
def promote(store: Store, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Promote a model of its own a call."""

    def promote_one(name: str) -> releases.Release:
        path = make_model(tmp_path / name, bias=ord(name[0]) / 100, threshold=ord(name[0]) / 200)
        return releases.promote(store, "titanic", path, reason="", who="anna", run_id=name)

    return promote_one


def back(store: Store, to: int | None = None, **given: object) -> releases.Release:
    details = {"reason": "worse", "who": "bert", **given}
    return releases.roll_back(store, "titanic", to, **details)  # type: ignore[arg-type]


def test_roll_back_returns_all_that_moved(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    first, _ = promote("a"), promote("b")
    made = back(store)
    assert (made.number, made.state, made.rolled_back_to) == (3, "rolled_back", 1)
    assert (made.model_sha256, made.threshold) == (first.model_sha256, first.threshold)
    assert (made.who, made.reason, made.evidence) == ("bert", "worse", {})


def test_roll_back_twice_goes_further_back(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    for name in "abc":
        promote(name)
    assert [back(store).rolled_back_to, back(store).rolled_back_to] == [2, 1]
    with pytest.raises(NotFoundError, match="release 5 with none before it"):
        back(store)


def test_roll_back_passes_over_what_was_left(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b"), back(store), promote("c")
    assert back(store).rolled_back_to == 1


def test_roll_back_forward_can_be_left_again(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b"), back(store)
    assert back(store, to=2).rolled_back_to == 2
    assert back(store).rolled_back_to == 1


def test_roll_back_to_a_roll_back_means_its_origin(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b"), back(store), promote("c")
    assert back(store, to=3).rolled_back_to == 1


def test_roll_back_to_the_live_changes_nothing(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b")
    made = back(store)
    assert back(store, to=1) == made


def test_roll_back_of_one_run_happens_once(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    for name in "abc":
        promote(name)
    assert back(store, run_id="r1") == back(store, run_id="r1")
    assert back(store, run_id="r2").rolled_back_to == 1


def test_roll_back_from_another_release_is_a_conflict(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b"), promote("c")
    with pytest.raises(ConflictError, match="release 3 of 'titanic': created by anna"):
        back(store, expected=2)


def test_damaged_earlier_model_is_not_released(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    first, second = promote("a"), promote("b")
    store.put(f"{first.model_key}/model.onnx", b"broken")
    with pytest.raises(InfrastructureError, match="got SHA-256"):
        back(store)
    assert releases.live(store, "titanic") == second


def test_unknown_release_names_the_known(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b")
    with pytest.raises(NotFoundError, match=r"got release 7, want one of: 1, 2"):
        back(store, to=7)


def test_listing_tells_what_became_of_each(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    for name in "abc":
        promote(name)
    back(store)
    listed = [(item.release.number, item.status) for item in releases.listing(store, "titanic")]
    assert listed == [(4, "live"), (3, "rolled back"), (2, "superseded"), (1, "superseded")]


def test_newest_after_finds_the_live_release(store: Store, promote) -> None:  # type: ignore[no-untyped-def]
    promote("a"), promote("b"), promote("c")
    assert newest_after(store, "titanic", 3) is None
    assert newest_after(store, "titanic", 0) == releases.live(store, "titanic")
