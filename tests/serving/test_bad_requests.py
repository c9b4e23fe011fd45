"""Bad requests are answered with what came and what was wanted, never with a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import start_server
from dalsegno.store import open_store
from tests.model_folder import make_model, probability

SEX = {"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["male"]}
SURROGATE = b'{"inputs": [{"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["\\ud800"]}]}'
AGE = {"name": "age", "shape": [1], "datatype": "FP32", "data": [40]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one server for all requests here."""
    folder = tmp_path_factory.mktemp("server")
    store = open_store(str(folder / "store"))
    releases.promote(store, "titanic", make_model(folder / "model"), reason="", who="anna")
    environment = {"DALSEGNO_STORE_URI": store.uri}
    with start_server(
        "titanic", log_path=folder / "log", cache_dir=folder / "cache", environment=environment
    ) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as opened:
            yield opened


def ask(client: httpx.Client, *inputs: dict[str, Any], **more: Any) -> httpx.Response:
    return client.post("/v2/models/titanic/infer", json={"inputs": list(inputs), **more})


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ([SEX], "inputs: got 'sex', want also 'age'"),
        ([], "inputs: got none, want also 'sex', 'age'"),
        ([SEX, {**AGE, "name": "fare"}], "inputs: got 'sex', 'fare', want also 'age'"),
        ([SEX, AGE, AGE], "inputs: got 'sex', 'age', 'age', want each once"),
        ([SEX, {**AGE, "shape": [2]}], "input 'age': got 1 values, want 2 by its shape"),
        ([SEX, {**AGE, "shape": [1, 2]}], "input 'age': got shape [1, 2], want [rows] or"),
        ([SEX, {**AGE, "shape": [0], "data": []}], "input 'age': got shape [0], want [rows]"),
        ([SEX, {**AGE, "shape": [2], "data": [1, 2]}], "inputs: got rows {'sex': 1, 'age': 2}"),
        ([SEX, {**AGE, "datatype": "BYTES"}], "input 'age': got datatype 'BYTES', want FP16"),
        ([{**SEX, "datatype": "FP32"}, AGE], "input 'sex': got datatype 'FP32', want BYTES"),
        ([SEX, {**AGE, "data": ["40"]}], "input 'age': got str in row 0 of FP32, want numbers"),
        ([SEX, {**AGE, "data": [True]}], "input 'age': got bool in row 0 of FP32, want numbers"),
        ([SEX, {**AGE, "datatype": "INT32", "data": [1.5]}], "got float in row 0 of INT32"),
        ([SEX, {**AGE, "data": [1e300]}], "input 'age': got infinity, want finite"),
        ([SEX, {**AGE, "data": [10**400]}], "got no JSON (number is infinity"),
        ([SEX, {**AGE, "data": [[1, 2]]}], "input 'age': got rows of several values"),
        ([SEX, {**AGE, "data": [{}]}], "input 'age': got dict in row 0"),
        ([{**SEX, "data": [7]}, AGE], "input 'sex': got int in row 0 of BYTES, want text"),
        ([SEX, {"name": "age"}], "request inputs.1.datatype: got nothing, want text"),
        ([SEX, {**AGE, "shape": ["1"]}], "request inputs.1.shape.0: got str, want a number"),
        ([SEX, {**AGE, "shape": [10**9]}], "inputs: got 1000000000 rows, want at most 10000"),
        (["sex"], "request inputs.0: got str, want an object"),
    ],
)
def test_wrong_input_is_named(client: httpx.Client, inputs: list[Any], error: str) -> None:
    answer = ask(client, *inputs)
    assert answer.status_code == (413 if "at most" in error else 400), answer.text
    assert error in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"inputs": 1}', b"[" * 100_000, SURROGATE],
    ids=["empty", "torn", "list", "null", "text", "bytes", "number", "deep", "surrogate"],
)
def test_body_that_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v2/models/titanic/infer", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_number_that_json_has_not_is_refused(client: httpx.Client) -> None:
    for value in ("NaN", "Infinity", "-Infinity"):
        body = json.dumps({"inputs": [SEX, AGE]}).replace("40", value)
        answer = client.post("/v2/models/titanic/infer", content=body)
        assert (answer.status_code, "request body: got no JSON" in answer.text) == (400, True)


def test_large_body_is_refused(client: httpx.Client) -> None:
    body = b'{"inputs": "' + b"x" * 10_000_000
    answer = client.post("/v2/models/titanic/infer", content=body)
    assert answer.status_code == 413
    assert "got a larger body, want at most 4194304 bytes" in answer.json()["error"]


def raw(size: int) -> dict[str, Any]:
    return {
        "name": "age",
        "shape": [1],
        "datatype": "FP32",
        "parameters": {"binary_data_size": size},
    }


