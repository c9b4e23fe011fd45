"""A canary stands beside the champion: started, grown, promoted or stopped, each a new release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dalsegno import registry, releases
from dalsegno.errors import ConflictError, InfrastructureError, InputError
from dalsegno.releases.release import CANARY, MOVES, PROMOTED, ROLLED_BACK
from dalsegno.store import Store
from tests.model_folder import make_model


@pytest.fixture
def champion(store: Store, tmp_path: Path) -> releases.Release:
    """Release 1, live."""
    return releases.promote(store, "titanic", make_model(tmp_path / "a"), reason="", who="anna")


@pytest.fixture
def challenger(tmp_path: Path) -> Path:
    """Another model."""
    return make_model(tmp_path / "b", bias=1.0, threshold=0.3)


def start(store: Store, path: Path | None, percent: int = 10, **given: object) -> releases.Release:
    details = {"reason": "try", "who": "anna", **given}
    return releases.start_canary(store, "titanic", path, percent, **details)  # type: ignore[arg-type]


def statuses(store: Store) -> list[tuple[int, str]]:
    return [(item.release.number, item.status) for item in releases.listing(store, "titanic")]


def test_canary_stands_beside_the_champion(store, champion, challenger) -> None:
    made = start(store, challenger, key="sex", evidence={"blessed": True})
    assert (made.number, made.state, made.champion) == (2, CANARY, 1)
    assert (made.canary_traffic_percent, made.canary_key, made.threshold) == (10, "sex", 0.3)
    assert releases.live(store, "titanic") == champion
    assert releases.standing(store, "titanic") == releases.Standing(champion, made)
    assert statuses(store) == [(2, "canary"), (1, "live")]


def test_canary_grows_then_is_promoted(store, champion, challenger) -> None:
    start(store, challenger)
    grown = start(store, None, 50)
    assert (grown.number, grown.champion, grown.canary_traffic_percent) == (3, 1, 50)
    made = releases.promote_canary(store, "titanic", reason="good", who="anna")
    assert (made.state, made.champion, made.canary_traffic_percent) == (PROMOTED, None, 100)
    assert made.evidence == {"canary": 3}
    assert releases.live(store, "titanic") == made
    wanted = [(4, "live"), (3, "promoted"), (2, "superseded"), (1, "superseded")]
    assert statuses(store) == wanted


def test_rollback_stops_the_canary(store, champion, challenger) -> None:
    start(store, challenger)
    made = releases.roll_back(store, "titanic", reason="slow", who="bert")
    assert (made.number, made.state, made.rolled_back_to) == (3, ROLLED_BACK, 1)
    assert made.model_sha256 == champion.model_sha256
    assert statuses(store) == [(3, "live"), (2, "rolled back"), (1, "superseded")]


def test_stopped_canary_is_never_returned_to(store, champion, challenger, tmp_path) -> None:
    start(store, challenger)
    releases.roll_back(store, "titanic", reason="", who="bert")
    path = make_model(tmp_path / "c", bias=2.0)
    releases.promote(store, "titanic", path, reason="", who="anna")
    assert releases.roll_back(store, "titanic", reason="", who="bert").rolled_back_to == 1
    with pytest.raises(InputError, match="got release 2, which was a canary"):
        releases.roll_back(store, "titanic", 2, reason="", who="bert")


def test_canary_of_a_rolled_back_champion_returns_to_it(store, champion, challenger) -> None:
    releases.promote(store, "titanic", challenger, reason="", who="anna")
    releases.roll_back(store, "titanic", reason="", who="anna")
    start(store, challenger)
    made = releases.roll_back(store, "titanic", reason="", who="bert")
    assert (made.rolled_back_to, made.model_sha256) == (1, champion.model_sha256)


def test_asking_for_the_standing_canary_changes_nothing(store, champion, challenger) -> None:
    assert start(store, challenger) == start(store, challenger) == start(store, None)


def test_gate_may_promote_past_a_canary(store, champion, challenger) -> None:
    start(store, challenger)
    made = releases.promote(store, "titanic", challenger, reason="", who="anna")
    assert (made.number, made.state, made.champion) == (3, PROMOTED, None)
    assert statuses(store)[1] == (2, "promoted")


def test_canary_without_a_champion_is_refused(store, challenger) -> None:
    with pytest.raises(ConflictError, match="want a champion beside the canary"):
        start(store, challenger)
    with pytest.raises(ConflictError, match="the move none to canary, want one to: promoted"):
        releases.release.check_move(None, CANARY)


@pytest.mark.parametrize(("percent", "shadow"), [(-1, False), (101, False), (5, True)])
def test_impossible_share_is_refused(store, champion, challenger, percent, shadow) -> None:
    with pytest.raises(InputError, match="canary: got"):
        start(store, challenger, percent, shadow=shadow)


def test_no_canary_cannot_grow_or_be_promoted(store, champion) -> None:
    with pytest.raises(ConflictError, match="got release 1 live and no canary"):
        start(store, None)
    with pytest.raises(ConflictError, match="no canary"):
        releases.promote_canary(store, "titanic", reason="", who="anna")


def test_damaged_canary_is_not_promoted(store, champion, challenger) -> None:
    made = start(store, challenger)
    store.put(f"{made.model_key}/model.onnx", b"broken")
    with pytest.raises(InfrastructureError, match="got SHA-256"):
        releases.promote_canary(store, "titanic", reason="", who="anna")
    assert releases.live(store, "titanic") == champion


def test_promotion_of_a_replaced_canary_is_a_conflict(store, champion, challenger) -> None:
    seen = start(store, challenger)
    start(store, None, 20, who="bert")
    with pytest.raises(ConflictError, match="release 3 of 'titanic': created by bert meanwhile"):
        releases.promote_canary(store, "titanic", reason="", who="a", expected=seen.number)


def test_standing_at_tells_the_canary(store, challenger, tmp_path) -> None:
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (10, 11, 12)]
    path = make_model(tmp_path / "a")
    releases.promote(store, "titanic", path, reason="", who="anna", now=times[0])
    start(store, challenger, now=times[1])
    releases.roll_back(store, "titanic", reason="", who="anna", now=times[2])
    found = [releases.standing_at(store, "titanic", at.replace(minute=30)) for at in times]
    numbers = [(then.champion.number, then.canary and then.canary.number) for then in found if then]
    assert numbers == [(1, None), (1, 2), (3, None)]


def test_keys_keep_their_side_as_the_share_grows(store, champion, challenger) -> None:
    keys = [f"passenger-{number}" for number in range(4000)]
    before: set[str] = set()
    for percent in (0, 1, 10, 50, 100):
        canary = start(store, challenger, percent)
        inside = {key for key in keys if releases.is_in_canary(canary, key)}
        assert before <= inside
        assert len(inside) / len(keys) == pytest.approx(percent / 100, abs=0.03)
        before = inside


def test_another_challenger_draws_other_keys(store, champion, challenger, tmp_path) -> None:
    keys = [f"passenger-{number}" for number in range(2000)]
    one = start(store, challenger, 50)
    other = start(store, make_model(tmp_path / "c", bias=2.0), 50)
    both = sum(releases.is_in_canary(one, k) and releases.is_in_canary(other, k) for k in keys)
    assert both / len(keys) == pytest.approx(0.25, abs=0.05)


def test_shadow_answers_nobody(store, champion, challenger) -> None:
    made = start(store, challenger, 0, shadow=True)
    assert not any(releases.is_in_canary(made, str(key)) for key in range(100))
    assert statuses(store)[0] == (2, "shadow")


def test_every_state_has_its_moves() -> None:
    assert all(moves <= MOVES.keys() for moves in MOVES.values())
    assert set(MOVES) - {"none"} == set().union(*MOVES.values())


def test_unknown_state_is_refused(store, champion, challenger) -> None:
    document = {**start(store, challenger).as_json(), "number": 3, "champion": None}
    for state in ("canary", "retired"):
        with pytest.raises(InfrastructureError, match="want a known state"):
            releases.release.read("titanic", 3, {**document, "state": state})


def test_alias_challenger_follows_the_canary(store, champion, challenger, tmp_path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    version = registry.register(challenger, name="titanic", tracking_uri=uri)
    registry.register(tmp_path / "a", name="titanic", tracking_uri=uri)
    made = start(store, challenger, version=version)
    assert releases.follow(made, tracking_uri=uri)
    assert registry.versions("titanic", tracking_uri=uri)[0].aliases == ["challenger"]
    made = releases.promote_canary(store, "titanic", reason="", who="anna")
    assert releases.follow(made, tracking_uri=uri)
    assert registry.versions("titanic", tracking_uri=uri)[0].aliases == ["champion"]
