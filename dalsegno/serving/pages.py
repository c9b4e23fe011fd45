"""What the server tells over HTTP besides predictions: health, metadata, status, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dalsegno.errors import DalsegnoError
from dalsegno.serving.faults import Refusal, refusal_of
from dalsegno.serving.messages import OUTPUTS
from dalsegno.serving.metrics import CONTENT_TYPE
from dalsegno.serving.protocol import encode

if TYPE_CHECKING:
    from dalsegno.serving.endpoint import Live, Served
    from dalsegno.serving.service import Service

_EXTENSIONS = ["binary_tensor_data"]
_WANTED_PATH = "a path of the Open Inference Protocol v2: /v2/models/NAME/infer"


def make_pages(service: Service) -> Starlette:
    """Make the application for all that is not a prediction."""
    pages = _Pages(service)
    model = "/v2/models/{name}"
    return Starlette(
        routes=[
            Route("/v2", pages.metadata),
            Route("/v2/health/live", pages.live),
            Route("/v2/health/ready", pages.ready),
            Route("/metrics", pages.metrics),
            Route("/openapi.json", pages.openapi),
            *(
                route
                for base in (model, f"{model}/versions/{{version}}")
                for route in (
                    Route(base, pages.model),
                    Route(f"{base}/ready", pages.model_ready),
                    Route(f"{base}/infer", pages.no_route, methods=["POST"]),
                )
            ),
            Route(f"{model}/status", pages.status),
        ],
        exception_handlers={
            DalsegnoError: _answer_error,
            HTTPException: _answer_error,
            Exception: _answer_error,
        },
    )


class _Pages:
    """All that is not a prediction."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def metadata(self, request: Request) -> Response:
        """Tell what this server is."""
        return _json(
            {"name": "dalsegno", "version": version("dalsegno"), "extensions": _EXTENSIONS}
        )

    async def live(self, request: Request) -> Response:
        """Tell that the server runs."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Tell whether every endpoint has a model, and none is about to go."""
        is_ready = self._service.is_ready
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    async def model_ready(self, request: Request) -> Response:
        """Tell whether an endpoint has a model."""
        name, number = request.path_params["name"], request.path_params.get("version", "")
        live = self._service.endpoint(name).live
        if live and number:
            live.version(number)
        is_ready = live is not None and not self._service.gate.is_draining
        return _json({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    async def model(self, request: Request) -> Response:
        """Tell inputs, outputs and release of an endpoint."""
        name = self._allowed(request)
        described = describe(self._service.live(name), request.path_params.get("version", ""))
        trouble = self._service.endpoint(name).trouble
        if trouble:
            described["parameters"]["trouble"] = trouble
        return _json(described)

    async def status(self, request: Request) -> Response:
        """Tell what is live of an endpoint, and what keeps the newest release from it."""
        name = self._allowed(request)
        endpoint = self._service.endpoint(name)
        live = endpoint.live
        roles = {each.role: _release(each) for each in live.all()} if live else {}
        return _json(
            {
                "name": name,
                "ready": live is not None and not self._service.gate.is_draining,
                "release": live.number if live else None,
                "trouble": endpoint.trouble,
                "canary_percent": live.canary_percent if live else 0,
                "serving": roles,
                "swaps": {"done": endpoint.swaps_done, "refused": endpoint.swaps_refused},
            }
        )

    async def metrics(self, request: Request) -> Response:
        """Tell Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Describe all this."""
        from dalsegno.serving.openapi import document

        return _json(document(sorted(self._service.endpoints)))

    async def no_route(self, request: Request) -> Response:
        """Stand for the predictions, which never come this way, where methods are told."""
        raise HTTPException(HTTPStatus.NOT_FOUND)

    def _allowed(self, request: Request) -> str:
        name = str(request.path_params["name"])
        self._service.access.check(request.headers.get("authorization"), name)
        return name


def describe(live: Live, number: str = "") -> dict[str, Any]:
    """Describe a model as the protocol has it.

    Args:
        live: What is live of its endpoint.
        number: Of a release that may answer, "" for the champion.

    Raises:
        NotFoundError: It is not one of those that may answer.
    """
    served = live.version(number) if number else live.champion
    release = served.release
    return {
        "name": release.endpoint,
        "versions": [str(each.release.number) for each in live.answering()],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": column, "datatype": datatype, "shape": [-1, 1]}
            for column, datatype in served.model.inputs.items()
        ],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": [-1]}
            for output, datatype in OUTPUTS.items()
        ],
        "parameters": {"threshold": release.threshold, "model_sha256": release.model_sha256},
    }


def _release(served: Served) -> dict[str, Any]:
    release = served.release
    return {
        "release": release.number,
        "model_sha256": release.model_sha256,
        "threshold": release.threshold,
    }


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # from the router, not one of ours
        got = f"{request.method} {request.url.path[:100]}"
        error = Refusal(error.status_code, f"path: got {got}, want {_WANTED_PATH}", error.headers)
    refusal = refusal_of(error)
    return _json({"error": str(refusal)}, refusal.status, refusal.headers)


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(document), status, headers, media_type="application/json")
