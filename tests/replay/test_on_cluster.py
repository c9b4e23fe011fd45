"""Replays on a cluster: the one-task pipeline runs for real; KFP's answers are made from source.

The pods of the fake cluster are tasks of the local engine, its store is a real SeaweedFS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dalsegno.cli.main import app
from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.sources import open_sources
from dalsegno.engine.run import run_pipeline
from dalsegno.engine.spec import parse_pipeline
from dalsegno.errors import InputError
from dalsegno.replay.on_cluster import Cluster, play_on_cluster, upload_inputs
from dalsegno.replay.one_task import one_task_pipeline
from dalsegno.replay.verdict import judge
from dalsegno.settings import open_artifact_store
from dalsegno.store import open_store
from tests.engine import samples
from tests.kfp.answers import ROOT, ClusterRun
from tests.kfp.server import FakeKfp, serve
from tests.servers import BUCKET


class PlayingKfp(FakeKfp):
    """A cluster whose runs are played by the local engine."""

    def __init__(self, folder: Path, bucket) -> None:
        super().__init__()
        self.here = open_store(str(folder))
        self.bucket = bucket

    def answer(self, method, path, query, body) -> tuple[int, Any]:
        code, answer = super().answer(method, path, query, body)
        if (method, path) == ("POST", "/apis/v2beta1/runs") and code == 200:
            reference = body["pipeline_version_reference"]["pipeline_version_id"]
            version = next(
                item for item in self.versions if item["pipeline_version_id"] == reference
            )
            self.play(answer["run_id"], version["pipeline_spec"])
        return code, answer

    def play(self, run_id: str, spec: dict[str, Any]) -> None:
        pipeline = parse_pipeline(yaml.safe_dump(spec), "version")
        record = run_pipeline(pipeline, {}, self.here)
        there = ClusterRun.of(record, self.here, pipeline, run_id=run_id)
        there.records = [item for item in there.records if item.executor != "importer"]
        for item in there.records:  # the launcher registers what the task said of its outputs
            said = (item.executor_output or {}).get("artifacts", {})
            for name, group in item.executor_input["outputs"]["artifacts"].items():
                for artifact, written in zip(
                    group["artifacts"], said.get(name, group)["artifacts"], strict=True
                ):
                    artifact["metadata"] = written.get("metadata", {})
        self.add(there)
        self.metadata = there.metadata()
        before = f"{self.here.uri}/runs/{record.run_id}/artifacts/"
        for item in self.here.list(f"runs/{record.run_id}/artifacts"):
            name = self.here.uri_of(item.key).removeprefix(before)
            key = self.bucket.key_of(f"{there.root}/{name}")
            self.bucket.put(key, self.here.get(item.key))


@pytest.fixture
def bucket(s3_server, monkeypatch):
    for name in ("endpoint", "access_key", "secret_key"):
        monkeypatch.setenv(f"DALSEGNO_S3_{name.upper()}", getattr(s3_server, name))
    monkeypatch.setenv("DALSEGNO_S3_SECURE", "false")
    monkeypatch.setenv("DALSEGNO_KFP_PIPELINE_ROOT", ROOT)
    return open_store(f"minio://{BUCKET}", s3_server)


@pytest.fixture
def cluster(tmp_path, bucket, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")

    with serve(PlayingKfp(tmp_path / "pods", bucket)) as host:
        access = ClusterAccess(host, timeout_seconds=5)
        yield Cluster(
            KfpApi(access),
            open_sources(access, ROOT, open_artifact_store),
            bucket,
            open_artifact_store,
        )


def fetch(item):
    return Path(item["uri"])


@pytest.mark.parametrize(
    ("pipeline", "task"),
    [
        (samples.artifacts, "read"),
        (samples.artifacts, "write"),
        (samples.collected_artifacts, "read-all"),
    ],
    ids=["artifact", "output", "list"],
)
def test_pod_reproduces_a_task(run, capsule_of, cluster, pipeline, task):
    record = run(pipeline)
    path = next(name for name in record.tasks if name.rpartition("/")[2] == task)
    capsule = capsule_of(f"{record.run_id}/{path}")
    told: list[str] = []
    outcome = play_on_cluster(capsule, cluster, told.append)
    assert outcome.way == "cluster"
    assert outcome.error is None, outcome.error
    verdict = judge(capsule, outcome, fetch)
    assert verdict.exit_code == 0, verdict
    assert any(line.startswith("run ") for line in told)


def test_pod_reproduces_a_failure(run, capsule_of, cluster):
    record = run(samples.failing)
    capsule = capsule_of(f"{record.run_id}/fail")
    outcome = play_on_cluster(capsule, cluster, lambda line: None)
    assert outcome.exit_code == 1
    assert outcome.error["message"]


def test_inputs_are_uploaded_once(run, capsule_of, bucket):
    record = run(samples.artifacts)
    capsule = capsule_of(f"{record.run_id}/read")
    first = upload_inputs(capsule, bucket)
    (uri,) = [item["uri"] for item in first["data"]]
    written = bucket.stat(bucket.key_of(uri)).modified_at
    assert upload_inputs(capsule, bucket) == first
    assert bucket.stat(bucket.key_of(uri)).modified_at == written


def test_list_of_unequal_artifacts_is_refused_by_name(run, capsule_of):
    record = run(samples.collected_artifacts)
    path = next(name for name in record.tasks if name.rpartition("/")[2] == "read-all")
    capsule = capsule_of(f"{record.run_id}/{path}")
    artifacts = {"data": [{"uri": "s3://b/a", "metadata": {"n": n}} for n in range(2)]}
    with pytest.raises(InputError, match="input 'data': got 2 artifacts of different"):
        one_task_pipeline(capsule.record, "replay-x", artifacts)


def test_command_replays_on_the_cluster_of_the_settings(run, store, cluster, monkeypatch):
    record = run(samples.artifacts)
    for name, value in {"STORE_URI": store.uri, "KFP_HOST": cluster.api.access.host}.items():
        monkeypatch.setenv(f"DALSEGNO_{name}", value)
    result = CliRunner().invoke(app, ["replay", f"{record.run_id}/read", "--in", "cluster"])
    assert result.exit_code == 0, result.output
    assert "verdict: reproduced" in result.output
