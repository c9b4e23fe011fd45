"""Moves a task's artifacts between the object store and this machine.

In a store that is a folder the task reads and writes in place. For any other store the inputs are
fetched to a scratch folder first and the outputs uploaded afterwards, as KFP's launcher does.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from dalsegno.engine.context import Context
from dalsegno.engine.placeholders import IN_WORKSPACE, fill_in
from dalsegno.engine.resolve import Artifact, Inputs
from dalsegno.engine.values import normalise
from dalsegno.errors import DalsegnoError, InputError, NotFoundError
from dalsegno.runs.record import run_key
from dalsegno.store import Digest, digest_of
from dalsegno.store.file import FileStore

_SCHEMES = ("s3://", "minio://", "gs://")
_DEFAULT_TYPE = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}


def provision(
    context: Context, path: str, attempt: int, component: dict[str, Any], inputs: Inputs
) -> dict[str, Any]:
    """Make the executor input of a task: what it reads, and where its outputs go.

    URIs are those of the store, as they stand in the record.
    """
    root = context.store.uri_of(run_key(context.run_id, "artifacts", path, str(attempt)))
    outputs = component.get("outputDefinitions", {})
    artifacts = {
        name: {
            "artifacts": [
                {
                    "name": name,
                    "type": definition.get("artifactType", _DEFAULT_TYPE),
                    "uri": f"{root}/{name}",
                    "metadata": definition.get("metadata", {}),
                }
            ]
        }
        for name, definition in outputs.get("artifacts", {}).items()
    }
    parameters = {name: {"outputFile": f"{root}/{name}"} for name in outputs.get("parameters", {})}
    return {
        "inputs": {
            "parameterValues": inputs.parameters,
            "artifacts": {
                name: {"artifacts": [_as_read(artifact) for artifact in found]}
                for name, found in inputs.artifacts.items()
            },
        },
        "outputs": {
            "parameters": parameters,
            "artifacts": artifacts,
            "outputFile": f"{root}/output_metadata.json",
        },
    }


def _as_read(artifact: Artifact) -> Artifact:
    """Return an artifact as the task that reads it gets it: ML Metadata has kept its metadata.

    It has no booleans, and wraps lists and objects (`StructValueToMLMDValue` and
    `toRuntimeArtifact` in backend/src/v2/metadata/converter.go).
    """
    metadata = {
        name: value if name == IN_WORKSPACE else _as_kept(value)
        for name, value in artifact.get("metadata", {}).items()
    }
    return {**artifact, "metadata": metadata}


def _as_kept(value: Any) -> Any:
    value = normalise(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value


def localise(context: Context, executor_input: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Return the executor input with paths of this machine; fetches inputs where needed.

    Raises:
        InputError: An input artifact is not there.
    """
    local = copy.deepcopy(executor_input)
    fill_in(local["inputs"]["parameterValues"], workspace_path(context.work_dir))
    for number, artifact in enumerate(_artifacts(local["inputs"])):
        _localise_input(context, artifact, scratch / "inputs" / str(number))
    root = local["outputs"]["outputFile"].rpartition("/")[0]
    folder = Path(root) if _is_local(context.store.uri) else scratch / "outputs"
    folder.mkdir(parents=True, exist_ok=True)
    for artifact in _artifacts(local["outputs"]):
        artifact["uri"] = artifact["uri"].replace(root, str(folder), 1)
    for parameter in local["outputs"]["parameters"].values():
        parameter["outputFile"] = parameter["outputFile"].replace(root, str(folder), 1)
    local["outputs"]["outputFile"] = str(folder / "output_metadata.json")
    return local


def workspace_path(work_dir: Path) -> Path:
    """Where the workspace of a run, `/kfp-workspace` on the cluster, is on this machine."""
    return work_dir / "workspace"


def _localise_input(context: Context, artifact: Artifact, folder: Path) -> None:
    uri = artifact["uri"]
    target = folder / uri.rstrip("/").rpartition("/")[2]
    if artifact.get("metadata", {}).get(IN_WORKSPACE):
        artifact["uri"] = str(workspace_path(context.work_dir) / workspace_key(uri))
        artifact["metadata"] = {
            name: value for name, value in artifact["metadata"].items() if name != IN_WORKSPACE
        }
    elif _is_local(uri):
        _check_there(context, uri)
    elif uri.startswith(f"{context.store.uri}/"):
        known = context.digests.get(uri)
        want = known.sha256 if known else None
        try:
            digest = context.store.download(context.store.key_of(uri), target, sha256=want)
        except NotFoundError:
            if known:
                raise
            return  # metadata alone, such as metrics
        context.digests[uri], artifact["uri"] = digest, str(target)
    elif uri.startswith(_SCHEMES):
        context.digests[uri] = fetch(uri, target)
        artifact["uri"] = str(target)


