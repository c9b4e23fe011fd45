"""Runs whose record and artifacts lie in a remote store."""

from __future__ import annotations

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.runs.reader import list_runs, read_log, read_task
from dalsegno.runs.record import State
from dalsegno.store import S3Access, open_store
from tests.engine import samples
from tests.servers import BUCKET


@pytest.mark.parametrize(
    ("pipeline", "output"),
    [
        pytest.param(samples.artifacts, "hello!:5", id="artifacts"),
        pytest.param(samples.collected_artifacts, "a,b,c", id="collected"),
        pytest.param(samples.nested, "deep:4", id="nested"),
    ],
)
def test_run_on_s3_reads_and_writes_there(s3_server: S3Access, tmp_path, pipeline, output):
    store = open_store(f"minio://{BUCKET}/{tmp_path.name}", s3_server)
    record = run_pipeline(compile_object(pipeline), {}, store)
    assert (record.state, record.error) == (State.SUCCEEDED, None)
    assert record.outputs["parameters"]["Output"] == output
    assert list_runs(store)[0] == record


def test_failed_task_on_s3_keeps_its_log(s3_server: S3Access, tmp_path):
    store = open_store(f"minio://{BUCKET}/{tmp_path.name}", s3_server)
    record = run_pipeline(compile_object(samples.failing), {}, store)
    assert record.state is State.FAILED
    assert "about to fail" in read_log(store, read_task(store, record, "fail"))


def test_artifact_of_a_remote_run_is_digested(s3_server: S3Access, tmp_path):
    store = open_store(f"minio://{BUCKET}/{tmp_path.name}", s3_server)
    record = run_pipeline(compile_object(samples.artifacts), {}, store)
    [written] = read_task(store, record, "write").outputs["data"]
    assert written["sha256"].startswith("2cf24dba5fb0a30e")
    assert store.get(store.key_of(written["uri"])) == b"hello"
