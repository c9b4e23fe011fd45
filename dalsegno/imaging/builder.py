"""Builds, measures and pushes images with docker, podman or buildah."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalsegno.commit import COMMIT_VARIABLE
from dalsegno.errors import ConfigurationError, InfrastructureError

PROGRAMS = ("docker", "podman", "buildah")
_PROBES = {
    "docker": ("docker", "info", "--format", "{{.ServerVersion}}"),
    "podman": ("podman", "info", "--format", "{{.Version.Version}}"),
    "buildah": ("buildah", "--version"),
}


@dataclass(frozen=True)
class Plan:
    """What is the same for every image of a build.

    Attributes:
        base_image: What the images start from; "" takes the Dockerfile's.
        version: Version for the label.
        commit: Commit for the label and for the lineage of models.
        secrets: Files that the build may read and that stay out of the image, by id.
        network: Network of the build, as the program names it; "" takes the program's.
    """

    base_image: str = ""
    version: str = ""
    commit: str = ""
    secrets: Mapping[str, Path] | None = None
    network: str = ""


def find_program(wanted: str = "") -> str:
    """Find a program that can build here.

    Args:
        wanted: One of `PROGRAMS`; "" takes the first that works.

    Raises:
        ConfigurationError: None is installed and answers.
    """
    if wanted and wanted not in PROGRAMS:
        raise ConfigurationError(f"builder: got {wanted!r}, want one of {', '.join(PROGRAMS)}")
    tried = [wanted] if wanted else list(PROGRAMS)
    for program in tried:
        if shutil.which(program) and _answers(program):
            return program
    raise ConfigurationError(
        f"builder: got none of {', '.join(tried)} that answers, want one to build images with",
        "docker info",
    )


def build_command(program: str, family: str, image: str, plan: Plan) -> list[str]:
    """Write the command that builds a family's image from the checkout."""
    arguments = {"BASE_IMAGE": plan.base_image, "COMMIT": plan.commit}
    labels = {"title": f"dalsegno {family}", "version": plan.version, "revision": plan.commit}
    command = [program, "build", "--target", family, "--tag", image, "--file", "docker/Dockerfile"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"] if value else []
    for name, value in labels.items():
        command += ["--label", f"org.opencontainers.image.{name}={value}"]
    for name, path in (plan.secrets or {}).items():
        command += ["--secret", f"id={name},src={path}"]
    command += ["--network", plan.network] if plan.network else []
    if program != "docker":  # these two keep layers by the text of an ENV, not by its value
        command += ["--layers", "--env", f"{COMMIT_VARIABLE}={plan.commit}"]
    return [*command, "."]


def build(program: str, family: str, image: str, plan: Plan, root: Path) -> None:
    """Build a family's image.

    Raises:
        InfrastructureError: The build failed; the message ends with its last lines.
    """
    _run(build_command(program, family, image, plan), f"image {image}", root)


def size_bytes(program: str, image: str) -> int:
    """Return the size of an image, unpacked.

    Raises:
        InfrastructureError: There is no such image.
    """
    if program == "buildah":
        text = _run([program, "images", "--json", image], f"image {image}")
        return _parse_size(json.loads(text)[0]["size"])
    text = _run([program, "image", "inspect", "--format", "{{.Size}}", image], f"image {image}")
    return int(text)


def push(program: str, image: str) -> str:
    """Push an image.

    Returns:
        The image by the digest that the registry has it under, `name@sha256:…`.

    Raises:
        InfrastructureError: The registry did not take it.
    """
    name = image.rpartition(":")[0]
    if program == "docker":
        _run([program, "push", "--quiet", image], f"image {image}")
        shown = [program, "image", "inspect", "--format", "{{json .RepoDigests}}", image]
        digests: list[str] = json.loads(_run(shown, f"image {image}"))
        return next(item for item in digests if item.startswith(f"{name}@"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digest")
        _run([program, "push", "--digestfile", str(path), image], f"image {image}")
        return f"{name}@{path.read_text().strip()}"


def _answers(program: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603
            _PROBES[program], capture_output=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _run(command: Sequence[str], subject: str, folder: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-12:])
        raise InfrastructureError(
            f"{subject}: {' '.join(command[:2])} ended with exit code {done.returncode}\n{last}",
            " ".join(command),
        )
    return done.stdout.strip()


def _parse_size(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(float(number) * 1000 ** ["B", "KB", "MB", "GB"].index(unit.upper()))
