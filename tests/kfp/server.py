"""A server that answers as KFP's API server and UI do. From source: see README.md."""

from __future__ import annotations

import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import grpc

from dalsegno.cluster.mlmd_stubs import metadata_store_pb2 as mlmd
from dalsegno.cluster.mlmd_stubs import metadata_store_service_pb2 as calls
from tests.kfp.answers import ClusterRun, Metadata

SERVICE = "ml_metadata.MetadataStoreService"
PAGE = 3


class FakeKfp:
    """The state of a cluster and its HTTP face.

    Attributes:
        faults: What the next calls get, in order: a status code, `hang`, or a recorded answer.
        requests: Method, path and body of every call.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.experiments: list[dict[str, Any]] = []
        self.schedules: list[dict[str, Any]] = []
        self.logs: dict[tuple[str, str], str] = {}
        self.is_ui = False
        self.metadata: Metadata | None = None
        self.health = {"commit_sha": "c0ffee", "tag_name": "2.17.0", "multi_user": False}
        self.faults: list[int | str | dict[str, Any]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.token: str | None = None
        self.next_state = "SUCCEEDED"
        self._count = 0

    def add(self, run: ClusterRun, **manifest: Any) -> None:
        self.runs[run.run_id] = run.v2()
        self.manifests[run.run_id] = run.v1(**manifest)

    def new_id(self) -> str:
        self._count += 1
        return f"{self._count:08x}-0000-4000-8000-000000000000"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        for verb, pattern, call in ROUTES:
            found = re.fullmatch(pattern, path)
            if verb == method and found:
                try:
                    return 200, call(self, query, body, *map(unquote, found.groups()))
                except KeyError as error:
                    return 404, _status(
                        5, f"Failed to get it: ResourceNotFoundError: {error} not found"
                    )
                except ValueError as error:
                    return 400, _status(3, f"Invalid input error: {error}")
                except FileExistsError as error:
                    return 409, _status(6, f"Already exist error: {error}")
        return 404, _status(5, "Not Found")


def _status(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "details": []}


def _checked(form: str, body: dict[str, Any]) -> dict[str, Any]:
    """Hold a request against the generated client's models: no unknown name, right kinds."""
    import kfp_server_api

    client = kfp_server_api.ApiClient()
    model = client._ApiClient__deserialize(body, form)
    known = client.sanitize_for_serialization(model)
    assert set(body) <= set(known), f"{form} has no {set(body) - set(known)}"
    return body


def _page(items: list[dict[str, Any]], key: str, query: dict[str, str]) -> dict[str, Any]:
    for predicate in json.loads(query.get("filter") or '{"predicates": []}')["predicates"]:
        assert predicate["operation"] == "EQUALS"
        items = [item for item in items if item.get(predicate["key"]) == predicate["string_value"]]
    start = int(query.get("page_token") or 0)
    shown = items[start : start + min(PAGE, int(query.get("page_size", 20)))]
    answer: dict[str, Any] = {key: shown} if shown else {}
    if start + len(shown) < len(items):
        answer["next_page_token"] = str(start + len(shown))
    return answer


def _create_pipeline(kfp: FakeKfp, query: Any, body: Any) -> Any:
    _checked("V2beta1Pipeline", body)
    if any(item["name"] == body["name"] for item in kfp.pipelines):
        raise FileExistsError(body["name"])
    kfp.pipelines.append({**body, "pipeline_id": kfp.new_id(), "created_at": _now()})
    return kfp.pipelines[-1]


def _upload_version(kfp: FakeKfp, query: Any, body: Any) -> Any:
    text = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0].decode()
    import yaml

    spec = next(yaml.safe_load_all(text))
    if any(
        item["name"] == query["name"] and item["pipeline_id"] == query["pipelineid"]
        for item in kfp.versions
    ):
        raise FileExistsError(query["name"])
    made = {
        "pipeline_id": query["pipelineid"],
        "pipeline_version_id": kfp.new_id(),
        "name": query["name"],
        "display_name": query["name"],
        "created_at": _now(),
        "pipeline_spec": spec,
    }
    kfp.versions.insert(0, made)
    return made


def _create_experiment(kfp: FakeKfp, query: Any, body: Any) -> Any:
    _checked("V2beta1Experiment", body)
    kfp.experiments.append({**body, "experiment_id": kfp.new_id()})
    return kfp.experiments[-1]


def _create_run(kfp: FakeKfp, query: Any, body: Any) -> Any:
    _checked("V2beta1Run", body)
    run_id = kfp.new_id()
    kfp.runs[run_id] = {**body, "run_id": run_id, "state": "PENDING", "created_at": _now()}
    return kfp.runs[run_id]


def _get_run(kfp: FakeKfp, query: Any, body: Any, run_id: str) -> Any:
    run = dict(kfp.runs[run_id])
    if run["state"] == "PENDING":
        kfp.runs[run_id]["state"] = "RUNNING"
    elif run["state"] == "RUNNING":
        kfp.runs[run_id]["state"] = kfp.next_state
    return run


