"""The executor input of a replay: recorded inputs, and a fresh folder for what comes out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from dalsegno.engine.placeholders import IN_WORKSPACE, WORKSPACE, fill_in
from dalsegno.errors import InputError
from dalsegno.replay.capsule import Capsule
from dalsegno.store.keys import check_key


def executor_input_of(capsule: Capsule) -> dict[str, Any]:
    """Return the executor input as recorded, with every artifact at its URI.

    What an importer had put into the run's workspace is read from the capsule like any other.
    """
    given: dict[str, Any] = copy.deepcopy(capsule.record.executor_input)
    for found in given.get("inputs", {}).get("artifacts", {}).values():
        for artifact in found["artifacts"]:
            artifact.get("metadata", {}).pop(IN_WORKSPACE, None)
    return given


def inputs_of(capsule: Capsule) -> dict[str, Any]:
    """Return the inputs with the places of the artifacts in the capsule.

    Default values are left to the function, and in a container to what stands for the launcher.
    """
    inputs: dict[str, Any] = executor_input_of(capsule).get("inputs", {})
    for name, found in inputs.get("artifacts", {}).items():
        paths = capsule.input_paths(name)
        for artifact, path in zip(found["artifacts"], paths, strict=True):
            if path is not None:
                artifact["uri"] = str(path)
    return inputs


def filled_inputs_of(capsule: Capsule, workspace: Path) -> dict[str, Any]:
    """Return the inputs as a process gets them: placeholders and the workspace filled in.

    Args:
        workspace: Folder that stands for the run's; made where a parameter names it.
    """
    inputs = inputs_of(capsule)
    values = inputs.get("parameterValues", {})
    if WORKSPACE in str(values):
        workspace.mkdir(parents=True, exist_ok=True)
    fill_in(values, workspace)
    return inputs


def outputs_in(capsule: Capsule, folder: Path) -> dict[str, Any]:
    """Return the outputs with places in a folder instead of those of the run."""
    outputs: dict[str, Any] = copy.deepcopy(capsule.record.executor_input["outputs"])
    root = outputs["outputFile"].rpartition("/")[0]
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in outputs.setdefault("artifacts", {}).items():
        for artifact in found["artifacts"]:
            artifact["uri"] = str(folder / _below(root, artifact["uri"], name))
    for name, parameter in outputs.setdefault("parameters", {}).items():
        parameter["outputFile"] = str(folder / _below(root, parameter["outputFile"], name))
    outputs["outputFile"] = str(folder / "output_metadata.json")
    return outputs


def _below(root: str, uri: str, name: str) -> str:
    """Return where an output is below the task's root; anything outside goes by its name."""
    relative = uri.removeprefix(f"{root}/")
    try:
        return check_key(relative)
    except InputError:
        return check_key(name)
