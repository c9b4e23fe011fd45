"""Calls of ML Metadata: by gRPC, or by gRPC-web through the UI of Kubeflow Pipelines."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.transport import Transport
from dalsegno.errors import (
    ConfigurationError,
    InfrastructureError,
    InputError,
    NotFoundError,
)

if TYPE_CHECKING:
    import grpc

    from dalsegno.cluster.mlmd_stubs import metadata_store_pb2 as forms

Answer = TypeVar("Answer")

_SERVICE = "ml_metadata.MetadataStoreService"
_MAX_ANSWER_BYTES = 100 * 1024 * 1024  # as the launcher's own client
_PAGE, _IDS = 100, 500
_TRAILER = 0x80
_HEAD = struct.Struct(">BI")  # kind of frame, length
_NOT_FOUND = "5"


class MetadataStore(ABC):
    """The few calls that reading a run takes."""

    where: str

    def run_context(self, run_id: str) -> forms.Context:
        """Return the context of a run.

        Raises:
            NotFoundError: ML Metadata does not know the run.
        """
        answer = self._call(
            "GetContextByTypeAndName", type_name="system.PipelineRun", context_name=run_id
        )
        if not answer.HasField("context"):
            raise NotFoundError(f"ML Metadata {self.where}: got no run {run_id}, want it")
        context: forms.Context = answer.context
        return context

    def executions_of(self, context_id: int) -> Iterator[forms.Execution]:
        """Yield all executions of a context, page by page."""
        token = ""
        while True:
            options = {"max_result_size": _PAGE, "next_page_token": token}
            answer = self._call("GetExecutionsByContext", context_id=context_id, options=options)
            yield from answer.executions
            token = answer.next_page_token
            if not token:
                return

    def executions(self, ids: Sequence[int]) -> list[forms.Execution]:
        """Return executions by id."""
        return self._by_id("GetExecutionsByID", "execution_ids", ids, "executions")

    def events(self, execution_ids: Sequence[int]) -> list[forms.Event]:
        """Return what the executions read and wrote, in the order in which it was recorded."""
        return self._by_id("GetEventsByExecutionIDs", "execution_ids", execution_ids, "events")

    def artifacts(self, ids: Sequence[int]) -> list[forms.Artifact]:
        """Return artifacts by id."""
        return self._by_id("GetArtifactsByID", "artifact_ids", ids, "artifacts")

    def type_names(self, ids: Set[int]) -> dict[int, str]:
        """Return the names of types of executions by id."""
        found = self._by_id("GetExecutionTypesByID", "type_ids", sorted(ids), "execution_types")
        return {item.id: item.name for item in found}

    def _by_id(self, method: str, field: str, ids: Sequence[int], key: str) -> list[Any]:
        found: list[Any] = []
        for start in range(0, len(ids), _IDS):
            answer = self._call(method, **{field: ids[start : start + _IDS]})
            found += getattr(answer, key)
        return found

    def _call(self, method: str, **fields: Any) -> Any:
        from dalsegno.cluster.mlmd_stubs import metadata_store_service_pb2 as calls

        request = getattr(calls, f"{method}Request")(**fields)
        return self._send(method, request, getattr(calls, f"{method}Response"))

    @abstractmethod
    def _send(self, method: str, request: Any, form: type[Answer]) -> Answer:
        """Send one message and wait for the other."""


class GrpcMetadataStore(MetadataStore):
    """ML Metadata at `host:port`, by gRPC."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self.where = address
        self._timeout = timeout_seconds

    def _send(self, method: str, request: Any, form: type[Answer]) -> Answer:
        import grpc

        call = self._channel.unary_unary(
            f"/{_SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=form.FromString,  # type: ignore[attr-defined]
        )
        try:
            answer: Answer = call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code = error.code().name
            message = f"ML Metadata {self.where}: got {code}, want an answer"
            kind = NotFoundError if code == "NOT_FOUND" else InfrastructureError
            raise kind(message, "kubectl -n kubeflow get svc metadata-grpc-service") from error
        return answer

    @cached_property
    def _channel(self) -> grpc.Channel:
        import grpc

        options = [("grpc.max_receive_message_length", _MAX_ANSWER_BYTES)]
        return grpc.insecure_channel(self.where, options=options)


class WebMetadataStore(MetadataStore):
    """ML Metadata behind the UI, by gRPC-web."""

    def __init__(self, access: ClusterAccess) -> None:
        self._http = Transport(access, access.ui_host)
        self.where = self._http.base

    def _send(self, method: str, request: Any, form: type[Answer]) -> Answer:
        body = request.SerializeToString()
        try:
            answer = self._http.call(
                "POST",
                f"/{_SERVICE}/{method}",
                content=_HEAD.pack(0, len(body)) + body,
                headers={"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"},
                idempotent=True,
            )
        except (ConfigurationError, InputError) as error:
            raise self._no_service() from error
        if "grpc-web" not in answer.headers.get("content-type", ""):
            raise self._no_service()
        message, trailers = _frames(answer.content)
        status = trailers.get("grpc-status") or answer.headers.get("grpc-status", "0")
        if status != "0" or message is None:
            said = trailers.get("grpc-message") or answer.headers.get("grpc-message", "")
            kind = NotFoundError if status == _NOT_FOUND else InfrastructureError
            raise kind(f"ML Metadata {self.where}: got status {status} {said}, want an answer")
        found: Answer = form.FromString(message)  # type: ignore[attr-defined]
        return found

    def _no_service(self) -> NotFoundError:
        message = f"ML Metadata {self.where}: got no gRPC-web there, want KFP's UI"
        return NotFoundError(message, "export DALSEGNO_KFP_UI_HOST=… or DALSEGNO_MLMD_ADDRESS=…")


def open_metadata_store(access: ClusterAccess) -> MetadataStore:
    """Return ML Metadata by its own address if one is set, else through the UI."""
    if access.mlmd_address:
        return GrpcMetadataStore(access.mlmd_address, access.timeout_seconds)
    return WebMetadataStore(access)


def _frames(data: bytes) -> tuple[bytes | None, dict[str, str]]:
    """Part an answer into its message and its trailers."""
    message: bytes | None = None
    trailers: dict[str, str] = {}
    start = 0
    while start + _HEAD.size <= len(data):
        kind, length = _HEAD.unpack_from(data, start)
        content = data[start + _HEAD.size : start + _HEAD.size + length]
        if len(content) < length:
            raise InfrastructureError("ML Metadata: got an answer cut short, want it whole")
        if kind & _TRAILER:
            lines = (line.partition(":") for line in content.decode(errors="replace").split("\r\n"))
            trailers |= {name.strip().lower(): value.strip() for name, _, value in lines}
        else:
            message = content
        start += _HEAD.size + length
    return message, trailers
