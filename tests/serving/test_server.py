"""A real server process over HTTP: what it answers, and how it follows the releases."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from dalsegno import releases
from dalsegno.errors import InfrastructureError, InputError, NotFoundError
from dalsegno.serving.client import infer, wait_until_ready
from dalsegno.serving.process import start_server
from dalsegno.store import Store
from tests.model_folder import probability
from tests.serving.conftest import Promote, Start

FRAME = pd.DataFrame(
    {"sex": ["female", "male", None], "age": [30, None, 50], "cabin": ["C1", "C2", "C3"]},
    index=[7, 8, 9],
)


def expected(bias: float) -> list[float]:
    return [probability(sex, age, bias) for sex, age in (("female", 30), ("male", 0), ("", 50))]


def test_client_gets_what_the_model_says(promote: Promote, start: Start) -> None:
    promote(-0.2)
    answer = infer(start().url, "titanic", FRAME)
    np.testing.assert_allclose(answer["probability"], expected(-0.2), atol=1e-6)
    assert answer["decision"].tolist() == [1, 0, 1]
    assert answer["release"].tolist() == [1, 1, 1]
    assert answer.index.tolist() == [7, 8, 9]
    assert answer["prediction_id"].nunique() == 1


def test_large_frame_goes_in_batches(promote: Promote, start: Start) -> None:
    promote(0.0)
    frame = pd.DataFrame({"sex": ["male"] * 12_001, "age": np.arange(12_001) / 100.0})
    answer = infer(start().url, "titanic", frame)
    np.testing.assert_allclose(
        answer["probability"], [probability("male", age) for age in frame["age"]], atol=1e-6
    )
    assert answer["prediction_id"].nunique() == 3


def test_hot_swap_and_roll_back_fail_no_request(
    store: Store, promote: Promote, start: Start
) -> None:
    promote(0.0)
    server = start()
    stop, seen, failed = threading.Event(), [], []

    def ask() -> None:
        with httpx.Client(trust_env=False) as client:
            while not stop.is_set():
                try:
                    answer = infer(server.url, "titanic", FRAME, client=client)
                    bias = {1: 0.0, 2: 0.5, 3: 0.0}[answer["release"].iloc[0]]
                    np.testing.assert_allclose(answer["probability"], expected(bias), atol=1e-6)
                    seen.append(int(answer["release"].iloc[0]))
                except Exception as error:
                    failed.append(error)
                time.sleep(0.002)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    promote(0.5)
    wait_until_ready(server.url, endpoint="titanic", release=2)
    releases.roll_back(store, "titanic", reason="worse", who="bert")
    wait_until_ready(server.url, endpoint="titanic", release=3)
    time.sleep(0.1)
    stop.set()
    for caller in callers:
        caller.join()
    assert failed == []
    assert set(seen) == {1, 2, 3}


def test_killed_server_starts_on_the_same_release(promote: Promote, start: Start) -> None:
    promote(0.0)
    promote(0.5)
    first = start()
    before = infer(first.url, "titanic", FRAME)
    first.kill()
    after = infer(start().url, "titanic", FRAME)
    pd.testing.assert_frame_equal(
        before.drop(columns="prediction_id"), after.drop(columns="prediction_id")
    )


def test_damaged_model_is_refused_and_the_old_goes_on(
    store: Store, promote: Promote, start: Start, tmp_path: Path
) -> None:
    promote(0.0)
    server = start()
    made = promote(0.5)
    wait_until_ready(server.url, endpoint="titanic", release=2)
    releases.roll_back(store, "titanic", reason="", who="bert")
    wait_until_ready(server.url, endpoint="titanic", release=3)
    _damage(store, made, tmp_path)
    store.create("releases/titanic/4.json", _document(store, 2, 4))
    _wait_for_log(tmp_path, "release 4 is not served")
    answer = infer(server.url, "titanic", FRAME)
    assert answer["release"].iloc[0] == 3
    described = httpx.get(f"{server.url}/v2/models/titanic").json()
    assert "got SHA-256" in described["parameters"]["trouble"]
    promote(0.9)
    wait_until_ready(server.url, endpoint="titanic", release=5)
    described = httpx.get(f"{server.url}/v2/models/titanic").json()
    assert "trouble" not in described["parameters"]


def test_damaged_live_model_leaves_the_last_served(
    store: Store, promote: Promote, start: Start, tmp_path: Path
) -> None:
    promote(0.0)
    start().kill()
    made = promote(0.5)
    _damage(store, made, tmp_path)
    answer = infer(start().url, "titanic", FRAME)
    assert answer["release"].iloc[0] == 1


def test_server_starts_from_its_cache_without_the_store(
    store: Store, promote: Promote, start: Start
) -> None:
    promote(0.0)
    start().stop()
    root = Path(store.uri)
    root.rename(root.with_name("away"))
    (root / "releases" / "titanic").mkdir(parents=True)
    (root / "releases" / "titanic" / "1.json").write_text("torn by a network file system")
    server = start()
    assert infer(server.url, "titanic", FRAME)["release"].iloc[0] == 1


def test_store_that_lost_its_releases_is_told_from_a_new_one(
    store: Store, promote: Promote, start: Start
) -> None:
    promote(0.0)
    start().kill()
    releases_folder = Path(store.uri) / "releases"
    releases_folder.rename(releases_folder.with_name("away"))
    server = start()
    assert infer(server.url, "titanic", FRAME)["release"].iloc[0] == 1
    trouble = httpx.get(f"{server.url}/v2/models/titanic/status").json()["trouble"]
    assert "got no release of 'titanic', want 1, which was served here" in trouble
    releases_folder.with_name("away").rename(releases_folder)
    promote(0.5)
    wait_until_ready(server.url, endpoint="titanic", release=2)
    assert httpx.get(f"{server.url}/v2/models/titanic/status").json()["trouble"] is None


def test_server_waits_for_the_first_release(promote: Promote, start: Start) -> None:
    server = start(wait=False)
    assert httpx.get(f"{server.url}/v2/health/live").json() == {"live": True}
    ready = httpx.get(f"{server.url}/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    with pytest.raises(InfrastructureError, match=r"got 503 .*got no release, want a release"):
        infer(server.url, "titanic", FRAME)
    promote(0.0)
    wait_until_ready(server.url)
    assert infer(server.url, "titanic", FRAME)["release"].iloc[0] == 1


def test_terminated_server_answers_what_is_under_way(promote: Promote, start: Start) -> None:
    promote(0.0)
    server = start()

    def slow_body() -> object:
        yield b'{"inputs": [{"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["male"]},'
        server.process.terminate()
        time.sleep(0.5)
        yield b'{"name": "age", "shape": [1], "datatype": "FP32", "data": [40]}]}'

    answer = httpx.post(f"{server.url}/v2/models/titanic/infer", content=slow_body())  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert server.process.wait(10) == 0


def test_taken_port_is_said_in_one_line(promote: Promote, start: Start, tmp_path: Path) -> None:
    port = int(start(wait=False).url.rpartition(":")[2])
    with pytest.raises(InfrastructureError, match="Address already in use, want a free one"):
        start_server("titanic", port=port, log_path=tmp_path / "second.log", cache_dir=tmp_path)


def test_client_names_missing_column_and_endpoint(promote: Promote, start: Start) -> None:
    promote(0.0)
    url = start().url
    with pytest.raises(InputError, match=r"want \['sex'\]"):
        infer(url, "titanic", FRAME.drop(columns="sex"))
    with pytest.raises(NotFoundError, match="got 'titanik', want one of: titanic"):
        infer(url, "titanik", FRAME)


def test_client_names_the_server_that_is_away() -> None:
    with pytest.raises(InfrastructureError, match=r"server http://127.0.0.1:1: got .*refused"):
        infer("http://127.0.0.1:1", "titanic", FRAME)
    with pytest.raises(InfrastructureError, match=r"got ConnectError, want it ready in 0.1 s"):
        wait_until_ready("http://127.0.0.1:1", 0.1)


def _damage(store: Store, made: releases.Release, tmp_path: Path) -> None:
    graph = store.get(f"{made.model_key}/model.onnx")
    store.put(f"{made.model_key}/model.onnx", graph[:-1] + b"x")
    for cached in (tmp_path / "cache").glob(f"*/models/{made.model_sha256}/model.onnx"):
        cached.write_bytes(graph[:-1])


def _document(store: Store, source: int, number: int) -> bytes:
    document = store.get(f"releases/titanic/{source}.json")
    return document.replace(f'"number": {source}'.encode(), f'"number": {number}'.encode())


def _wait_for_log(tmp_path: Path, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in (tmp_path / "server.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
