"""The whole loop with its store on a real S3 server: a setting, not another code path."""

from __future__ import annotations

import pytest

from dalsegno import releases
from dalsegno.cli.pipelines import load_pipeline
from dalsegno.cli.running import start
from dalsegno.engine.run import ignore
from dalsegno.settings import open_default_store
from dalsegno.store import S3Access
from tests.servers import BUCKET


def test_loop_releases_a_model_on_s3(
    s3_server: S3Access, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "STORE_URI": f"minio://{BUCKET}/{tmp_path.name}",
        "S3_ENDPOINT": s3_server.endpoint,
        "S3_ACCESS_KEY": s3_server.access_key,
        "S3_SECRET_KEY": s3_server.secret_key,
        "S3_SECURE": str(s3_server.secure).lower(),
        "MLFLOW_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"DALSEGNO_{name}", value)
    record = start(load_pipeline("loop"), {"trials": 3}, jobs=2, listener=ignore)
    assert (record.state, record.error) == ("succeeded", None)
    live = releases.live(open_default_store(), "titanic")
    assert (live.number, live.run_id) == (1, record.run_id)
    assert s3_server.secret_key not in str(record)
