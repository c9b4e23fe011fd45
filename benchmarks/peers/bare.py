"""Bare functions to compare with, around the same ONNX graph, in our own environment.

Run: `python -m benchmarks.peers.bare MODEL_FOLDER PORT KIND`. `asgi`, `starlette` and `fastapi`
parse the protocol's body, call ONNX Runtime and write the protocol's answer, without a check, on
the same uvicorn as our server.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson


def open_graph(folder: Path) -> tuple[Any, float]:
    """Open a model folder's graph: session, threshold."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers)
    return session, json.loads((folder / "training.json").read_text())["threshold"]


def bare_function(folder: Path) -> Callable[[bytes], bytes]:
    """Make the bare function: body in, body out."""
    session, threshold = open_graph(folder)
    kinds = {"BYTES": object, "FP32": np.float32}

    def predict(body: bytes) -> bytes:
        asked = orjson.loads(body)
        tensors = {
            item["name"]: np.array(item["data"], kinds[item["datatype"]]).reshape(-1, 1)
            for item in asked["inputs"]
        }
        found = session.run(["probability"], tensors)[0]
        shape = [len(found)]
        decisions = (found >= threshold).astype(np.int32)
        outputs = [
            {"name": "probability", "datatype": "FP32", "shape": shape, "data": found},
            {"name": "decision", "datatype": "INT32", "shape": shape, "data": decisions},
        ]
        answer = {"model_name": "titanic", "outputs": outputs}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    return predict


def asgi(predict: Callable[[bytes], bytes]) -> Any:
    """Serve the bare function by plain ASGI."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        answer = predict(body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def starlette(predict: Callable[[bytes], bytes]) -> Any:
    """Serve the bare function by Starlette."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def infer(request: Request) -> Response:
        return Response(predict(await request.body()), media_type="application/json")

    return Starlette(routes=[Route("/v2/models/{name}/infer", infer, methods=["POST"])])


def fastapi(predict: Callable[[bytes], bytes]) -> Any:
    """Serve the bare function by FastAPI."""
    from fastapi import FastAPI, Request, Response

    app = FastAPI()

    @app.post("/v2/models/{name}/infer")
    async def infer(name: str, request: Request) -> Response:
        return Response(predict(await request.body()), media_type="application/json")

    return app


def main(folder: str, port: str, kind: str) -> None:
    """Serve until killed."""
    import uvicorn

    make = {"asgi": asgi, "starlette": starlette, "fastapi": fastapi}[kind]
    app = make(bare_function(Path(folder)))
    uvicorn.run(
        app, port=int(port), http="httptools", loop="uvloop", lifespan="off", access_log=False,
        log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
