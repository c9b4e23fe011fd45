"""Predictions are found again by id and time, and labels join them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.errors import InputError, NotFoundError
from dalsegno.serving import feedback, history
from dalsegno.serving.endpoint import Served
from dalsegno.serving.identity import new_id
from dalsegno.serving.predictions import PredictionLog
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store
from tests.model_folder import make_model
from tests.serving.answers import answer, served


@pytest.fixture
def champion(store: Store, tmp_path: Path) -> Served:
    path = make_model(tmp_path / "model")
    return served(path, releases.promote(store, "titanic", path, reason="", who="anna"))


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "log")


def test_prediction_is_found_by_its_id(store: Store, champion: Served, log: PredictionLog) -> None:
    made = answer(champion, ("female", 30.0), ("male", None))
    log.append(answer(champion, ("male", 50.0)))
    log.append(made)
    here = history.find(store, made.id, log.folder)
    Shipper(log, store).stop()
    moved = history.find(store, made.id)
    assert here[0].place != moved[0].place
    for found in (here, moved):
        assert [(each.endpoint, each.release, each.threshold) for each in found] == [
            ("titanic", 1, 0.5)
        ]
        examples = found[0].examples()
        assert examples["sex"].tolist() == ["female", "male"]
        probabilities = champion.model.predict(examples)
        np.testing.assert_array_equal(probabilities, made.probabilities)


def test_only_the_batches_of_its_moment_are_read(
    store: Store, champion: Served, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = time.time()
    for hours in range(1, 6):
        log.append(answer(champion, ("male", 50.0), at=at - 3600 * hours))
        log.seal()
    made = answer(champion, ("male", 50.0))
    log.append(made)
    Shipper(log, store).stop()
    read, get = [], store.get
    monkeypatch.setattr(store, "get", lambda key: read.append(key) or get(key))
    assert history.find(store, made.id)[0].id == made.id
    assert len(read) == 1


def test_missing_text_is_missing_in_the_examples(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    log.append(answer(champion, ("", None), ("male", 1.0)))
    Shipper(log, store).stop()
    since = datetime.now(UTC) - timedelta(hours=1)
    examples = history.as_examples(history.read(store, "titanic", since))
    assert examples["sex"].tolist() == [None, "male"]
    assert examples["age"].isna().tolist() == [True, False]


def test_unknown_prediction_is_told(store: Store) -> None:
    with pytest.raises(NotFoundError, match="got none in the log of"):
        history.find(store, new_id())
    with pytest.raises(InputError, match="want an id"):
        history.find(store, "42")


def test_read_keeps_to_the_time(store: Store, champion: Served, log: PredictionLog) -> None:
    now = datetime.now(UTC)
    for hours in (1, 5, 30):
        at = (now - timedelta(hours=hours)).timestamp()
        log.append(answer(champion, ("male", float(hours)), at=at))
        log.seal()
    Shipper(log, store).stop()
    for since, wanted in ((2, [1.0]), (6, [5.0, 1.0]), (48, [30.0, 5.0, 1.0])):
        frame = history.read(store, "titanic", now - timedelta(hours=since))
        assert frame["inputs.age"].tolist() == wanted
    until = now - timedelta(hours=4)
    assert len(history.read(store, "titanic", now - timedelta(hours=6), until)) == 1
    with pytest.raises(NotFoundError, match="no predictions logged since"):
        history.read(store, "titanic", now)


def test_late_labels_join_and_the_last_counts(
    store: Store, champion: Served, log: PredictionLog
) -> None:
    one, two = answer(champion, ("male", 1.0), ("male", 2.0)), answer(champion, ("male", 3.0))
    for made in (one, two):
        log.append(made)
    Shipper(log, store).stop()
    labels = pd.DataFrame({"prediction_id": [one.id, one.id], "row": [0, 1], "label": [0, 1]})
    assert feedback.give(store, "titanic", labels) == feedback.Received(2, 0)
    corrected = pd.DataFrame({"prediction_id": [one.id], "label": ["1"]})
    feedback.give(store, "titanic", corrected, now=datetime.now(UTC) + timedelta(seconds=1))
    since = datetime.now(UTC) - timedelta(hours=1)
    joined = feedback.join(store, "titanic", history.read(store, "titanic", since))
    assert joined["label"].tolist()[:2] == [1.0, 1.0]
    assert joined["label"].isna().tolist() == [False, False, True]


def test_label_of_an_unknown_prediction_is_counted(store: Store) -> None:
    labels = pd.DataFrame({"prediction_id": [new_id()], "label": [1]})
    assert feedback.give(store, "titanic", labels) == feedback.Received(1, 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"prediction_id": ["x"]}, "want also .'label'."),
        ({"prediction_id": [], "label": []}, "got 0 rows"),
        ({"prediction_id": ["x"], "label": [1]}, "want an id"),
        ({"prediction_id": [new_id()], "label": ["yes"]}, "got no number in 1 of 1 rows"),
        ({"prediction_id": [new_id()], "label": [np.inf]}, "got no number in 1 of 1 rows"),
        ({"prediction_id": [new_id()], "label": [1], "row": [-1]}, "no number from 0"),
        ({"prediction_id": [new_id()], "label": [1], "row": [2**40]}, "no number from 0"),
        ({"prediction_id": [new_id()], "label": [1], "row": [None]}, "no number from 0"),
    ],
    ids=["column", "empty", "id", "label", "infinite", "row", "large row", "no row"],
)
def test_wrong_labels_are_refused(store: Store, labels: dict[str, list], message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        feedback.give(store, "titanic", pd.DataFrame(labels))
    assert list(store.list("feedback")) == []