def fetch(uri: str, target: Path) -> Digest:
    """Copy an artifact that is not in the run's own store.

    Raises:
        InputError: There is nothing at the URI. KFP's launcher would go on without a file.
    """
    from dalsegno.settings import open_artifact_store

    folder, _, name = uri.rpartition("/")
    store = FileStore(Path(folder)) if _is_local(uri) else open_artifact_store(uri)
    try:
        return store.download(name if _is_local(uri) else store.key_of(uri), target)
    except NotFoundError as error:
        raise InputError(f"input artifact: nothing at {uri}") from error


def workspace_key(uri: str) -> str:
    """Path below the workspace of an artifact that an importer put there."""
    scheme, _, rest = uri.partition("://")
    if not rest:
        return f".artifacts/local{uri}"
    return f".artifacts/{'gcs' if scheme == 'gs' else scheme}/{rest}"


def publish(
    context: Context, executor_input: dict[str, Any], local: dict[str, Any], written: dict[str, Any]
) -> dict[str, list[Artifact]]:
    """Put a task's output artifacts into the store and digest them.

    Args:
        written: The executor output that the task wrote, with paths of this machine.

    Returns:
        Output artifacts by name, as later tasks get them.
    """
    outputs: dict[str, list[Artifact]] = {}
    for name, planned in executor_input["outputs"]["artifacts"].items():
        artifact = dict(planned["artifacts"][0])
        local_uri = local["outputs"]["artifacts"][name]["artifacts"][0]["uri"]
        said = (written.get("artifacts", {}).get(name, {}).get("artifacts") or [{}])[0]
        artifact["metadata"] = {**artifact["metadata"], **normalise(said.get("metadata", {}))}
        _check_metadata(name, artifact["metadata"])
        path = Path(said.get("custom_path") or said.get("uri") or local_uri)
        if said.get("uri") and said["uri"] != local_uri and not said.get("custom_path"):
            artifact["uri"] = said["uri"] if _is_local(context.store.uri) else artifact["uri"]
        if path.exists():
            _publish_file(context, artifact, path)
        outputs[name] = [artifact]
    return outputs


def _check_metadata(name: str, metadata: dict[str, Any]) -> None:
    for key, value in metadata.items():
        if value is None:
            raise InputError(
                f"output artifact {name!r}: got null for metadata {key!r}, want a value: "
                "KFP cannot keep null and fails the task"
            )


def _publish_file(context: Context, artifact: Artifact, path: Path) -> None:
    uri = artifact["uri"]
    if uri == str(path):
        context.digests[uri] = digest_of(path)
    else:
        context.digests[uri] = context.store.upload(path, context.store.key_of(uri))


def digest_list(context: Context, artifacts: list[Artifact]) -> list[dict[str, Any]]:
    """Describe artifacts for a record: URI, digest and size (None where nothing is)."""
    described = []
    for artifact in artifacts:
        digest = context.digests.get(artifact["uri"]) or _digest_uri(artifact["uri"])
        if digest is None:
            described.append({"uri": artifact["uri"], "sha256": None, "size_bytes": None})
            continue
        context.digests[artifact["uri"]] = digest
        described.append({"uri": artifact["uri"], **vars(digest)})
    return described


def _digest_uri(uri: str) -> Digest | None:
    if not _is_local(uri) or not Path(uri).exists():
        return None
    try:
        return digest_of(Path(uri))
    except (OSError, DalsegnoError):
        return None


def _artifacts(group: dict[str, Any]) -> list[Artifact]:
    return [item for found in group["artifacts"].values() for item in found["artifacts"]]


def _is_local(uri: str) -> bool:
    return "://" not in uri


def _check_there(context: Context, uri: str) -> None:
    """Refuse an input that was there once; one that never was (metrics, say) is metadata alone."""
    if uri in context.digests and _is_local(uri) and not Path(uri).exists():
        raise InputError(f"input artifact: nothing at {uri}, want what the task before wrote")
