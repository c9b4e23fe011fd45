"""Where a container task finds its inputs and leaves its outputs.

As under KFP's launcher, an artifact at `s3://bucket/key` is at `/s3/bucket/key`, likewise
`minio://` at `/minio` and `gs://` at `/gcs`; output parameters are in `/tmp/kfp/outputs`. A store
that is a folder has no bucket: its artifact at `/store/key` appears as `minio://local/store/key`,
so at `/minio/local/store/key`. The record keeps the store's own URIs.

Inputs are mounted read-only (on a cluster the task has a copy of its own; here it must not change
what other tasks and the record rely on). Outputs are mounted where they are to be kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dalsegno.engine.play import Mount, Play

PARAMETERS = "/tmp/kfp/outputs"  # noqa: S108 (KFP's launcher has them there)
_LOCAL = "minio://local"
_ROOTS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}
_SCRATCH = ("/minio", "/s3", "/gcs", "/.local", "/.cache", "/.config")  # emptyDirs on a cluster
_ANYONE, _OWNER = 0o777, 0o755


def container_uri(uri: str) -> str:
    """Return the URI by which a container knows an artifact of the store."""
    return f"{_LOCAL}{uri}" if uri.startswith("/") else uri


def host_uri(uri: str) -> str:
    """Return the store's URI of an artifact that a container names."""
    return uri.removeprefix(_LOCAL) if uri.startswith(f"{_LOCAL}/") else uri


def container_path(uri: str) -> str | None:
    """Return where the launcher has an artifact; None for a scheme that it does not fetch."""
    for scheme, root in _ROOTS.items():
        if uri.startswith(scheme):
            return root + uri.removeprefix(scheme)
    return None


def arrange(work: Play) -> tuple[dict[str, Any], list[Mount]]:
    """Return the executor input as the container gets it, and what must be mounted for it."""
    inside = copy.deepcopy(work.executor_input)
    mounts = [_scratch_mount(work, target) for target in _SCRATCH]
    pairs = zip(_artifacts(inside["inputs"]), _artifacts(work.local["inputs"]), strict=True)
    for artifact, local in pairs:
        artifact["uri"] = container_uri(artifact["uri"])
        target = container_path(artifact["uri"])
        if target and local["uri"].startswith("/") and Path(local["uri"]).exists():
            mounts.append(Mount(Path(local["uri"]), target, is_read_only=True))
    mounts += _arrange_outputs(work, inside["outputs"])
    unique = {mount.target: mount for mount in mounts + work.mounts}
    ordered = sorted(unique.values(), key=lambda mount: PurePosixPath(mount.target).parts)
    _make_mount_points(ordered)
    return inside, ordered


def outputs_on_host(work: Play) -> dict[str, Any]:
    """Return `outputs` of the executor input with the paths where a container's files are here."""
    outputs: dict[str, Any] = copy.deepcopy(work.local["outputs"])
    for name, parameter in outputs["parameters"].items():
        parameter["outputFile"] = str(_parameters_dir(work) / name)
    return outputs


def host_path(path: str, mounts: list[Mount]) -> Path | None:
    """Return where a path of the container is on this machine; None if it is in no mount."""
    for mount in reversed(mounts):  # the deepest of several that hold it comes last
        if PurePosixPath(path).is_relative_to(mount.target):
            inner = PurePosixPath(path).relative_to(mount.target)
            return None if ".." in inner.parts else mount.source / inner
    return None


def close(work: Play) -> None:
    """Take back from everybody else what `arrange` opened to the image's user."""
    mine = [work.scratch / "container" / target.strip("/.") for target in _SCRATCH]
    for folder in (*mine, _parameters_dir(work), _outputs_dir(work)):
        if folder.is_dir():
            folder.chmod(_OWNER)


def _arrange_outputs(work: Play, outputs: dict[str, Any]) -> list[Mount]:
    """Make the folders that the launcher would, writable by whatever user the image has."""
    root = str(container_path(container_uri(outputs["outputFile"].rpartition("/")[0])))
    for artifact in _artifacts(outputs):
        artifact["uri"] = container_uri(artifact["uri"])
    for name, parameter in outputs["parameters"].items():
        parameter["outputFile"] = f"{PARAMETERS}/{name}"
    outputs["outputFile"] = f"{root}/output_metadata.json"
    for folder in (_outputs_dir(work), _parameters_dir(work)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_ANYONE)
    return [Mount(_outputs_dir(work), root), Mount(_parameters_dir(work), PARAMETERS)]


def _scratch_mount(work: Play, target: str) -> Mount:
    source = work.scratch / "container" / target.strip("/.")
    source.mkdir(parents=True, exist_ok=True)
    source.chmod(_ANYONE)
    return Mount(source, target)


def _make_mount_points(mounts: list[Mount]) -> None:
    """Make what is mounted inside of another mount ourselves, so that it is ours to remove."""
    for number, mount in enumerate(mounts):
        point = host_path(mount.target, mounts[:number])
        if point is None or point.exists():
            continue
        point.parent.mkdir(parents=True, exist_ok=True)
        point.mkdir() if mount.source.is_dir() else point.touch()


def _parameters_dir(work: Play) -> Path:
    return work.scratch / "container" / "parameters"


def _outputs_dir(work: Play) -> Path:
    return Path(work.local["outputs"]["outputFile"]).parent


def _artifacts(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for found in group.get("artifacts", {}).values():
        yield from found["artifacts"]
