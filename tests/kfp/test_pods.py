"""Runs read from live workflows and pods, from an API server that answers from source."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.pods import PodSource
from dalsegno.errors import ConfigurationError, NotFoundError
from tests.kfp.expected import defaults, given, values


class FakeKubernetes:
    """What lives in the namespace `kubeflow`."""

    def __init__(self):
        self.workflows, self.pods, self.status = [], [], 200

    def answer(self, path, query):
        kinds = {"workflows": self.workflows, "pods": self.pods}
        selected = query["labelSelector"][0].partition("=")[2]
        items = kinds[path.rpartition("/")[2]]
        found = [i for i in items if i["metadata"]["labels"]["pipeline/runid"] == selected]
        return {"kind": "List", "items": found}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    state = FakeKubernetes()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            parts = urlsplit(self.path)
            body = {"message": "no"}
            if state.status == 200:
                body = state.answer(parts.path, parse_qs(parts.query))
            data = json.dumps(body).encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [
            {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(cluster, api):
    return PodSource(KubernetesApi(ClusterAccess("http://x", timeout_seconds=5)), api)


def pod(there, record, number):
    name = there.argo_name(record.task)
    exit_code = 0 if record.state == "succeeded" else 1
    return {
        "metadata": {
            "name": f"pod-{number}",
            "creationTimestamp": f"2026-09-21T12:53:{number:02}Z",
            "labels": {
                "pipeline/runid": there.run_id,
                "workflows.argoproj.io/workflow": there.workflow_name,
            },
            "annotations": {
                "workflows.argoproj.io/node-name": f"{there.workflow_name}.{name}.executor"
            },
        },
        "spec": there.pod_spec(record),
        "status": {
            "phase": "Failed" if exit_code else "Succeeded",
            "containerStatuses": [
                {
                    "name": "main",
                    "state": {
                        "terminated": {
                            "exitCode": exit_code,
                            "reason": "OOMKilled" if exit_code else "Completed",
                            "startedAt": "2026-09-21T12:53:20Z",
                            "finishedAt": "2026-09-21T12:53:22Z",
                        }
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize("name", ["chain", "loops", "exits", "failing"])
def test_pods_give_what_the_tasks_had(name, play, kfp, cluster, source):
    there = play(name)
    kfp.add(there)
    cluster.pods = [pod(there, record, n) for n, record in enumerate(there.records)]
    found = {task.task: task for task in source.read(there.run_id).tasks}
    assert set(found) == {record.task for record in there.records}
    for record in there.records:
        task = found[record.task]
        assert given(task) == given(record)
        assert values(task) == defaults(record) | values(record)
        assert (task.command, task.args) == (record.command, record.args)
        if record.state == "failed":
            assert task.error == {"type": "OOMKilled", "message": "exit code 1"}


def test_live_workflow_is_enough(play, cluster, source):
    there = play("loops")
    cluster.workflows = [there.workflow()]
    reading = source.read(there.run_id)
    assert {task.task for task in reading.tasks} == {record.task for record in there.records}
    assert reading.run.created_at.startswith("2026-09-21T12:53:20")


def test_nothing_alive_is_not_found(source):
    with pytest.raises(NotFoundError, match="got no workflow and no pods"):
        source.read("1234")


def test_missing_right_is_named(cluster, source):
    cluster.status = 403
    with pytest.raises(ConfigurationError, match="got 403"):
        source.read("1234")
