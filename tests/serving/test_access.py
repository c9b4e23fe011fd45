"""Who may ask, and how much."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import grpc
import httpx
import pytest

from dalsegno import releases
from dalsegno.errors import ConfigurationError
from dalsegno.serving.access import TOKEN_VARIABLE, read_access
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.faults import Refusal
from dalsegno.serving.oip import grpc_predict_v2_pb2 as oip
from dalsegno.serving.process import start_server
from dalsegno.store import Store
from tests.model_folder import make_model

ROW = {
    "inputs": [
        {"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["male"]},
        {"name": "age", "shape": [1], "datatype": "FP32", "data": [40]},
    ]
}
PATH = "/v2/models/titanic/infer"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def callers(tmp_path: Path) -> Path:
    path = tmp_path / "callers.toml"
    path.write_text(
        f'[anna]\ntoken_sha256 = "{digest("key-a")}"\nendpoints = ["titanic"]\n'
        f'[bert]\ntoken_sha256 = "{digest("key-b")}"\nendpoints = ["other"]\n'
        f'[root]\ntoken_sha256 = "{digest("key-r")}"\n'
    )
    return path


def test_callers_are_told_by_their_tokens(callers: Path) -> None:
    access = read_access(callers)
    assert access.check("Bearer key-a", "titanic") == "anna"
    assert access.check("bearer  key-r", "whatever") == "root"
    assert read_access(None).check(None, "titanic") == ""
    for token in (None, "", "Bearer", "Bearer ", "Bearer key", "Basic key-a", "Bearer \udcff"):
        with pytest.raises(Refusal) as refused:
            access.check(token, "titanic")
        assert refused.value.status == 401
        assert "key-a" not in str(refused.value)
    with pytest.raises(Refusal, match="caller 'bert': got the endpoint 'titanic', want: other"):
        access.check("Bearer key-b", "titanic")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got none, want at least one table"),
        ("key-a", "got no TOML, want a table a caller"),
        ("anna = 1", r"anna: got int, want only"),
        ('[anna]\ntoken = "key-a"', r"anna: got \['token'\], want only endpoints and token_sha256"),
        ('[anna]\ntoken_sha256 = "key-a"', "anna: got no token_sha256, want 64 hex digits"),
        (f'[anna]\ntoken_sha256 = "{digest("a")}"\nendpoints = "x"', "want a list of names"),
    ],
)
def test_wrong_file_of_callers_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "callers.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as refused:
        read_access(path)
    assert "key-a" not in str(refused.value)


def test_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "key-e")
    assert read_access(None).check("Bearer key-e", "titanic") == "token"
    assert "key-e" not in repr(read_access(None).__dict__)


def test_server_asks_for_a_token(store: Store, tmp_path: Path, callers: Path) -> None:
    for name in ("titanic", "other"):
        path = make_model(tmp_path / name)
        releases.promote(store, name, path, reason="", who="anna")
    with start_server(
        "titanic",
        "other",
        log_path=tmp_path / "log",
        cache_dir=tmp_path / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri, TOKEN_VARIABLE: "key-e"},
        options=["--callers", str(callers), "--grpc-port", "0"],
    ) as server:
        wait_until_ready(server.url)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            bare = client.post(PATH, json=ROW)
            assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
            assert client.get("/v2/models/titanic").status_code == 401
            assert client.get("/v2/models/titanic/ready").status_code == 200
            given = {"authorization": "Bearer key-a"}
            assert client.post(PATH, json=ROW, headers=given).status_code == 200
            own = client.post(PATH, json=ROW, headers={"authorization": "Bearer key-e"})
            assert own.status_code == 200
            other = client.post("/v2/models/other/infer", json=ROW, headers=given)
            assert (other.status_code, "want: titanic" in other.json()["error"]) == (403, True)
            metrics = client.get("/metrics").text
        assert _ask(server.rpc, ()) is grpc.StatusCode.UNAUTHENTICATED
        assert _ask(server.rpc, (("authorization", "Bearer key-b"),)) is (
            grpc.StatusCode.PERMISSION_DENIED
        )
        assert _ask(server.rpc, (("authorization", "Bearer key-a"),)) is None
    line = (
        'dalsegno_requests_total{endpoint="titanic",protocol="http",release="1",status="200"} 2.0'
    )
    assert line in metrics
    assert "key-" not in (tmp_path / "log").read_text() + metrics


def test_one_request_too_many_is_told_to_come_again(store: Store, tmp_path: Path) -> None:
    releases.promote(store, "titanic", make_model(tmp_path / "model"), reason="", who="anna")
    with start_server(
        "titanic",
        log_path=tmp_path / "log",
        cache_dir=tmp_path / "cache",
        environment={"DALSEGNO_STORE_URI": store.uri},
        options=["--in-flight", "1", "--arrival-seconds", "1", "--rows", "2", "--grpc-port", "0"],
    ) as server:
        wait_until_ready(server.url)
        with _half_a_request(server.url) as slow:
            _wait_for_in_flight(server.url)
            refused = httpx.post(f"{server.url}{PATH}", json=ROW, trust_env=False)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "want at most 1" in refused.json()["error"]
            assert _ask(server.rpc, ()) is grpc.StatusCode.RESOURCE_EXHAUSTED
            said = _read_all(slow)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"got a part of it, want all of it within 1 s" in said
        assert httpx.post(f"{server.url}{PATH}", json=ROW, trust_env=False).status_code == 200
        large = {
            "inputs": [{**each, "shape": [3], "data": each["data"] * 3} for each in ROW["inputs"]]
        }
        answer = httpx.post(f"{server.url}{PATH}", json=large, trust_env=False)
        assert answer.json() == {"error": "inputs: got 3 rows, want at most 2"}


def _ask(rpc: str, metadata: tuple[tuple[str, str], ...]) -> grpc.StatusCode | None:
    request = oip.ModelInferRequest(model_name="titanic")
    request.inputs.add(name="sex", datatype="BYTES", shape=[1]).contents.bytes_contents[:] = [b"x"]
    request.inputs.add(name="age", datatype="FP32", shape=[1]).contents.fp32_contents[:] = [1]
    with grpc.insecure_channel(rpc, options=[("grpc.enable_retries", 0)]) as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            ask(request.SerializeToString(), metadata=metadata)
        except grpc.RpcError as error:
            return error.code()
    return None


def _half_a_request(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)), timeout=10)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
    opened.sendall(head.encode())
    return opened


def _wait_for_in_flight(url: str) -> None:
    deadline = time.monotonic() + 10
    while "dalsegno_in_flight 1.0" not in httpx.get(f"{url}/metrics", trust_env=False).text:
        assert time.monotonic() < deadline


def _read_all(opened: socket.socket) -> bytes:
    said = b""
    while part := opened.recv(4096):
        said += part
    return said