def _set_run(state: str) -> Callable[..., Any]:
    def change(kfp: FakeKfp, query: Any, body: Any, run_id: str) -> Any:
        kfp.runs[run_id]["state"] = state
        return {}

    return change


def _terminate(kfp: FakeKfp, query: Any, body: Any, run_id: str) -> Any:
    """As `TerminateRun` of backend/src/apiserver/storage/run_store.go."""
    if kfp.runs[run_id]["state"] not in ("PENDING", "RUNNING", "PAUSED"):
        raise ValueError(f"Failed to terminate a run {run_id}. Row not found")
    kfp.runs[run_id]["state"] = "CANCELING"
    return {}


def _health(kfp: FakeKfp, query: Any, body: Any) -> Any:
    """As newHealthzResponse of apiserver/main.go; as frontend/server/handlers/healthz.ts."""
    if not kfp.is_ui:
        return kfp.health
    names = {"commit_sha": "apiServerCommitHash", "tag_name": "apiServerTagName"}
    names["multi_user"] = "apiServerMultiUser"
    return {"apiServerReady": True, **{names[name]: value for name, value in kfp.health.items()}}


def _create_schedule(kfp: FakeKfp, query: Any, body: Any) -> Any:
    _checked("V2beta1RecurringRun", body)
    _checked("V2beta1Trigger", body["trigger"])
    status = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
    made = {**body, "recurring_run_id": kfp.new_id(), "status": status, "created_at": _now()}
    del made["mode"]
    kfp.schedules.insert(0, made)
    return made


def _schedule(kfp: FakeKfp, schedule_id: str) -> dict[str, Any]:
    found = [item for item in kfp.schedules if item["recurring_run_id"] == schedule_id]
    if not found:
        raise KeyError(schedule_id)
    return found[0]


def _switch(kfp: FakeKfp, query: Any, body: Any, schedule_id: str, verb: str) -> Any:
    _schedule(kfp, schedule_id)["status"] = "ENABLED" if verb == "enable" else "DISABLED"
    return {}


def _delete(kfp: FakeKfp, query: Any, body: Any, schedule_id: str) -> Any:
    kfp.schedules.remove(_schedule(kfp, schedule_id))
    return {}


def _named(kfp: FakeKfp, query: Any, body: Any, name: str) -> Any:
    return (
        next(iter([p for p in kfp.pipelines if p["name"] == name]))
        if any(p["name"] == name for p in kfp.pipelines)
        else {}[name]
    )


def _version(kfp: FakeKfp, query: Any, body: Any, pipeline: str, version: str) -> Any:
    known = {item["pipeline_version_id"]: item for item in kfp.versions}
    return known[version]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


_V2 = "/apis/v2beta1"
_ID = "([^/:]+)"
ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", f"{_V2}/healthz", _health),
    ("GET", f"/apis/v1beta1/runs/{_ID}", lambda kfp, q, b, run: kfp.manifests[run]),
    ("GET", f"{_V2}/runs", lambda kfp, q, b: _page(list(kfp.runs.values())[::-1], "runs", q)),
    ("POST", f"{_V2}/runs", _create_run),
    ("GET", f"{_V2}/runs/{_ID}", _get_run),
    ("GET", f"{_V2}/runs/{_ID}/tasks", lambda kfp, q, b, run: _page(kfp.tasks[run], "tasks", q)),
    ("POST", f"{_V2}/runs/{_ID}:terminate", _terminate),
    ("POST", f"{_V2}/runs/{_ID}:retry", _set_run("RUNNING")),
    ("GET", f"{_V2}/pipelines/names/{_ID}", _named),
    ("POST", f"{_V2}/pipelines", _create_pipeline),
    ("POST", f"{_V2}/pipelines/upload_version", _upload_version),
    (
        "GET",
        f"{_V2}/pipelines/{_ID}/versions",
        lambda kfp, q, b, p: _page(
            [item for item in kfp.versions if item["pipeline_id"] == p], "pipeline_versions", q
        ),
    ),
    ("GET", f"{_V2}/pipelines/{_ID}/versions/{_ID}", _version),
    ("GET", f"{_V2}/experiments", lambda kfp, q, b: _page(kfp.experiments, "experiments", q)),
    ("POST", f"{_V2}/experiments", _create_experiment),
    ("GET", f"{_V2}/recurringruns", lambda kfp, q, b: _page(kfp.schedules, "recurringRuns", q)),
    ("POST", f"{_V2}/recurringruns", _create_schedule),
    ("POST", f"{_V2}/recurringruns/{_ID}:(enable|disable)", _switch),
    ("DELETE", f"{_V2}/recurringruns/{_ID}", _delete),
]


