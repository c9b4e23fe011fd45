"""What a task hands on to a job of its own on the cluster: its `dsl.TaskConfig` input.

Follows `initPodSpecPatch` and `extendPodSpecPatch` in backend/src/v2/driver: the groups that a
component names in `task_config_passthroughs` become fragments of a pod's specification. Secrets
are named there, never their values. Node affinity is left out.
"""

from __future__ import annotations

from typing import Any

from dalsegno.engine.launcher import resolve_text
from dalsegno.engine.platform import (
    CLAIM,
    EMPTY,
    SECRET,
    Settings,
    Variable,
    Volume,
    resolve_settings,
)
from dalsegno.engine.resolve import Inputs, Scope, resolve_parameter

TASK_CONFIG = "TASK_CONFIG"
_UNITS = {"cpu": ("CpuLimit", "CpuRequest", ""), "memory": ("MemoryLimit", "MemoryRequest", "G")}


def with_task_config(
    component: dict[str, Any],
    container: dict[str, Any],
    config: dict[str, Any],
    inputs: Inputs,
    scope: Scope,
) -> Inputs:
    """Return the inputs of a task with its `dsl.TaskConfig`, if its component takes one.

    Args:
        container: Container spec of its executor.
        config: KubernetesExecutorConfig of its executor, in JSON form.
        scope: Of the graph that the task stands in.
    """
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    names = [name for name, item in definitions.items() if item["parameterType"] == TASK_CONFIG]
    if not names:
        return inputs
    groups = {item.get("field") for item in component.get("taskConfigPassthroughs", [])}
    settings = resolve_settings(config, component, scope, groups) or Settings()
    volumes = [item for item in settings.volumes if item.kind != EMPTY]
    found: dict[str, Any] = {
        "affinity": None,
        "tolerations": _tolerations(config, scope),
        "nodeSelector": _node_selector(config, scope),
        "env": [*container.get("env", []), *map(_variable, settings.variables)]
        + [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in settings.field_paths.items()
        ],
        "volumes": [_volume(item) for item in volumes],
        "volumeMounts": [_mount(item) for item in volumes],
        "resources": _resources(container.get("resources", {}), inputs),
    }
    fields = {
        "tolerations": "KUBERNETES_TOLERATIONS",
        "nodeSelector": "KUBERNETES_NODE_SELECTOR",
        "env": "ENV",
        "volumes": "KUBERNETES_VOLUMES",
        "volumeMounts": "KUBERNETES_VOLUMES",
    }
    for key, group in fields.items():
        if group not in groups or not found[key]:
            found[key] = None
    if "RESOURCES" not in groups:
        found["resources"] = {}
    return Inputs({**inputs.parameters, **dict.fromkeys(names, found)}, inputs.artifacts)


def _tolerations(config: dict[str, Any], scope: Scope) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in config.get("tolerations", []):
        if "tolerationJson" not in item:
            seconds = {"tolerationSeconds": int(item.get("tolerationSeconds", 0))}
            found.append({**item, **(seconds if "tolerationSeconds" in item else {})})
            continue
        given = resolve_parameter("toleration", item["tolerationJson"], {}, scope)
        found += given if isinstance(given, list) else [given] if given else []
    return found


def _node_selector(config: dict[str, Any], scope: Scope) -> dict[str, str] | None:
    selector = config.get("nodeSelector", {})
    found: dict[str, str] | None = selector.get("labels")
    if "nodeSelectorJson" in selector:
        found = resolve_parameter("node selector", selector["nodeSelectorJson"], {}, scope)
    return found


def _variable(item: Variable) -> dict[str, Any]:
    reference = "secretKeyRef" if item.kind == SECRET else "configMapKeyRef"
    chosen = {"name": item.name, "key": item.key, "optional": item.is_optional}
    return {"name": item.variable, "valueFrom": {reference: chosen}}


def _volume(item: Volume) -> dict[str, Any]:
    if item.kind == CLAIM:
        return {"name": item.name, "persistentVolumeClaim": {"claimName": item.name}}
    if item.kind == SECRET:
        source = {"secretName": item.name, "optional": item.is_optional}
        return {"name": item.name, "secret": source}
    return {"name": item.name, "configMap": {"name": item.name, "optional": item.is_optional}}


def _mount(item: Volume) -> dict[str, Any]:
    sub_path = {"subPath": item.sub_path} if item.sub_path else {}
    return {"name": item.name, "mountPath": item.mount_path, **sub_path}


def _resources(resources: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    given = {"inputs": {"parameterValues": inputs.parameters}}
    found: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
    for name, (limit, request, unit) in _UNITS.items():
        for side, key in (("limits", limit), ("requests", request)):
            if text := resources.get(f"resource{key}"):
                found[side][name] = resolve_text(text, given)
            elif number := resources.get(key[0].lower() + key[1:]):
                found[side][name] = f"{number:g}{unit}"
    accelerator = resources.get("accelerator", {})
    kind = accelerator.get("resourceType") or accelerator.get("type")
    count = accelerator.get("resourceCount") or accelerator.get("count")
    if kind and count:
        found["limits"][resolve_text(kind, given)] = resolve_text(str(count), given)
    return {side: values for side, values in found.items() if values}
