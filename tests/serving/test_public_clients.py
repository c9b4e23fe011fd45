"""Public clients of the protocol work unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.store import open_store
from tests.model_folder import make_model, probability

SEXES, AGES = ["female", "male", ""], [30.0, 40.0, np.nan]
EXPECTED = [probability("female", 30), probability("male", 40), probability("", 0)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    store = open_store(str(folder / "store"))
    releases.promote(store, "titanic", make_model(folder / "model"), reason="", who="anna")
    environment = {"DALSEGNO_STORE_URI": store.uri}
    with start_server(
        "titanic",
        log_path=folder / "log",
        cache_dir=folder / "cache",
        options=["--grpc-port", "0"],
        environment=environment,
    ) as started:
        wait_until_ready(started.url)
        yield started


@pytest.fixture
def triton(server: ServerProcess) -> Iterator[triton_http.InferenceServerClient]:
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def triton_rpc(server: ServerProcess) -> Iterator[triton_grpc.InferenceServerClient]:
    with triton_grpc.InferenceServerClient(server.rpc) as client:
        yield client


def columns(kind: type, *, as_bytes: bool = True) -> list[Any]:
    """Write the columns as Triton's client does, by default as raw bytes."""
    sex, age = kind("sex", [3, 1], "BYTES"), kind("age", [3, 1], "FP32")
    options = {} if as_bytes else {"binary_data": False}
    sex.set_data_from_numpy(np.array(SEXES, dtype=object).reshape(3, 1), **options)
    ages = AGES if as_bytes else [30.0, 40.0, 0.0]
    age.set_data_from_numpy(np.array(ages, dtype=np.float32).reshape(3, 1), **options)
    return [sex, age]


def test_triton_speaks_raw_bytes_both_ways(triton: triton_http.InferenceServerClient) -> None:
    answer = triton.infer("titanic", columns(triton_http.InferInput))
    np.testing.assert_allclose(answer.as_numpy("probability"), EXPECTED, atol=1e-6)
    assert answer.as_numpy("probability").dtype == np.float32
    assert answer.as_numpy("decision").tolist() == [1, 1, 1]
    sizes = [
        output["parameters"]["binary_data_size"] for output in answer.get_response()["outputs"]
    ]
    assert sizes == [12, 12]


def test_triton_speaks_json_both_ways(triton: triton_http.InferenceServerClient) -> None:
    wanted = [triton_http.InferRequestedOutput("probability", binary_data=False)]
    inputs = columns(triton_http.InferInput, as_bytes=False)
    answer = triton.infer("titanic", inputs, outputs=wanted, request_id="mine")
    np.testing.assert_allclose(answer.as_numpy("probability"), EXPECTED, atol=1e-6)
    assert answer.as_numpy("decision") is None
    assert answer.get_response()["id"] == "mine"


def test_triton_mixes_raw_bytes_and_json(triton: triton_http.InferenceServerClient) -> None:
    wanted = [
        triton_http.InferRequestedOutput("decision", binary_data=True),
        triton_http.InferRequestedOutput("probability", binary_data=False),
    ]
    raw, plain = columns(triton_http.InferInput), columns(triton_http.InferInput, as_bytes=False)
    answer = triton.infer("titanic", [plain[0], raw[1]], outputs=wanted, model_version="1")
    np.testing.assert_allclose(answer.as_numpy("probability"), EXPECTED, atol=1e-6)
    assert answer.as_numpy("decision").tolist() == [1, 1, 1]


@pytest.mark.parametrize("datatype", [np.float16, np.float64, np.int8, np.uint16, np.int64])
def test_triton_may_send_any_number(
    triton: triton_http.InferenceServerClient, datatype: type
) -> None:
    sex, _ = columns(triton_http.InferInput)
    names = {np.float16: "FP16", np.float64: "FP64", np.int8: "INT8", np.uint16: "UINT16"}
    age = triton_http.InferInput("age", [3, 1], names.get(datatype, "INT64"))
    age.set_data_from_numpy(np.array([[30], [40], [0]], dtype=datatype))
    answer = triton.infer("titanic", [sex, age])
    np.testing.assert_allclose(answer.as_numpy("probability"), EXPECTED, atol=1e-6)


