"""Diff and resume of runs whose records and artifacts lie in a bucket."""

from pathlib import Path

import pytest

from dalsegno.cli.pipelines import compile_object
from dalsegno.engine.run import run_pipeline
from dalsegno.replay.failure import what_changed
from dalsegno.replay.resume import Resumption
from dalsegno.runs.record import RunRecord, State
from dalsegno.store import S3Access, Store, open_store
from tests.replay.pipelines import averages
from tests.servers import BUCKET


@pytest.fixture
def store(s3_server: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in a bucket, which other processes find by the environment."""
    uri = f"minio://{BUCKET}/{tmp_path.name}"
    settings = {
        "STORE_URI": uri,
        "S3_ENDPOINT": s3_server.endpoint,
        "S3_ACCESS_KEY": str(s3_server.access_key),
        "S3_SECRET_KEY": str(s3_server.secret_key),
        "S3_SECURE": str(s3_server.secure),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"DALSEGNO_{name}", value)
    return open_store(uri, s3_server)


def play(store: Store, folder: Path, resumption: Resumption | None = None) -> RunRecord:
    lookup = resumption.lookup if resumption else None
    pipeline = compile_object(averages)
    return run_pipeline(pipeline, {"folder": str(folder)}, store, lookup=lookup)


def test_failure_and_resume_in_a_bucket(store: Store, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("name,age\na,1\nb,2\n")
    good = play(store, tmp_path)
    (tmp_path / "table.csv").write_text("name,age\na,1\nb,2\nc,3\n")
    (tmp_path / "other").touch()
    failed = play(store, tmp_path)
    lines = what_changed(store, failed, "average", seconds=30)
    assert lines[0] == f"changed since {good.run_id}:"
    assert lines[1] == "  age: range 1..2 -> 1..3"
    (tmp_path / "other").unlink()
    resumption = Resumption(store, failed, compile_object(averages))
    resumed = play(store, tmp_path, resumption)
    assert (resumed.state, resumed.outputs["parameters"]) == (State.SUCCEEDED, {"Output": 2.0})
    assert resumption.decisions["make"].reused_from == f"{failed.run_id}/make/1"
    store.delete(f"runs/{failed.run_id}/artifacts/make/1/table")
    again = Resumption(store, failed, compile_object(averages))
    play(store, tmp_path, again)
    assert again.decisions["make"].why == "output 'table' is not there any more"
