"""A canary is promoted when its evidence passes, and stopped when it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.errors import ConflictError, InfrastructureError, InputError
from dalsegno.serving import feedback, history
from dalsegno.serving.conditions import State, judge, read_conditions
from dalsegno.serving.endpoint import Served
from dalsegno.serving.predictions import PredictionLog
from dalsegno.serving.rollout import watch_canary
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store
from tests.model_folder import make_model
from tests.serving.answers import answer, served


class Traffic:
    """A champion and a canary, and what they answered."""

    def __init__(self, store: Store, folder: Path, *, bias: float = 0.0, shadow: bool = False):
        self.store = store
        self.log = PredictionLog(folder / "log")
        paths = [make_model(folder / "a"), make_model(folder / "b", bias=bias, seed=1)]
        first = releases.promote(store, "titanic", paths[0], reason="", who="anna")
        then = datetime.now(UTC) - timedelta(minutes=1)
        second = releases.start_canary(
            store,
            "titanic",
            paths[1],
            0 if shadow else 50,
            shadow=shadow,
            reason="",
            who="anna",
            now=then,
        )
        self.champion = served(paths[0], first)
        self.canary = served(paths[1], second, "shadow" if shadow else "canary")

    def answer(self, by: Served, count: int, *, error: str = "", **given: object) -> list[str]:
        ids = []
        for age in np.linspace(0, 80, count):
            made = answer(by, ("female" if age % 2 < 1 else "male", float(age)), **given)
            self.log.append(made, error=error)
            ids.append(made.id)
        self.log.seal()
        assert Shipper(self.log, self.store).ship()
        return ids

    def watch(self, conditions: str, timeout: float = 0.0) -> releases.Release:
        return watch_canary(
            self.store,
            "titanic",
            read_conditions(conditions),
            who="bot",
            timeout_seconds=timeout,
            poll_seconds=0.01,
        )


def test_canary_is_promoted_when_its_evidence_passes(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path)
    traffic.answer(traffic.champion, 200, seconds=0.002)
    traffic.answer(traffic.canary, 200, seconds=0.0021)
    made = traffic.watch("requests>=200, errors<=1%, p99_ratio<=1.2, score_drift<=0.2")
    assert (made.number, made.state, made.who) == (3, "promoted", "bot")
    assert made.model_sha256 == traffic.canary.release.model_sha256
    assert made.evidence["state"] == "passed"
    assert made.evidence["measured"]["requests"] == 200
    assert made.evidence["measured"]["p99_ratio"] == pytest.approx(1.05)


@pytest.mark.parametrize(
    ("conditions", "bias", "seconds", "failed"),
    [
        ("requests>=150,errors<=1%", 0.0, 0.002, 50),
        ("requests>=150,p99_ratio<=1.2", 0.0, 0.01, 0),
        ("requests>=150,p99_ms<5", 0.0, 0.01, 0),
        ("requests>=150,score_drift<=0.2", 1.0, 0.002, 0),
    ],
    ids=["errors", "slower", "slow", "drift"],
)
def test_canary_is_stopped_when_its_evidence_fails(
    store: Store, tmp_path: Path, conditions: str, bias: float, seconds: float, failed: int
) -> None:
    traffic = Traffic(store, tmp_path, bias=bias)
    traffic.answer(traffic.champion, 200, seconds=0.002)
    traffic.answer(traffic.canary, 200, seconds=seconds)
    traffic.answer(traffic.canary, failed, error="RuntimeError: no", seconds=0.001)
    made = traffic.watch(conditions)
    assert (made.number, made.state, made.rolled_back_to) == (3, "rolled_back", 1)
    assert "the canary's evidence did not pass:" in made.reason
    assert ("it said: RuntimeError: no" in made.reason) == bool(failed)
    live = releases.live(store, "titanic")
    assert live
    assert live.model_sha256 == traffic.champion.release.model_sha256


def test_canary_is_stopped_when_no_evidence_comes(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path)
    traffic.answer(traffic.canary, 12)
    made = traffic.watch("requests>=500", timeout=0.05)
    assert made.state == "rolled_back"
    assert "within 0.05 s: requests: got 12, want >=500" in made.reason


def test_hopeless_canary_is_stopped_before_all_its_requests(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path)
    traffic.answer(traffic.canary, 11, error="RuntimeError: no")
    assert traffic.watch("requests>=1000,errors<=1%", timeout=60).state == "rolled_back"


def test_labels_decide_too(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path)
    ids = traffic.answer(traffic.canary, 200)
    since = datetime.now(UTC) - timedelta(hours=1)
    found = history.read(store, "titanic", since).set_index("prediction_id")["probability"]
    labels = [int(found[each] < found.median()) for each in ids]  # just the wrong way round
    feedback.give(store, "titanic", pd.DataFrame({"prediction_id": ids, "label": labels}))
    made = traffic.watch("labels>=200,auc>=0.7")
    assert made.state == "rolled_back"
    assert made.evidence["measured"]["auc"] < 0.1


def test_shadow_is_judged_by_its_agreement(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path, shadow=True)
    for age in range(100):
        first = answer(traffic.champion, ("male", float(age)))
        traffic.log.append(first)
        traffic.log.append(answer(traffic.canary, ("male", float(age)), id=first.id))
    traffic.log.seal()
    Shipper(traffic.log, store).ship()
    with pytest.raises(InputError, match="nobody waits for a shadow"):
        traffic.watch("p99_ratio<=1")
    made = traffic.watch("requests>=100,agreement>=99%")
    assert (made.state, made.shadow) == ("promoted", False)


def test_changed_canary_is_not_concluded(store: Store, tmp_path: Path) -> None:
    traffic = Traffic(store, tmp_path)
    with pytest.raises(ConflictError, match="release 3 of 'titanic': created by bert meanwhile"):
        watch_canary(
            store,
            "titanic",
            read_conditions("requests>=1"),
            who="bot",
            timeout_seconds=60,
            poll_seconds=0.01,
            on_judgement=lambda _: releases.roll_back(store, "titanic", reason="", who="bert"),
        )
    del traffic


def test_lost_store_is_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = Traffic(store, tmp_path)
    traffic.answer(traffic.canary, 10)
    seen, listing = [], store.list

    def lose_twice(prefix: str = ""):  # type: ignore[no-untyped-def]
        if prefix.startswith("predictions") and len(seen) < 2:
            seen.append(prefix)
            raise InfrastructureError("store: got no answer, want one")
        return listing(prefix)

    monkeypatch.setattr(store, "list", lose_twice)
    assert traffic.watch("requests>=10", timeout=60).state == "promoted"
    assert len(seen) == 2


def test_no_canary_is_told(store: Store) -> None:
    with pytest.raises(ConflictError, match="got no canary"):
        watch_canary(store, "titanic", read_conditions("labels>=1"), who="", timeout_seconds=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got nothing"),
        ("errors", "want a condition as in"),
        ("error<=1%", "Did you mean errors"),
        ("errors<=1x", "want a condition as in"),
    ],
)
def test_wrong_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_conditions(text)


def test_conditions_ask_for_some_requests() -> None:
    assert [str(each) for each in read_conditions("errors<=1%")] == [
        "requests>=100",
        "errors<=0.01",
    ]


def test_unmeasured_condition_waits() -> None:
    conditions = read_conditions("requests>=1,auc>=0.7")
    assert judge(conditions, {"requests": 5.0, "auc": None}).state is State.WAITING
    assert judge(conditions, {"requests": 5.0, "auc": 0.7}).state is State.PASSED