def test_triton_asks_about_server_and_model(triton: triton_http.InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("titanic")
    assert triton.is_model_ready("titanic", "1")
    assert not triton.is_model_ready("titanic", "7")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    assert [each["name"] for each in triton.get_model_metadata("titanic")["inputs"]] == [
        "sex",
        "age",
    ]


def test_triton_is_told_what_is_wrong(triton: triton_http.InferenceServerClient) -> None:
    with pytest.raises(Exception, match="inputs: got 'sex', want also 'age'"):
        triton.infer("titanic", columns(triton_http.InferInput)[:1])
    with pytest.raises(Exception, match="got version '7', want one of: 1"):
        triton.infer("titanic", columns(triton_http.InferInput), model_version="7")


def test_triton_speaks_grpc(triton_rpc: triton_grpc.InferenceServerClient) -> None:
    answer = triton_rpc.infer("titanic", columns(triton_grpc.InferInput), request_id="mine")
    np.testing.assert_allclose(answer.as_numpy("probability"), EXPECTED, atol=1e-6)
    assert answer.as_numpy("decision").tolist() == [1, 1, 1]
    response = answer.get_response()
    assert (response.id, response.model_version) == ("mine", "1")
    assert len(response.parameters["prediction_id"].string_param) == 36
    decision = [triton_grpc.InferRequestedOutput("decision")]
    alone = triton_rpc.infer("titanic", columns(triton_grpc.InferInput), outputs=decision)
    assert [output.name for output in alone.get_response().outputs] == ["decision"]


def test_triton_asks_over_grpc(triton_rpc: triton_grpc.InferenceServerClient) -> None:
    assert triton_rpc.is_server_live()
    assert triton_rpc.is_server_ready()
    assert triton_rpc.is_model_ready("titanic", "1")
    assert not triton_rpc.is_model_ready("titanic", "2")
    assert triton_rpc.get_server_metadata().name == "dalsegno"
    described = triton_rpc.get_model_metadata("titanic")
    assert [(each.name, each.datatype) for each in described.inputs] == [
        ("sex", "BYTES"),
        ("age", "FP32"),
    ]


def test_triton_is_told_over_grpc(triton_rpc: triton_grpc.InferenceServerClient) -> None:
    both = columns(triton_grpc.InferInput)
    with pytest.raises(Exception, match=r"INVALID_ARGUMENT.*inputs: got 'sex', want also 'age'"):
        triton_rpc.infer("titanic", both[:1])
    with pytest.raises(Exception, match=r"NOT_FOUND.*got 'titanik', want one of: titanic"):
        triton_rpc.infer("titanik", both)
    many = triton_grpc.InferInput("age", [3_000_000, 1], "FP32")
    many.set_data_from_numpy(np.zeros((3_000_000, 1), dtype=np.float32))
    with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED.*larger than max"):
        triton_rpc.infer("titanic", [both[0], many])


def test_malformed_message_is_the_callers_fault(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.rpc) as channel:
        for name in ("ModelInfer", "ModelMetadata", "ModelReady"):
            ask = channel.unary_unary(f"/inference.GRPCInferenceService/{name}")
            with pytest.raises(grpc.RpcError) as refused:
                ask(b"\xff\xff no message")
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert f"want a {name}Request" in refused.value.details()


_KSERVE = """
import asyncio, json, sys
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

def request(name, is_binary):
    import numpy as np
    sex = InferInput("sex", [3, 1], "BYTES")
    age = InferInput("age", [3, 1], "FP32")
    sex.set_data_from_numpy(np.array([["female"], ["male"], [""]], dtype=object), is_binary)
    age.set_data_from_numpy(np.array([[30], [40], [0]], dtype=np.float32), is_binary)
    return InferRequest(model_name=name, infer_inputs=[sex, age])

async def main(url, rpc):
    found = []
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    async with InferenceGRPCClient(rpc) as remote:
        for is_binary in (True, False):
            over_http = await rest.infer(url, request("titanic", is_binary), "titanic")
            over_grpc = await remote.infer(request("titanic", is_binary))
            for answer in (over_http, over_grpc):
                values = {each.name: each.as_numpy() for each in answer.outputs}
                found.append({name: each.reshape(-1).tolist() for name, each in values.items()})
        ready = [await rest.is_server_ready(url), await rest.is_model_ready(url, "titanic"),
                 await remote.is_server_ready(), await remote.is_model_ready("titanic")]
    print(json.dumps({"answers": found, "ready": ready}))

asyncio.run(main(*sys.argv[1:]))
"""


def test_kserves_own_client_works(server: ServerProcess) -> None:
    command = [sys.executable, "-P", "-c", _KSERVE, server.url, server.rpc]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["ready"] == [True] * 4
    assert len(said["answers"]) == 4
    for answer in said["answers"]:
        np.testing.assert_allclose(answer["probability"], EXPECTED, atol=1e-6)
        assert answer["decision"] == [1, 1, 1]
