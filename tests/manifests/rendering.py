"""Renders the overlays as `kubectl apply -k` would, without a cluster."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parent.parent.parent / "manifests"
OVERLAYS = ["kind", "s3", "gcs"]
SERVERS = ["server", "kserve"]
KINDS_WITH_PODS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "InferenceService"}


@functools.cache
def render(overlay: str, server: str) -> list[dict[str, Any]]:
    """Render an overlay with the model server done one way or the other."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(MANIFESTS, Path(folder, "manifests"))
        chosen = copy / "overlays" / overlay
        path = chosen / "kustomization.yaml"
        document = yaml.safe_load(path.read_text())
        document["components"] = [f"../../{server}"]
        path.write_text(yaml.safe_dump(document))
        return list(yaml.safe_load_all(kustomize(chosen)))


def kustomize(folder: Path) -> str:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(documents: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] in kinds]


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by name what becomes a pod: `metadata` and `spec`."""
    found = {}
    for document in of_kind(documents, *KINDS_WITH_PODS):
        spec = document["spec"]
        template = spec.get("template") or {
            "metadata": {"labels": spec["predictor"]["labels"]},
            "spec": spec["predictor"],
        }
        found[f"{document['kind']}/{document['metadata']['name']}"] = {
            **template,
            "namespace": document["metadata"]["namespace"],
        }
    return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
