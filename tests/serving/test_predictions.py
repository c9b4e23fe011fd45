"""The prediction log of a real server: killed at any time, and with its store gone and back."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.errors import InputError
from dalsegno.serving import history
from dalsegno.serving.again import play_prediction
from dalsegno.serving.cache import log_folder
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.predictions import PredictionLog, segments
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store, open_store
from tests.model_folder import make_model
from tests.servers import BUCKET, start_seaweedfs, stop
from tests.serving.conftest import Promote
from tests.serving.test_remote_store import environment, wait_for_log

KILLS = 20


def ask(client: httpx.Client, age: float = 30.0, **headers: str) -> httpx.Response:
    inputs = [
        {"name": "sex", "shape": [1, 1], "datatype": "BYTES", "data": ["male"]},
        {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [age]},
    ]
    return client.post("/v2/models/titanic/infer", json={"inputs": inputs}, headers=headers)


def prediction_id(answer: httpx.Response) -> str:
    return str(answer.json()["parameters"]["prediction_id"])


class Caller(threading.Thread):
    """Asks until it is stopped or the server is gone, and keeps the ids that came back."""

    def __init__(self, server: ServerProcess, *, pause_seconds: float = 0.0) -> None:
        super().__init__()
        self._pause = pause_seconds
        self.ids: list[str] = []
        self.failed: list[str] = []
        self.is_stopped = False
        self._url = server.url

    def run(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=20) as client:
            while not self.is_stopped:
                time.sleep(self._pause)
                try:
                    answer = ask(client)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.ids.append(prediction_id(answer))
                else:
                    self.failed.append(answer.text)


@pytest.fixture
def options(store: Store, tmp_path: Path) -> dict[str, Any]:
    """How servers of this test start."""
    return {
        "log_path": tmp_path / "server.log",
        "cache_dir": tmp_path / "cache",
        "environment": {
            "DALSEGNO_STORE_URI": store.uri,
            "DALSEGNO_PREDICTION_SEAL_SECONDS": "0.1",
        },
    }


def logged(store: Store) -> pd.DataFrame:
    return history.read(store, "titanic", datetime.now(UTC) - timedelta(hours=1))


def test_killed_servers_lose_no_prediction(
    store: Store, promote: Promote, options: dict[str, Any], tmp_path: Path
) -> None:
    promote(0.0)
    wanted: list[str] = []
    for number in range(KILLS):
        with start_server("titanic", **options) as server:
            wait_until_ready(server.url)
            caller = Caller(server)
            caller.start()
            while len(caller.ids) < 20 + 7 * number:
                assert caller.is_alive()
                time.sleep(0.002)
            server.kill()
            caller.join()
            wanted += caller.ids
    move_what_is_left(PredictionLog(log_folder(tmp_path / "cache", store)), store)
    found = logged(store)["prediction_id"]
    assert len(wanted) > KILLS * 20
    assert found.is_unique
    assert set(wanted) <= set(found)


def move_what_is_left(log: PredictionLog, store: Store) -> None:
    """Move it to the end: a killed server's child finishes what it had begun, and holds that."""
    shipper, deadline = Shipper(log, store), time.monotonic() + 60
    while segments(log.folder):
        assert time.monotonic() < deadline
        assert shipper.ship()
        time.sleep(0.02)


def test_stopped_server_moves_its_log(
    store: Store, promote: Promote, options: dict[str, Any]
) -> None:
    promote(0.0)
    with start_server("titanic", **options) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            answer = ask(client, 41.5, **{"x-entity-key": "p-1"})
            bad = client.post("/v2/models/titanic/infer", json={"inputs": []})
            metrics = client.get("/metrics").text
    assert bad.status_code == 400
    assert "dalsegno_predictions_logged_total 1" in metrics
    frame = logged(store)
    assert frame[["prediction_id", "entity", "inputs.age"]].to_numpy().tolist() == [
        [prediction_id(answer), "p-1", 41.5]
    ]


