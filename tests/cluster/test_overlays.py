"""A real API server takes our manifests: its schemas, its defaults and its admission."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS, OVERLAYS, SERVERS, render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMESPACE = MANIFESTS / "base" / "namespace.yaml"


@pytest.fixture
def kubectl():
    """Call kubectl with the configuration that the settings name."""
    context = os.environ.get("DALSEGNO_KUBERNETES_CONTEXT")
    command = [
        Path(sys.executable).with_name("kubectl"),
        *(["--context", context] if context else []),
    ]

    def call(*arguments, given=None):
        return subprocess.run(
            [*command, *arguments], input=given, capture_output=True, text=True, check=False
        )

    if call("get", "--filename", NAMESPACE).returncode:
        pytest.skip(f"our namespace is not in reach: kubectl apply -f {NAMESPACE}")
    return call


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_server_takes_every_manifest(overlay, server, kubectl):
    if server == "kserve" and kubectl("get", "crd/inferenceservices.serving.kserve.io").returncode:
        pytest.skip("no KServe in the cluster")
    documents = render(overlay, server)
    tried = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    done = kubectl("apply", *tried, "--filename", "-", given=yaml.safe_dump_all(documents))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(documents)
    assert "would violate PodSecurity" not in done.stderr


@pytest.mark.parametrize("way", ["field", "security"])
def test_server_finds_what_is_wrong(way, kubectl):
    documents = [item for item in render("kind", "server") if item["kind"] == "Deployment"]
    documents = yaml.safe_load(yaml.safe_dump(documents))
    pod = documents[0]["spec"]["template"]["spec"]
    if way == "field":
        pod["containers"][0]["nmae"] = "mlflow"
    else:
        pod["containers"][0]["securityContext"]["capabilities"]["drop"] = ["KILL"]
    tried = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    done = kubectl("apply", *tried, "--filename", "-", given=yaml.safe_dump_all(documents))
    assert ("nmae" if way == "field" else "would violate PodSecurity") in done.stderr
