"""A Kubernetes API server, as far as runs and `cluster check` ask it. Made from source."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SPACE = "/api/v1/namespaces/kubeflow"
REVIEWS = "/apis/authorization.k8s.io/v1"


class FakeKubernetes:
    """What lives in the namespace `kubeflow`, and who may do what there.

    Attributes:
        status: Answer to everything, unless it is 200.
        labels: Of the namespace; None if it is not there.
        refused: Verb and resource that we, or a service account, may not: `(user, verb, resource)`.
    """

    def __init__(self) -> None:
        self.workflows: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.status = 200
        self.labels: dict[str, str] | None = {"pod-security.kubernetes.io/enforce": "baseline"}
        self.refused: set[tuple[str, str, str]] = set()
        self.bodies: list[dict[str, Any]] = []

    def answer(self, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if self.status != 200:
            return self.status, {"kind": "Status", "message": "no"}
        if path == SPACE and self.labels is None:
            return 404, {"kind": "Status", "message": 'namespaces "kubeflow" not found'}
        if path == SPACE:
            return 200, {"metadata": {"name": "kubeflow", "labels": self.labels}}
        if path.startswith(REVIEWS):
            return 201, {**body, "status": {"allowed": self._allowed(body["spec"])}}
        if body is not None:
            self.bodies.append(body)
            return 201, body
        return 200, {"kind": "List", "items": self._selected(path, query)}

    def _allowed(self, spec: dict[str, Any]) -> bool:
        what = spec["resourceAttributes"]
        assert what["namespace"] == "kubeflow"
        return (spec.get("user", "me"), what["verb"], what["resource"]) not in self.refused

    def _selected(self, path: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        items = {"workflows": self.workflows, "pods": self.pods}[path.rpartition("/")[2]]
        run_id = query["labelSelector"][0].partition("=")[2]
        return [item for item in items if item["metadata"]["labels"]["pipeline/runid"] == run_id]


@contextmanager
def serve_kubernetes(state: FakeKubernetes) -> Iterator[dict[str, Any]]:
    """Serve it on a free port; yields a configuration of kubectl that names it."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def _do(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            status, answer = state.answer(parts.path, parse_qs(parts.query), body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "users": [{"name": "test", "user": {"token": "t"}}],
        }
    finally:
        server.shutdown()
        server.server_close()
