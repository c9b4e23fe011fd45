"""Models as commands name them: a folder, or the output of a task."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.errors import DalsegnoError, InputError

if TYPE_CHECKING:
    from dalsegno.runs.record import TaskRecord
    from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_OUTPUT = "model"


def locate_model(store: Store, model: str, target: Path) -> tuple[Path, str]:
    """Find a model; returns its folder and the run that trained it, "" if it came as a folder."""
    from dalsegno.runs.address import read_address

    path = Path(model)
    if path.is_dir() or path.is_absolute() or model.startswith(".") or "/" not in model:
        return path, ""
    _, task = read_address(store, model)
    if task is None:
        raise InputError(f"model: got {model!r}, want RUN/TASK or a model folder", "dalsegno runs")
    artifact = _model_artifact(task)
    store.download(store.key_of(artifact["uri"]), target, sha256=artifact["sha256"])
    return target, task.run_id


def _model_artifact(task: TaskRecord) -> dict[str, Any]:
    subject, look = f"task {task.task!r}", f"dalsegno show {task.run_id}/{task.task}"
    if not task.state.is_success:
        raise InputError(f"{subject}: got the state {task.state}, want succeeded", look)
    declared = task.component_spec.get("outputDefinitions", {}).get("artifacts", {})
    title = declared.get(_OUTPUT, {}).get("artifactType", {}).get("schemaTitle")
    found = task.outputs.get(_OUTPUT, [])
    if title != "system.Model" or not found or not found[0]["sha256"]:
        got = ", ".join(task.outputs) or "none"
        raise InputError(f"{subject}: got outputs {got}, want a Model named {_OUTPUT!r}", look)
    return found[0]


def registered_version(endpoint: str, path: Path, run_id: str) -> str:
    """Return the version under which the registry knows a run's model, "" if it does not."""
    from dalsegno.registry.versions import MODEL_SHA256, RUN_ID, versions
    from dalsegno.store import digest_of

    wanted = (digest_of(path).sha256, run_id)
    try:
        known = versions(endpoint)
    except DalsegnoError as error:
        _logger.warning("the release will name no version of the registry: %s", error)
        return ""
    same = [v for v in known if (v.tags.get(MODEL_SHA256), v.tags.get(RUN_ID)) == wanted]
    return same[-1].version if same else ""