@pytest.mark.parametrize(
    ("age", "tail", "length", "error"),
    [
        (raw(4), b"1234", "x", "Inference-Header-Content-Length: got 'x', want the length"),
        (raw(4), b"1234", "9999", "Inference-Header-Content-Length: got '9999', want the length"),
        (raw(8), b"1234", None, "parameters.binary_data_size: got 8, want at most the 4 bytes"),
        (raw(-1), b"1234", None, "parameters.binary_data_size: got -1, want at most the 4 bytes"),
        (raw(4), b"12345678", None, "got 8 bytes after the JSON, want 4 by the tensors'"),
        (raw(3), b"123", None, "input 'age': got 3 bytes, want a multiple of 4 for FP32"),
        (raw(8), b"12345678", None, "input 'age': got 2 values, want 1 by its shape"),
        (raw(4), b"\0\0\x80\x7f", None, "input 'age': got infinity, want finite"),
        ({**raw(4), "data": [1]}, b"1234", None, "inputs.1: got data and binary_data_size, want"),
        ({**raw(4), "datatype": "BF16"}, b"1234", None, "got datatype 'BF16', want BYTES, BOOL"),
        ({**raw(4), "datatype": "BYTES"}, b"1234", None, "input 'age': got 4 torn bytes, want"),
        ({**raw(5), "datatype": "BYTES"}, b"\1\0\0\0\xff", None, "got bytes that are no text"),
    ],
)
def test_wrong_raw_bytes_are_named(
    client: httpx.Client, age: dict[str, Any], tail: bytes, length: str | None, error: str
) -> None:
    head = json.dumps({"inputs": [SEX, age]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    answer = client.post("/v2/models/titanic/infer", content=head + tail, headers=headers)
    assert answer.status_code == 400, answer.text
    assert error in answer.json()["error"]


def test_missing_number_may_come_as_raw_nan(client: httpx.Client) -> None:
    head = json.dumps({"inputs": [SEX, raw(4)]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = client.post(
        "/v2/models/titanic/infer", content=head + b"\0\0\xc0\x7f", headers=headers
    )
    assert answer.json()["outputs"][0]["data"] == [pytest.approx(probability("male", 0), abs=1e-6)]


def test_packed_body_is_refused(client: httpx.Client) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = client.post("/v2/models/titanic/infer", content=b"x", headers=headers)
    assert (answer.status_code, "got Content-Encoding 'gzip'" in answer.text) == (415, True)


def test_unknown_model_names_the_known(client: httpx.Client) -> None:
    for path in ("/v2/models/x", "/v2/models/x/ready"):
        assert client.get(path).json() == {"error": "model: got 'x', want one of: titanic"}
    assert client.post("/v2/models/x/infer", json={}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/models/titanic", 404), ("GET", "/v2/models/titanic/infer", 405)],
)
def test_wrong_path_is_answered(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, f"got {method} {path}" in answer.json()["error"]) == (status, True)


def test_unknown_output_is_named(client: httpx.Client) -> None:
    answer = ask(client, SEX, AGE, outputs=[{"name": "label"}])
    assert answer.status_code == 400
    assert answer.json()["error"] == ("outputs: got 'label', want any of 'probability', 'decision'")


@pytest.mark.parametrize(
    "age",
    [
        {"datatype": "FP64", "data": [40.0]},
        {"datatype": "INT64", "data": [40]},
        {"datatype": "UINT8", "data": [[40]], "shape": [1, 1]},
        {"datatype": "FP32", "data": [40], "shape": [1, 1]},
    ],
    ids=["double", "integer", "nested", "column"],
)
def test_numbers_come_in_many_types(client: httpx.Client, age: dict[str, Any]) -> None:
    answer = ask(client, SEX, {**AGE, **age}, id="mine").json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "titanic", "1")
    found, decision = answer["outputs"]
    assert (found["name"], found["datatype"], found["shape"]) == ("probability", "FP32", [1])
    assert found["data"] == [pytest.approx(probability("male", 40), abs=1e-6)]
    assert decision == {"name": "decision", "datatype": "INT32", "shape": [1], "data": [1]}


def test_odd_texts_are_other_categories(client: httpx.Client) -> None:
    for text in (None, "", "a\0b", "ÿ", "人" * 1000):
        answer = ask(client, {**SEX, "data": [text]}, AGE)
        assert answer.json()["outputs"][0]["data"] == [pytest.approx(probability("", 40), abs=1e-6)]


def test_described_model_tells_its_tensors(client: httpx.Client) -> None:
    described = client.get("/v2/models/titanic").json()
    assert described["versions"] == ["1"]
    assert described["inputs"] == [
        {"name": "sex", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "age", "datatype": "FP32", "shape": [-1, 1]},
    ]
    assert [item["name"] for item in described["outputs"]] == ["probability", "decision"]
    assert client.get("/v2").json()["name"] == "dalsegno"
    assert client.get("/openapi.json").status_code == 200
