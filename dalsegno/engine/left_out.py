"""Names what a pipeline asks of a cluster and one machine has no meaning for."""

from __future__ import annotations

from collections.abc import Iterator

from dalsegno.engine.executors import AUTO, needs_container
from dalsegno.engine.spec import Pipeline

_SETTINGS = {
    "nodeSelector": "node selectors",
    "tolerations": "tolerations",
    "nodeAffinity": "node affinity",
    "podAffinity": "pod affinity",
    "imagePullSecret": "image pull secrets",
    "imagePullPolicy": "image pull policy",
    "initContainers": "init containers",
    "enabledSharedMemory": "shared memory",
    "podMetadata": "pod labels and annotations",
    "securityContext": "security contexts",
}
_LIMITS = "resources"
_KEPT_IN_CONTAINERS = {_SETTINGS["securityContext"], _LIMITS}
_PAUSE = "ARGO_DEBUG_PAUSE_"


def left_out(pipeline: Pipeline, mode: str = AUTO) -> list[str]:
    """Name the settings of a pipeline that mean nothing on this machine, in one line.

    Args:
        mode: What the tasks run in; what a container keeps is named for processes alone.
    """
    executors = pipeline.spec.get("deploymentSpec", {}).get("executors", {})
    everywhere: dict[str, None] = {}
    in_processes: dict[str, None] = {}
    for name, label in _unused(pipeline):
        if name not in _KEPT_IN_CONTAINERS:
            everywhere[name] = None
        elif not needs_container(executors.get(label, {}), mode):
            in_processes[name] = None
    groups = (("on this machine", everywhere), ("in processes", in_processes))
    named = [f"{where}: {', '.join(names)}" for where, names in groups if names]
    return [f"not applied {'; '.join(named)}"] if named else []


def _unused(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield what is unused and the label of the executor that asks for it."""
    for label, config in pipeline.platform.get("deploymentSpec", {}).get("executors", {}).items():
        yield from ((name, label) for key, name in _SETTINGS.items() if config.get(key))
    for label, executor in pipeline.spec.get("deploymentSpec", {}).get("executors", {}).items():
        container = executor.get("container", {})
        if container.get("resources"):
            yield _LIMITS, label
        if any(item["name"].startswith(_PAUSE) for item in container.get("env", [])):
            yield "debug pauses", label
    if pipeline.platform.get("pipelineConfig", {}).get("resourceTtlOnCompletion"):
        yield "time to live after completion", "the run"
