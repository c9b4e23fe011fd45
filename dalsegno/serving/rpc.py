"""The Open Inference Protocol v2 over gRPC.

Messages come in as bytes and are read here, so that one that cannot be read is the caller's fault
and not an internal error.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from dalsegno.errors import DalsegnoError, InputError
from dalsegno.serving.endpoint import Live, Served
from dalsegno.serving.faults import RPC_STATUS, Refusal, refusal_of
from dalsegno.serving.messages import OUTPUTS, Answer, InferenceRequest, WantedOutput
from dalsegno.serving.oip import grpc_predict_v2_pb2 as oip
from dalsegno.serving.service import KEY_HEADER, Asked, Service
from dalsegno.serving.tensors import Tensor, as_bytes, check_texts, from_bytes

SERVICE = "inference.GRPCInferenceService"
_HEADERS_BYTES = 16 * 1024
_PUSHBACK = "grpc-retry-pushback-ms"
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""By datatype the field of a tensor's contents."""

_Context = Any
_Any = TypeVar("_Any", bound=Message)
_Handler = Callable[[bytes, _Context], Awaitable[bytes]]


async def start_rpc(service: Service, host: str, port: int) -> tuple[grpc.aio.Server, str]:
    """Begin to answer over gRPC.

    Returns:
        The server, and `host:port` where it listens.

    Raises:
        ConfigurationError: The port is taken.
    """
    from dalsegno.errors import ConfigurationError

    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", service.limits.body_bytes),
            ("grpc.max_metadata_size", _HEADERS_BYTES),
            ("grpc.so_reuseport", 0),
        ]
    )
    server.add_generic_rpc_handlers((_handlers(_Rpc(service)),))
    place = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{place}:{port}")
    except RuntimeError as error:
        raise ConfigurationError(
            f"address {place}:{port}: got it taken, want a free one for gRPC",
            "dalsegno serve ENDPOINT --grpc-port 0",
        ) from error
    await server.start()
    return server, f"{place}:{bound}"


def read_message(message: bytes) -> tuple[oip.ModelInferRequest, InferenceRequest]:
    """Read a request for a prediction.

    Raises:
        InputError: It is none, or a tensor is not whole.
    """
    asked = _parse(oip.ModelInferRequest, message)
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise InputError(
            f"raw_input_contents: got {len(raw)} tensors, want {len(asked.inputs)} as in inputs"
        )
    request = InferenceRequest(
        id=asked.id,
        inputs=[_tensor(each, raw[i] if raw else None) for i, each in enumerate(asked.inputs)],
        outputs=[WantedOutput(each.name) for each in asked.outputs],
        parameters={name: _parameter(each) for name, each in asked.parameters.items()},
    )
    return asked, request


def write_message(answer: Answer, *, is_raw: bool) -> bytes:
    """Write an answer, its values as raw bytes if those of the request were.

    The threshold is not told: the protocol's parameters have no fractions.
    """
    release = answer.served.release
    message = oip.ModelInferResponse(
        model_name=release.endpoint, model_version=str(release.number), id=answer.id
    )
    message.parameters["prediction_id"].string_param = answer.prediction_id
    message.parameters["model_sha256"].string_param = release.model_sha256
    for wanted, values in answer.outputs():
        datatype = OUTPUTS[wanted.name]
        output = message.outputs.add(name=wanted.name, datatype=datatype, shape=[len(values)])
        if is_raw:
            message.raw_output_contents.append(as_bytes(values))
        else:
            getattr(output.contents, _CONTENTS[datatype]).extend(values.tolist())
    return message.SerializeToString()


