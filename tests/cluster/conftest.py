"""A real Kubeflow Pipelines: it is named by DALSEGNO_KFP_HOST, its store by DALSEGNO_… settings.

The small pipelines run on a public image. Ours run where DALSEGNO_IMAGE_PREFIX or
DALSEGNO_IMAGE_TAG say which images the cluster has. CLUSTER_RESTRICTED_NAMESPACE names a namespace
that enforces `restricted`.
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
SMALL_SECONDS, OURS_SECONDS = 1200, 3600
OURS = ("DALSEGNO_IMAGE_PREFIX", "DALSEGNO_IMAGE_TAG")
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
        said = (
            f"{' '.join(command + list(arguments))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        assert status is None or done.returncode == status, said
        return done.stdout

    return call


@pytest.fixture
def submit(cli):
    """Submit a pipeline, wait for its end and give its run id."""

    def start(name, *arguments, status=0, seconds=SMALL_SECONDS):
        options = ["--wait", "--timeout", str(seconds), "--experiment", "dalsegno-tests"]
        printed = cli("submit", str(name), *arguments, *options, status=status)
        return next(line.split()[1] for line in printed.splitlines() if line.startswith("run "))

    return start


@pytest.fixture
def submit_ours(submit):
    """The same for a pipeline of ours, which needs our images in the cluster's reach."""
    if not any(GIVEN.get(name) for name in OURS):
        pytest.skip(f"our images: set {' or '.join(OURS)} to those that the cluster can pull")

    def start(name, *arguments):
        return submit(name, *arguments, seconds=OURS_SECONDS)

    return start


@pytest.fixture
def small(tmp_path):
    """Compile the small pipelines and give their folder."""
    from kfp import compiler

    from tests.cluster import pipelines

    for name in pipelines.NAMES:
        compiler.Compiler().compile(getattr(pipelines, name), str(tmp_path / f"{name}.yaml"))
    return Path(tmp_path)


@pytest.fixture(scope="session")
def ran():
    """Runs of small pipelines that tests share, by name."""
    return {}


@pytest.fixture
def passed(submit, small, ran):
    """Run id of one that passed with the text 17."""
    if "passing" not in ran:
        ran["passing"] = submit(small / "passing.yaml", "-p", "text=17")
    return ran["passing"]


@pytest.fixture
def failed(submit, small, ran):
    """Run id of one whose task `parse` failed."""
    if "failing" not in ran:
        ran["failing"] = submit(small / "failing.yaml", status=1)
    return ran["failing"]


@pytest.fixture
def records(cli):
    """Keep a run here and give the record of one of its tasks."""

    def read(run_id, task, *options):
        cli("runs", "sync", run_id, *options)
        return json.loads(cli("show", f"{run_id}/{task}", "--json"))

    return read