def test_prediction_is_played_again_to_the_bit(
    store: Store, promote: Promote, options: dict[str, Any]
) -> None:
    promote(0.3)
    with start_server("titanic", **options) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            answer = ask(client, 33.3)
    seen: list[Any] = []

    def step(predict: Any, rows: Any) -> Any:
        seen.append(rows)
        return predict(rows)

    played = play_prediction(store, prediction_id(answer), call=step)
    assert played.is_identical
    assert played.release == 1
    assert seen[0]["sex"].tolist() == ["male"]


def test_redacted_prediction_is_not_played(
    store: Store, promote: Promote, options: dict[str, Any]
) -> None:
    promote(0.0)
    options["environment"]["DALSEGNO_PREDICTION_REDACTED"] = "sex, name"
    with start_server("titanic", **options) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            answer = ask(client)
    assert "inputs.sex" not in logged(store).columns
    with pytest.raises(InputError, match="got sex redacted from the log"):
        play_prediction(store, prediction_id(answer))


def test_log_can_be_turned_off(store: Store, promote: Promote, options: dict[str, Any]) -> None:
    promote(0.0)
    options["environment"]["DALSEGNO_PREDICTION_LOG"] = "false"
    with start_server("titanic", **options) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            assert ask(client).status_code == 200
    assert list(store.list("predictions")) == []


def test_server_answers_while_its_store_is_gone(tmp_path: Path) -> None:
    outage = float(os.environ.get("OUTAGE_SECONDS", "4"))
    folder = tmp_path / "seaweedfs"
    folder.mkdir()
    seaweedfs, access = start_seaweedfs(folder)
    proxy = Switch(access.endpoint)
    try:
        uri = f"s3://{BUCKET}/log"
        store = open_store(uri, access)
        path = make_model(tmp_path / "model")
        releases.promote(store, "titanic", path, reason="", who="anna")
        variables = environment(uri, access) | {
            "DALSEGNO_S3_ENDPOINT": proxy.address,
            "DALSEGNO_PREDICTION_SEAL_SECONDS": "0.2",
        }
        log_path, cache = tmp_path / "log", tmp_path / "cache"
        with start_server(
            "titanic", log_path=log_path, cache_dir=cache, environment=variables
        ) as server:
            wait_until_ready(server.url)
            caller = Caller(server, pause_seconds=0.01)
            caller.start()
            time.sleep(0.5)
            proxy.is_open = False
            wait_for_log(log_path, "predictions wait for the store")
            before = len(caller.ids)
            time.sleep(outage)
            assert len(caller.ids) > before
            metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
            assert "dalsegno_predictions_dropped_total 0.0" in metrics
            assert metric(metrics, "dalsegno_predictions_failed_shipments_total") >= 1
            assert 0 < metric(metrics, "dalsegno_predictions_buffered_bytes") < 1024**3
            assert metric(metrics, 'dalsegno_endpoint_trouble{endpoint="titanic"}') == 1
            proxy.is_open = True
            wait_for_flow(log_path)
            caller.is_stopped = True
            caller.join()
        assert caller.failed == []
        found = logged(store)["prediction_id"]
        assert found.is_unique
        assert set(found) == set(caller.ids)
    finally:
        proxy.close()
        stop(seaweedfs)


def metric(text: str, name: str) -> float:
    (value,) = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(value)


def wait_for_flow(log_path: Path) -> None:
    deadline = time.monotonic() + 90  # after a long outage the store is asked ever more rarely
    while "the prediction log flows again" not in log_path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Switch:
    """Passes connections on to a server, or refuses them."""

    def __init__(self, target: str) -> None:
        import socket

        host, port = target.rsplit(":", 1)
        self.is_open = True
        self._target = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        import socket

        while True:
            try:
                inward, _ = self._listening.accept()
            except OSError:
                return
            if not self.is_open:
                inward.close()
                continue
            outward = socket.create_connection(self._target)
            for one, other in ((inward, outward), (outward, inward)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: Any, other: Any) -> None:
        while True:
            try:
                data = one.recv(65536)
            except OSError:
                data = b""
            if not data or not self.is_open:
                for each in (one, other):
                    each.close()
                return
            other.sendall(data)
