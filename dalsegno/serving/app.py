"""The server's routes: Open Inference Protocol v2 over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from dalsegno.errors import DalsegnoError, InputError
from dalsegno.serving.endpoint import Endpoint, Served
from dalsegno.serving.protocol import OUTPUTS, encode, read_request, read_tensors, write_answer

_INLINE_ROWS = 256  # a small batch takes less time than the way to another thread


@dataclass(frozen=True)
class Limits:
    """What a caller may ask of the server.

    Attributes:
        body_bytes: Largest body of a request.
        body_seconds: Time for its arrival.
    """

    body_bytes: int = 4 * 1024 * 1024
    body_seconds: float = 30.0


def make_app(endpoints: Mapping[str, Endpoint], limits: Limits) -> FastAPI:
    """Make the application for the endpoints that are followed."""
    app = FastAPI(title="Dalsegno model server", docs_url=None, redoc_url=None)
    server = _Server(endpoints, limits)
    app.add_api_route("/v2", server.metadata)
    app.add_api_route("/v2/health/live", server.live)
    app.add_api_route("/v2/health/ready", server.ready)
    app.add_api_route("/v2/models/{name}", server.model_metadata)
    app.add_api_route("/v2/models/{name}/ready", server.model_ready)
    app.add_api_route("/v2/models/{name}/infer", server.infer, methods=["POST"])
    app.add_exception_handler(DalsegnoError, _answer_error)
    app.add_exception_handler(404, _answer_error)
    app.add_exception_handler(405, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(500, _answer_error)
    return app


class _Server:
    def __init__(self, endpoints: Mapping[str, Endpoint], limits: Limits) -> None:
        self._endpoints = endpoints
        self._limits = limits

    async def metadata(self) -> Response:
        """Tell what this server is."""
        return _json({"name": "dalsegno", "version": version("dalsegno"), "extensions": []})

    async def live(self) -> Response:
        """Tell that the server runs."""
        return _json({"live": True})

    async def ready(self) -> Response:
        """Tell whether every endpoint has a model."""
        is_ready = all(endpoint.live for endpoint in self._endpoints.values())
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    async def model_ready(self, name: str) -> Response:
        """Tell whether an endpoint has a model."""
        is_ready = self._endpoint(name).live is not None
        return _json({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    async def model_metadata(self, name: str) -> Response:
        """Tell inputs, outputs and release of an endpoint."""
        served, trouble = self._served(name), self._endpoint(name).trouble
        release = served.release
        return _json(
            {
                "name": name,
                "versions": [str(release.number)],
                "platform": "onnxruntime_onnx",
                "inputs": [
                    {"name": column, "datatype": datatype, "shape": [-1, 1]}
                    for column, datatype in served.model.inputs.items()
                ],
                "outputs": [
                    {"name": output, "datatype": datatype, "shape": [-1]}
                    for output, datatype in OUTPUTS.items()
                ],
                "parameters": {
                    "threshold": release.threshold,
                    "model_sha256": release.model_sha256,
                    **({"trouble": trouble} if trouble else {}),
                },
            }
        )

    async def infer(self, name: str, request: Request) -> Response:
        """Predict for a batch of rows."""
        self._endpoint(name)
        asked = read_request(await _read_body(request, self._limits))
        served = self._served(name)  # once: the answer is of one release
        tensors = read_tensors(asked, dict(served.model.inputs))
        if len(next(iter(tensors.values()))) <= _INLINE_ROWS:
            probabilities = served.model.run(tensors)
        else:
            probabilities = await run_in_threadpool(served.model.run, tensors)
        return _json(write_answer(asked, served.release, probabilities))

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            known = ", ".join(sorted(self._endpoints))
            raise HTTPException(404, f"model: got {name[:60]!r}, want one of: {known}")
        return endpoint

    def _served(self, name: str, key: str = "") -> Served:
        endpoint = self._endpoint(name)
        live = endpoint.live
        if live is None:
            why = endpoint.trouble or "no release"
            raise HTTPException(503, f"model {name!r}: got {why}, want a release")
        return endpoint.choose(live, key)


async def _read_body(request: Request, limits: Limits) -> bytes:
    if "inference-header-content-length" in request.headers:
        raise InputError("request: got binary tensors, want JSON only")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    want = f"at most {limits.body_bytes} bytes"
                    raise HTTPException(413, f"request: got a larger body, want {want}")
    except TimeoutError as error:
        want = f"all of it within {limits.body_seconds:g} s"
        raise HTTPException(408, f"request: got half a body, want {want}") from error
    return bytes(body)


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _json({"error": str(error.detail)}, error.status_code)
    if isinstance(error, InputError):
        return _json({"error": str(error)}, 400)
    if getattr(error, "status_code", None) in (404, 405):  # from the router, not one of ours
        got = f"{request.method} {request.url.path[:100]}"
        want = "a path of the Open Inference Protocol v2: /v2/models/NAME/infer"
        return _json({"error": f"path: got {got}, want {want}"}, error.status_code)  # type: ignore[attr-defined]
    return _json({"error": "server: got an error of its own, want an answer. See its log"}, 500)


def _json(document: Any, status: int = 200) -> Response:
    return Response(encode(document), status, media_type="application/json")
