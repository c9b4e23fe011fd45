"""A kind cluster with KFP and our manifests, for trying things out on one machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from dalsegno.errors import ConfigurationError, InfrastructureError
from dalsegno.images import FAMILIES

CLUSTER = "dalsegno"
CONTEXT = f"kind-{CLUSTER}"
OVERLAY = "manifests/overlays/kind"
READY_SECONDS = 900

FORWARDS = (
    ("kubeflow", "service/ml-pipeline", "8888:8888"),
    ("kubeflow", "service/ml-pipeline-ui", "8080:80"),
    ("kubeflow", "service/seaweedfs", "9000:9000"),
    ("dalsegno", "service/mlflow", "5000:5000"),
)
"""Namespace, service, and `here:there` of the ports that are forwarded."""

_HINTS = {
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "docker": "https://docs.docker.com/engine/install/",
    "kubectl": "https://kubernetes.io/docs/tasks/tools/#kubectl",
}

Tell = Callable[[str], None]


def check_programs() -> None:
    """Find kind, Docker and kubectl.

    Raises:
        ConfigurationError: One is absent, or Docker does not answer.
    """
    for program, hint in _HINTS.items():
        if not shutil.which(program):
            raise ConfigurationError(
                f"kind cluster: got no program {program!r} here, want kind, docker and kubectl;"
                f" see {hint}"
            )
    done = subprocess.run(
        ["docker", "info"],  # noqa: S607
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise ConfigurationError(
            "kind cluster: got no answer from Docker, want its daemon running", "docker info"
        )


def up(root: Path, tell: Tell) -> None:
    """Create the cluster unless it is there, and bring KFP and our overlay up to date.

    Raises:
        ConfigurationError: A program is absent.
        InfrastructureError: A step failed; running it again goes on from there.
    """
    check_programs()
    if CLUSTER not in _read("kind", "get", "clusters").split():
        tell(f"creating the kind cluster {CLUSTER}")
        _run("kind", "create", "cluster", "--name", CLUSTER, "--wait", "120s")
    tell("installing KFP 2.17.0")
    _kubectl("apply", "-k", str(root / "manifests/kfp/cluster"))
    _kubectl("wait", "crd/applications.app.k8s.io", "--for=condition=established", "--timeout=60s")
    _kubectl("apply", "-k", str(root / "manifests/kfp"))
    tell("installing MLflow and the model server")
    _kubectl("apply", "-k", str(root / OVERLAY))
    tell(f"waiting for KFP, at most {READY_SECONDS} s")
    _wait_for_deployments("kubeflow")


def load(root: Path, images: Mapping[str, str], tell: Tell) -> None:
    """Put images into the cluster, and let the overlay's workloads use them.

    Args:
        root: The checkout.
        images: Image by family; the tag tells their code apart.
        tell: Is told what is being done.

    Raises:
        ConfigurationError: A program is absent.
        InfrastructureError: There is no cluster, or a step failed.
    """
    check_programs()
    if CLUSTER not in _read("kind", "get", "clusters").split():
        raise InfrastructureError(f"kind cluster: got none named {CLUSTER}", "make kind-up")
    for image in images.values():
        tell(f"loading {image}")
        _run("kind", "load", "docker-image", image, "--name", CLUSTER)
    tell("applying the overlay with these images")
    text = with_images(_read("kubectl", "kustomize", str(root / OVERLAY)), images)
    _run("kubectl", "--context", CONTEXT, "apply", "-f", "-", given=text)
    _wait_for_deployments("dalsegno", ("deployment/mlflow",))


def down() -> None:
    """Delete the cluster and all that is in it.

    Raises:
        ConfigurationError: A program is absent.
        InfrastructureError: It could not be deleted.
    """
    check_programs()
    _run("kind", "delete", "cluster", "--name", CLUSTER)


def forward() -> list[subprocess.Popen[bytes]]:
    """Forward the ports; the caller ends the processes."""
    return [
        subprocess.Popen(  # noqa: S603
            ["kubectl", "--context", CONTEXT, "-n", namespace, "port-forward", service, ports]  # noqa: S607
        )
        for namespace, service, ports in FORWARDS
    ]


def with_images(manifests: str, images: Mapping[str, str]) -> str:
    """Put images into rendered manifests in the place of ours.

    Args:
        manifests: YAML documents.
        images: Image by family.
    """
    names = {FAMILIES[family]: image for family, image in images.items()}
    documents = list(yaml.safe_load_all(manifests))
    for document in documents:
        spec = document.get("spec", {})
        pod = spec.get("predictor") or spec.get("template", {}).get("spec", spec)
        for container in pod.get("containers", []):
            container["image"] = names.get(container["image"], container["image"])
    return yaml.safe_dump_all(documents, sort_keys=False)


def _wait_for_deployments(namespace: str, which: Sequence[str] = ("deployment", "--all")) -> None:
    timeout = f"--timeout={READY_SECONDS}s"
    _kubectl("-n", namespace, "wait", *which, "--for=condition=Available", timeout)


def _kubectl(*arguments: str) -> None:
    _run("kubectl", "--context", CONTEXT, *arguments)


def _read(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise _failure(command, done.returncode, done.stderr)
    return done.stdout


def _run(*command: str, given: str | None = None) -> None:
    """Run a command that shows its own progress."""
    done = subprocess.run(command, input=given, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise _failure(command, done.returncode)


def _failure(command: Sequence[str], code: int, reason: str = "") -> InfrastructureError:
    said = f": {reason.strip().splitlines()[-1]}" if reason.strip() else ""
    return InfrastructureError(
        f"kind cluster: {' '.join(command[:4])} ended with exit code {code}{said}",
        "kubectl --context kind-dalsegno get pods --all-namespaces",
    )
