"""A real server splits its traffic: one model answers, callers keep their side, shadows wait."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import onnx
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.history import read
from dalsegno.serving.process import ServerProcess
from dalsegno.store import Store
from tests.model_folder import make_model, probability
from tests.serving.conftest import Promote, Start

BODY = {
    "inputs": [
        {"name": "sex", "shape": [1, 1], "datatype": "BYTES", "data": ["male"]},
        {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [20.0]},
    ]
}
KEYS = [f"passenger-{number}" for number in range(300)]


class Asking:
    """Keeps one connection to a server."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.body: dict[str, Any] = json.loads(json.dumps(BODY))
        self.client = httpx.Client(base_url=server.url, trust_env=False)

    def ask(self, key: str = "", sex: str = "male") -> dict[str, Any]:
        body = json.loads(json.dumps(self.body).replace("male", sex))
        headers = {"x-entity-key": key} if key else {}
        answer = self.client.post("/v2/models/titanic/infer", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sides(self) -> dict[str, int]:
        return {key: int(self.ask(key)["model_version"]) for key in KEYS}

    def wait(self, release: int) -> None:
        deadline = time.monotonic() + 20
        while self.client.get("/v2/models/titanic/status").json()["release"] != release:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def asking(promote: Promote, start: Start) -> Asking:
    promote(0.0)
    return Asking(start())


def canary(store: Store, folder: Path, percent: int, **given: Any) -> releases.Release:
    path = folder / "challenger"
    if not path.exists():
        make_model(path, bias=1.0)
    details = {"reason": "", "who": "anna", **given}
    return releases.start_canary(store, "titanic", path, percent, **details)


def test_callers_keep_their_side_as_the_canary_grows(
    asking: Asking, store: Store, tmp_path: Path
) -> None:
    canary(store, tmp_path, 20)
    asking.wait(2)
    first = asking.sides()
    assert first == asking.sides()
    assert 30 <= Counter(first.values())[2] <= 90
    releases.start_canary(store, "titanic", None, 60, reason="", who="anna")
    asking.wait(3)
    second = asking.sides()
    assert {key for key, side in first.items() if side == 2} < {
        key for key, side in second.items() if side == 3
    }
    releases.roll_back(store, "titanic", reason="", who="anna")
    asking.wait(4)
    assert set(asking.sides().values()) == {4}


def test_exactly_one_model_answers(asking: Asking, store: Store, tmp_path: Path) -> None:
    canary(store, tmp_path, 50)
    asking.wait(2)
    for key in KEYS[:100]:
        answer = asking.ask(key)
        bias = {"1": 0.0, "2": 1.0}[answer["model_version"]]
        assert answer["outputs"][0]["data"] == [
            pytest.approx(probability("male", 20.0, bias), abs=1e-6)
        ]


def test_requests_without_a_key_are_shared_out(
    asking: Asking, store: Store, tmp_path: Path
) -> None:
    canary(store, tmp_path, 50)
    asking.wait(2)
    counts = Counter(asking.ask()["model_version"] for _ in range(300))
    assert 100 <= counts["2"] <= 200


def test_column_splits_where_no_header_does(asking: Asking, store: Store, tmp_path: Path) -> None:
    canary(store, tmp_path, 50, key="sex")
    asking.wait(2)
    sides = {sex: {asking.ask(sex=sex)["model_version"] for _ in range(20)} for sex in KEYS[:30]}
    assert all(len(side) == 1 for side in sides.values())
    assert len(set.union(*sides.values())) == 2


def test_canary_that_cannot_take_the_columns_costs_no_caller(
    asking: Asking, store: Store, tmp_path: Path
) -> None:
    path = make_model(tmp_path / "challenger", bias=1.0)
    add_input(path)
    made = releases.start_canary(store, "titanic", path, 100, reason="", who="anna")
    asking.wait(made.number)
    assert {asking.ask(key)["model_version"] for key in KEYS[:20]} == {"1"}
    asking.server.stop()
    frame = logged(store)
    assert Counter(zip(frame["role"], frame["error"] != "", strict=True)) == {
        ("champion", False): 20,
        ("canary", True): 20,
    }
    assert frame["error"].str.contains("want also 'fare'").sum() == 20


def test_callers_may_send_what_only_one_release_takes(
    asking: Asking, store: Store, tmp_path: Path
) -> None:
    path = make_model(tmp_path / "challenger", bias=1.0)
    add_input(path)
    fare = {"name": "fare", "shape": [1], "datatype": "FP32", "data": [7.25]}
    asking.body["inputs"].append(fare)
    releases.start_canary(store, "titanic", path, 50, reason="", who="anna")
    asking.wait(2)
    assert set(asking.sides().values()) == {1, 2}
    releases.promote_canary(store, "titanic", reason="", who="anna")
    asking.wait(3)
    assert set(asking.sides().values()) == {3}
    releases.roll_back(store, "titanic", reason="", who="anna")
    asking.wait(4)
    assert set(asking.sides().values()) == {4}
    releases.start_canary(store, "titanic", path, 0, shadow=True, reason="", who="anna")
    asking.wait(5)
    asking.ask()
    while "dalsegno_shadow_answered_total 1.0" not in asking.client.get("/metrics").text:
        assert "dalsegno_shadow_failed_total 0.0" in asking.client.get("/metrics").text
    asking.server.stop()
    assert (logged(store)["error"] == "").all()


def test_shadow_answers_are_only_logged(asking: Asking, store: Store, tmp_path: Path) -> None:
    made = canary(store, tmp_path, 0, shadow=True)
    deadline = time.monotonic() + 20
    while "dalsegno_shadow_answered_total 0" in asking.client.get("/metrics").text:
        assert time.monotonic() < deadline
        assert asking.ask()["model_version"] == "1"
        time.sleep(0.05)
    assert made.shadow
    asking.server.stop()
    frame = logged(store)
    shadow, champion = (frame[frame["role"] == role] for role in ("shadow", "champion"))
    assert len(shadow) >= 1
    assert set(shadow["prediction_id"]) <= set(champion["prediction_id"])
    assert shadow["probability"].iloc[0] == pytest.approx(probability("male", 20, 1.0), abs=1e-6)


def test_promoted_canary_answers_everybody(asking: Asking, store: Store, tmp_path: Path) -> None:
    canary(store, tmp_path, 10)
    asking.wait(2)
    releases.promote_canary(store, "titanic", reason="", who="anna")
    wait_until_ready(asking.server.url, endpoint="titanic", release=3)
    assert set(asking.sides().values()) == {3}


def test_damaged_canary_leaves_the_champion(
    promote: Promote, start: Start, store: Store, tmp_path: Path
) -> None:
    promote(0.0)
    made = canary(store, tmp_path, 50)
    store.put(f"{made.model_key}/model.onnx", b"broken")
    asking = Asking(start())
    assert set(asking.sides().values()) == {1}
    found = asking.client.get("/v2/models/titanic").json()
    assert "release 2 is not served" in found["parameters"]["trouble"]


def logged(store: Store) -> pd.DataFrame:
    return read(store, "titanic", datetime.now(UTC) - timedelta(hours=1))


def add_input(path: Path) -> None:
    """Let a model want a column more."""
    graph = onnx.load(path / "model.onnx")
    fare = onnx.helper.make_tensor_value_info("fare", onnx.TensorProto.FLOAT, [None, 1])
    graph.graph.input.append(fare)
    onnx.save(graph, path / "model.onnx")
    signature = json.loads((path / "signature.json").read_text())
    signature["inputs"].append({"name": "fare", "datatype": "FP32"})
    (path / "signature.json").write_text(json.dumps(signature))
    example = json.loads((path / "example.json").read_text())
    for row in example["rows"]:
        row["fare"] = 1.0
    (path / "example.json").write_text(json.dumps(example))