class _Rpc:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def live(self, message: bytes, context: _Context) -> bytes:
        return oip.ServerLiveResponse(live=True).SerializeToString()

    async def ready(self, message: bytes, context: _Context) -> bytes:
        return oip.ServerReadyResponse(ready=self._service.is_ready).SerializeToString()

    async def metadata(self, message: bytes, context: _Context) -> bytes:
        return oip.ServerMetadataResponse(
            name="dalsegno", version=version("dalsegno")
        ).SerializeToString()

    async def model_ready(self, message: bytes, context: _Context) -> bytes:
        asked = _parse(oip.ModelReadyRequest, message)
        self._service.endpoint(asked.name)
        try:
            _served(self._service.live(asked.name), asked.version)
            is_ready = not self._service.gate.is_draining
        except DalsegnoError:
            is_ready = False
        return oip.ModelReadyResponse(ready=is_ready).SerializeToString()

    async def model(self, message: bytes, context: _Context) -> bytes:
        asked = _parse(oip.ModelMetadataRequest, message)
        self._service.access.check(_header(context, "authorization"), asked.name)
        live = self._service.live(asked.name)
        inputs = _served(live, asked.version).model.inputs
        described = oip.ModelMetadataResponse(name=asked.name, platform="onnxruntime_onnx")
        described.versions.extend(str(each.release.number) for each in live.answering())
        for name, datatype in inputs.items():
            described.inputs.add(name=name, datatype=datatype, shape=[-1, 1])
        for name, kind in OUTPUTS.items():
            described.outputs.add(name=name, datatype=kind, shape=[-1])
        return described.SerializeToString()

    async def infer(self, message: bytes, context: _Context) -> bytes:
        asked = Asked("", "", "grpc", started=time.perf_counter())
        try:
            return await self._infer(asked, message, context)
        except Exception as error:
            refusal = refusal_of(error)
            self._service.refused(asked, refusal.status)
            raise refusal from error

    async def _infer(self, asked: Asked, message: bytes, context: _Context) -> bytes:
        service = self._service
        service.gate.enter()
        try:
            parsed, request = read_message(message)
            asked.endpoint, asked.version = parsed.model_name, parsed.model_version
            asked.caller = service.access.check(_header(context, "authorization"), asked.endpoint)
            asked.key = _header(context, KEY_HEADER) or ""
            answer = await service.answer(asked, request)
            return write_message(answer, is_raw=bool(parsed.raw_input_contents))
        finally:
            service.gate.leave()


def _handlers(rpc: _Rpc) -> grpc.GenericRpcHandler:
    methods: Mapping[str, _Handler] = {
        "ServerLive": rpc.live,
        "ServerReady": rpc.ready,
        "ServerMetadata": rpc.metadata,
        "ModelReady": rpc.model_ready,
        "ModelMetadata": rpc.model,
        "ModelInfer": rpc.infer,
    }
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(_with_faults(method))
            for name, method in methods.items()
        },
    )


def _with_faults(method: _Handler) -> _Handler:
    async def answer(message: bytes, context: _Context) -> bytes:
        try:
            return await method(message, context)
        except Exception as error:
            refusal = refusal_of(error)
        await _abort(context, refusal)

    return answer


async def _abort(context: _Context, refusal: Refusal) -> NoReturn:
    status = grpc.StatusCode[RPC_STATUS.get(refusal.status, "INTERNAL")]
    pushback: Sequence[tuple[str, str]] = ()
    if refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
        pushback = ((_PUSHBACK, str(1000 * int(refusal.headers["retry-after"]))),)
    await context.abort(status, str(refusal), pushback)
    raise AssertionError("abort raises")


def _parse(kind: type[_Any], message: bytes) -> _Any:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        want = f"a {kind.DESCRIPTOR.name}"
        raise InputError(
            f"request: got {len(message)} bytes of another kind, want {want}"
        ) from error


def _tensor(given: Any, raw: bytes | None) -> Tensor:
    if raw is not None:
        if given.HasField("contents"):
            got = f"input {given.name[:60]!r}: got contents and raw_input_contents"
            raise InputError(f"{got}, want one of them")
        values: Any = from_bytes(given.name, given.datatype, raw)
    elif given.datatype in _CONTENTS:
        values = list(getattr(given.contents, _CONTENTS[given.datatype]))
        if given.datatype == "BYTES":
            values = check_texts(given.name, values)
    else:
        want = f"raw_input_contents or one of {', '.join(_CONTENTS)}"
        got = f"input {given.name[:60]!r}: got contents of {given.datatype[:20]!r}"
        raise InputError(f"{got}, want {want}")
    return Tensor(given.name, given.datatype, list(given.shape), values)


def _parameter(given: Any) -> Any:
    chosen = given.WhichOneof("parameter_choice")
    return getattr(given, chosen) if chosen else None


def _served(live: Live, number: str) -> Served:
    return live.version(number) if number else live.champion


def _header(context: _Context, wanted: str) -> str | None:
    for name, value in context.invocation_metadata() or ():
        if name == wanted:
            return str(value)
    return None
