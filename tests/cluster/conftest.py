"""A real Kubeflow Pipelines: it is named by DALSEGNO_KFP_HOST, its store by DALSEGNO_… settings.

CLUSTER_IMAGE_PREFIX and CLUSTER_IMAGE_TAG say which images the cluster has; by default those that
`make kind-load` brings there. CLUSTER_RESTRICTED_NAMESPACE names one that enforces `restricted`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dalsegno.cluster.access import cluster_access
from dalsegno.cluster.api import KfpApi
from dalsegno.settings import load_settings

GIVEN = {name: value for name, value in os.environ.items() if name.startswith("DALSEGNO_")}
RUN_SECONDS = 3600
_NO_CLUSTER = (
    "no cluster: set DALSEGNO_KFP_HOST and the settings of its store "
    "(DALSEGNO_STORE_URI, DALSEGNO_S3_…, DALSEGNO_S3_ENDPOINT_REWRITE)"
)


@pytest.fixture(autouse=True)
def _cluster(_clean_settings, monkeypatch):
    if not GIVEN.get("DALSEGNO_KFP_HOST"):
        pytest.skip(_NO_CLUSTER)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings():
    """The settings that were given."""
    return load_settings()


@pytest.fixture
def api(settings):
    """The API of the cluster."""
    return KfpApi(cluster_access(settings))


@pytest.fixture
def cli(tmp_path):
    """Call the command line as a user would; records are kept in a folder of the test."""

    def call(*arguments, store=str(tmp_path / "store"), status=0):
        command = [sys.executable, "-P", "-m", "dalsegno"]
        if store:
            command += ["--store", store]
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == status, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    return call


@pytest.fixture
def submit(cli, images):
    """Submit a pipeline, wait for its end and give its run id."""

    def start(name, *arguments, status=0):
        options = [
            *images,
            "--wait",
            "--timeout",
            str(RUN_SECONDS),
            "--experiment",
            "dalsegno-tests",
        ]
        printed = cli("submit", str(name), *arguments, *options, status=status)
        return next(line.split()[1] for line in printed.splitlines() if line.startswith("run "))

    return start


@pytest.fixture
def images():
    """Options that name the images which the cluster has."""
    from dalsegno.imaging.context import context_tag

    prefix = os.environ.get("CLUSTER_IMAGE_PREFIX", "")
    tag = os.environ.get("CLUSTER_IMAGE_TAG") or context_tag()
    return [*(["--image-prefix", prefix] if prefix else []), "--tag", tag]


@pytest.fixture
def small(tmp_path):
    """Compile the two small pipelines and give their folder."""
    from kfp import compiler

    from tests.cluster import pipelines

    for name in ("passing", "failing"):
        compiler.Compiler().compile(getattr(pipelines, name), str(tmp_path / f"{name}.yaml"))
    return Path(tmp_path)


@pytest.fixture
def records(cli):
    """Keep a run here and give the record of one of its tasks."""

    def read(run_id, task, *options):
        cli("runs", "sync", run_id, *options)
        return json.loads(cli("show", f"{run_id}/{task}", "--json"))

    return read
