"""Which source is asked, what is told when none answers, and what is kept here."""

from __future__ import annotations

import json

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.sources import open_sources, read_run
from dalsegno.errors import InputError, NotFoundError
from dalsegno.runs.reader import find_run, read_log, read_task, task_records
from dalsegno.settings import load_settings, open_artifact_store
from dalsegno.store import open_store
from tests.kfp.answers import ROOT
from tests.kfp.test_executor_logs import RAISED, write_log

UNKNOWN = "00000000-1111-4000-8000-000000000000"


@pytest.fixture
def bucket(s3_server):
    return open_store("minio://tests", s3_server)


@pytest.fixture
def sources(host, bucket, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    access = ClusterAccess(host, timeout_seconds=5)
    return open_sources(access, ROOT, lambda uri: bucket)


@pytest.fixture
def cli(host, store, s3_server, monkeypatch):
    """Call the command line against the cluster and its store, as from outside of it."""
    from typer.testing import CliRunner

    from dalsegno.cli.main import app

    for name, value in {
        "STORE_URI": store.uri,
        "KFP_HOST": host,
        "S3_ACCESS_KEY": s3_server.access_key,
        "S3_SECRET_KEY": s3_server.secret_key,
        "S3_ENDPOINT_REWRITE": f"seaweedfs.kubeflow:9000=http://{s3_server.endpoint}",
        "KFP_TIMEOUT_SECONDS": "5",
    }.items():
        monkeypatch.setenv(f"DALSEGNO_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return call


def upload(there, store, local, bucket):
    """Put the artifacts of a local run where the cluster's launcher would have."""
    for item in store.list(f"runs/{local.run_id}/artifacts"):
        name = item.key.partition("/artifacts/")[2]
        bucket.put(f"v2/artifacts/{there.pipeline.name}/{there.run_id}/{name}", store.get(item.key))


def logs_of(there, record):
    """The output that the driver adds (provisionOutputs)."""
    kind = {"schemaTitle": "system.Artifact"}
    uri = f"{there.root}/{record.task}/salt/executor-logs"
    return {"artifacts": [{"name": "executor-logs", "uri": uri, "type": kind}]}


def test_cached_tasks_come_from_the_next_source(play, kfp, sources):
    there = play("chain", cached=frozenset({"add"}))
    kfp.add(there)
    kfp.metadata = there.metadata()
    reading = read_run(sources, there.run_id)
    assert reading.run.origin["sources"] == ["v1beta1", "mlmd"]
    assert {task.task: task.state for task in reading.tasks}["add"] == "cached"
    assert not reading.lacking


def test_offloaded_nodes_lead_to_metadata(play, kfp, sources):
    there = play("chain")
    kfp.add(there, workflow=there.workflow("offloaded"))
    kfp.metadata = there.metadata()
    assert read_run(sources, there.run_id).run.origin["sources"] == ["mlmd"]


def test_nobody_knows_the_run(sources):
    with pytest.raises(NotFoundError) as raised:
        read_run(sources, UNKNOWN)
    said = str(raised.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in said] == ["v1beta1", "mlmd", "log", "pods", "v3"]
    assert raised.value.next_command == "dalsegno cluster check"


def test_source_is_forced(play, kfp, sources):
    there = play("chain")
    kfp.add(there)
    kfp.metadata = there.metadata()
    assert read_run(sources, there.run_id, "mlmd").run.origin["sources"] == ["mlmd"]
    with pytest.raises(NotFoundError, match="log: ") as raised:
        read_run(sources, there.run_id, "log")
    assert "v1beta1" not in str(raised.value)


def test_unknown_source_is_refused(sources):
    with pytest.raises(InputError, match="want one of v1beta1, mlmd, log, pods, v3"):
        read_run(sources, UNKNOWN, "argo")


def test_answer_in_an_unknown_form_is_no_crash(play, kfp, sources):
    there = play("chain")
    kfp.add(there)
    kfp.manifests[there.run_id]["pipeline_runtime"]["workflow_manifest"] = "[1]"
    kfp.metadata = there.metadata()
    assert read_run(sources, there.run_id).run.origin["sources"] == ["mlmd"]


def test_synced_run_is_shown_and_listed(play, kfp, cli, store):
    there = play("loops")
    kfp.add(there)
    assert f"run {there.run_id}" in cli("show", there.run_id)
    assert there.run_id not in cli("runs")
    printed = cli("runs", "sync", there.run_id)
    assert f"kept {len(there.records)} attempts from v1beta1" in printed
    assert there.run_id in cli("runs")
    kept = find_run(store, there.run_id)
    assert kept.pipeline == there.pipeline.name
    assert len(list(task_records(store, kept))) == len(there.records)


def test_synced_success_is_reproduced_here(play, kfp, cli, store):
    there = play("chain")
    kfp.add(there)
    kfp.metadata = there.metadata()
    cli("runs", "sync", there.run_id)
    kept = read_task(store, find_run(store, there.run_id), "add")
    assert kept.executor_output == {"parameterValues": {"Output": 3}}
    assert "reproduced" in cli("replay", f"{there.run_id}/add")


@pytest.mark.parametrize(
    ("there_now", "said"),
    [(b"hello", "artifact   data    identical"), (b"other", "outputs differ")],
)
def test_artifact_of_a_synced_success_is_compared(there_now, said, run, store, bucket, kfp, cli):
    from dalsegno.cli.pipelines import compile_object
    from tests.engine import samples
    from tests.kfp.answers import ClusterRun

    pipeline = compile_object(samples.artifacts)
    there = ClusterRun.of(run(pipeline), store, pipeline)
    kfp.add(there)
    kfp.metadata = there.metadata()
    written = next(record for record in there.records if record.task == "write")
    (item,) = written.executor_input["outputs"]["artifacts"]["data"]["artifacts"]
    bucket.put(bucket.key_of(item["uri"]), there_now)
    cli("runs", "sync", there.run_id)
    assert said in cli("replay", f"{there.run_id}/write")


def test_sync_twice_gives_the_same(play, kfp, cli, store):
    there = play("loops")
    kfp.add(there)
    folder = f"runs/{there.run_id}"
    cli("runs", "sync", there.run_id)
    before = {item.key: store.get(item.key) for item in store.list(folder)}
    cli("runs", "sync", there.run_id)
    assert {item.key: store.get(item.key) for item in store.list(folder)} == before


def test_sync_keeps_log_error_and_inputs_of_a_failed_task(run, store, bucket, kfp, cli):
    from dalsegno.cli.pipelines import compile_object
    from tests.kfp.answers import ClusterRun
    from tests.kfp.small import broken_reader

    pipeline = compile_object(broken_reader)
    local = run(pipeline)
    there = ClusterRun.of(local, store, pipeline)
    kfp.add(there)
    upload(there, store, local, bucket)
    failed = next(record for record in there.records if record.state == "failed")
    failed.executor_input["outputs"]["artifacts"]["executor-logs"] = logs_of(there, failed)
    kfp.add(there)
    write_log(bucket, there, failed, "salt", attempt=0, rest=RAISED)
    printed = cli("runs", "sync", there.run_id, "--artifacts")
    assert "5 bytes of inputs" in printed
    kept = read_task(store, find_run(store, there.run_id), failed.task)
    assert (kept.error["type"], kept.error["line"]) == ("ValueError", 12)
    assert "Traceback" in read_log(store, kept)
    (item,) = kept.inputs["data"]
    assert item["size_bytes"] == 5
    assert store.get(store.key_of(item["kept_uri"])) == b"hello"
    assert "Traceback" in cli("logs", f"{there.run_id}/{failed.task}")


@pytest.mark.parametrize("is_kept", [False, True])
def test_log_that_is_not_kept_comes_from_the_cluster(is_kept, play, kfp, cli):
    there = play("chain")
    kfp.add(there)
    if is_kept:
        cli("runs", "sync", there.run_id)
    record = there.records[0]
    pod = f"{there.workflow_name}-system-container-impl-"
    nodes = json.loads(kfp.manifests[there.run_id]["pipeline_runtime"]["workflow_manifest"])[
        "status"
    ]["nodes"].values()
    name = f"{there.workflow_name}.{there.argo_name(record.task)}.executor"
    node = next(node for node in nodes if node["name"] == name and node["type"] == "Pod")
    kfp.logs[there.run_id, pod + node["id"].rpartition("-")[2]] = "from the pod\n"
    assert "from the pod" in cli("logs", f"{there.run_id}/{record.task}")


def test_run_of_a_cluster_that_is_not_named_is_explained(cli, monkeypatch):
    monkeypatch.delenv("DALSEGNO_KFP_HOST")
    with pytest.raises(NotFoundError, match="not kept here, want its host"):
        cli("show", UNKNOWN)


def test_failed_runs_alone_are_listed(play, store, cli):
    good, bad = play("chain"), play("failing")
    printed = cli("runs", "--failed")
    assert bad.run.run_id in printed
    assert good.run.run_id not in printed


def test_store_of_the_cluster_is_reached_by_its_rewritten_endpoint(cli, s3_server):
    store = open_artifact_store(f"{ROOT}/x", endpoint="seaweedfs.kubeflow:9000")
    store.put("probe", b"1")
    assert store.get("probe") == b"1"
    assert load_settings().s3_endpoint_rewrite


@pytest.mark.parametrize("keep", [[], ["--artifacts"]], ids=["from-bucket", "from-store-alone"])
def test_synced_failure_is_replayed_here(keep, run, store, bucket, kfp, cli):
    from dalsegno.cli.pipelines import compile_object
    from tests.kfp.answers import ClusterRun
    from tests.kfp.small import broken_reader

    pipeline = compile_object(broken_reader)
    local = run(pipeline)
    there = ClusterRun.of(local, store, pipeline)
    kfp.add(there)
    upload(there, store, local, bucket)
    failed = next(record for record in there.records if record.state == "failed")
    failed.executor_input["outputs"]["artifacts"]["executor-logs"] = logs_of(there, failed)
    kfp.add(there)
    write_log(bucket, there, failed, "salt", 0, rest=there.logs[f"{failed.task}/1"])
    cli("runs", "sync", there.run_id, *keep)
    if keep:
        for item in list(bucket.list(f"v2/artifacts/{there.pipeline.name}/{there.run_id}")):
            bucket.delete(item.key)
    printed = cli("replay", f"{there.run_id}/read")
    assert "invalid literal for int() with base 10: 'hello'" in printed
    assert "failure reproduced" in printed