@contextmanager
def serve(kfp: FakeKfp) -> Iterator[str]:
    """Serve a cluster on a free port; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(size)
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            is_json = "json" in (self.headers.get("Content-Type") or "")
            body = json.loads(raw) if raw and is_json else raw
            kfp.requests.append((self.command, self.path, body))
            if kfp.token and self.headers.get("Authorization") != f"Bearer {kfp.token}":
                self._send(401, b"Unauthorized", "text/plain")
            elif kfp.faults:
                self._fault(kfp.faults.pop(0))
            elif parts.path.startswith(f"/{SERVICE}/"):
                self._grpc_web(parts.path.rpartition("/")[2], raw)
            elif "/nodes/" in parts.path:
                self._log(*parts.path.split("/")[4:7:2])
            elif parts.path == "/k8s/pod/logs":
                text = kfp.logs.get((query["runid"], query["podname"]))
                self._send(200 if text else 404, (text or "pod not found").encode(), "")
            else:
                status, answer = kfp.answer(self.command, parts.path, query, body)
                self._send(status, json.dumps(answer).encode(), "application/json")

        do_GET = do_POST = do_DELETE = _do

        def _log(self, run_id: str, pod: str) -> None:
            """Answer as run_log_server.go: 200 comes first, what went wrong behind it.

            The UI (frontend/server/app.ts) passes on v1beta1 and v2beta1 alone.
            """
            if kfp.is_ui:
                self._send(404, b"<pre>Cannot GET</pre>", "text/html; charset=utf-8")
                return
            said = f"BadRequestError: Failed to read logs for run {run_id}: no pod {pod}"
            error = json.dumps(
                {"error_message": said, "error_details": said}, separators=(",", ":")
            )
            text = kfp.logs.get((run_id, pod), error)
            self._send(200, text.encode(), "text/plain")

        def _fault(self, fault: int | str | dict[str, Any]) -> None:
            if isinstance(fault, dict):
                text = (
                    fault["body"]
                    if isinstance(fault["body"], str)
                    else json.dumps(fault["body"], separators=(",", ":"))
                )
                self._send(fault["status"], text.encode(), fault["content_type"])
            elif fault == "hang":
                time.sleep(3)
                self.close_connection = True
            elif fault == "plain":
                said = b"Invalid input error: PipelineVersion.Name length cannot exceed 127\n"
                self._send(400, said, "text/plain; charset=utf-8")
            elif fault == "html":
                self._send(200, b"<html>log in</html>", "text/html")
            else:
                text = json.dumps(_status(13, "it broke")).encode()
                self._send(int(fault), text, "application/json")

        def _grpc_web(self, method: str, raw: bytes) -> None:
            if kfp.metadata is None:
                self._send(404, b"no", "text/plain")
                return
            request = getattr(calls, f"{method}Request").FromString(raw[5:])
            message = answer_metadata(kfp.metadata, method, request).SerializeToString()
            trailer = b"grpc-status:0\r\n"
            frames = struct.pack(">BI", 0, len(message)) + message
            frames += struct.pack(">BI", 0x80, len(trailer)) + trailer
            self._send(200, frames, "application/grpc-web+proto")

        def _send(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_metadata(found: Metadata) -> Iterator[str]:
    """Serve ML Metadata by gRPC on a free port; yields its address."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            method = details.method.rpartition("/")[2]
            form = getattr(calls, f"{method}Request", None)
            if not details.method.startswith(f"/{SERVICE}/") or form is None:
                return None
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: answer_metadata(found, method, request),
                request_deserializer=form.FromString,
                response_serializer=getattr(calls, f"{method}Response").SerializeToString,
            )

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def answer_metadata(found: Metadata, method: str, request: Any) -> Any:
    """Answer one call as ML Metadata does."""
    if method == "GetContextByTypeAndName":
        assert request.type_name == "system.PipelineRun"
        return calls.GetContextByTypeAndNameResponse(
            context=found.contexts.get(request.context_name)
        )
    if method == "GetExecutionsByContext":
        start = int(request.options.next_page_token or 0)
        here = [item for item in found.executions.values() if item.id not in found.elsewhere]
        shown = here[start : start + PAGE]
        token = str(start + PAGE) if start + PAGE < len(here) else ""
        return calls.GetExecutionsByContextResponse(executions=shown, next_page_token=token)
    if method == "GetExecutionsByID":
        items = [found.executions[number] for number in request.execution_ids]
        return calls.GetExecutionsByIDResponse(executions=items)
    if method == "GetExecutionTypesByID":
        types = [
            mlmd.ExecutionType(id=number, name=found.types[number]) for number in request.type_ids
        ]
        return calls.GetExecutionTypesByIDResponse(execution_types=types)
    if method == "GetEventsByExecutionIDs":
        events = [item for item in found.events if item.execution_id in request.execution_ids]
        return calls.GetEventsByExecutionIDsResponse(events=events)
    items = [found.artifacts[number] for number in request.artifact_ids]
    return calls.GetArtifactsByIDResponse(artifacts=items)
