"""Platform settings of a task (kfp-kubernetes), read as KFP's driver reads them.

Follows `extendPodSpecPatch` in backend/src/v2/driver/k8s.go. A setting may name a secret, config
map or claim by a parameter: `resolve_settings` looks those up. What the settings mean on this
machine is `local_platform`'s part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dalsegno.engine.resolve import Scope, resolve_parameter
from dalsegno.engine.spec import Pipeline
from dalsegno.errors import InputError

SECRET, CONFIG_MAP, CLAIM, EMPTY = "secret", "config map", "volume", "empty folder"


@dataclass(frozen=True)
class Variable:
    """An environment variable whose value is a key of a secret or config map."""

    kind: str
    name: str
    key: str
    variable: str
    is_optional: bool


@dataclass(frozen=True)
class Volume:
    """A folder that the task finds at `mount_path`."""

    kind: str
    name: str
    mount_path: str
    sub_path: str = ""
    is_optional: bool = False


@dataclass(frozen=True)
class Settings:
    """Platform settings of one task, every name resolved.

    Attributes:
        variables: In the order in which a pod gets them; a later one wins.
        field_paths: Pod fields by the variable that takes them.
        timeout_seconds: From the start of the task; None: no limit.
        user: `UID[:GID]`; None: as the image says.
        labels: Labels of the pod.
        annotations: Annotations of the pod.
    """

    variables: list[Variable] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    field_paths: dict[str, str] = field(default_factory=dict)
    timeout_seconds: int | None = None
    user: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


def resolve_settings(
    config: dict[str, Any], component: dict[str, Any], scope: Scope, groups: set[str] | None = None
) -> Settings | None:
    """Resolve the platform settings of one task.

    Args:
        config: KubernetesExecutorConfig of its executor, in JSON form.
        scope: Of the graph that the task stands in: settings name its inputs and tasks.
        groups: Of settings to take; default: those for the task itself, not handed on by it.

    Returns:
        None where there are none.

    Raises:
        InputError: A parameter that names something is missing or no string.
    """
    if not config:
        return None
    groups = applied_to_pod(component) if groups is None else groups
    has_env, has_volumes = "ENV" in groups, "KUBERNETES_VOLUMES" in groups
    metadata = config.get("podMetadata", {})
    return Settings(
        [*_variables(config, scope)] if has_env else [],
        [*_volumes(config, scope, has_shared=has_volumes)],
        {item["name"]: item["fieldPath"] for item in config.get("fieldPathAsEnv", []) if has_env},
        int(config.get("activeDeadlineSeconds", 0)) or None,
        _user(config.get("securityContext", {})),
        metadata.get("labels", {}),
        metadata.get("annotations", {}),
    )


def recorded_settings(platform: dict[str, Any]) -> Settings | None:
    """Read the settings back that a task's record keeps; None where it had none."""
    if not platform:
        return None
    variables = [Variable(**item) for item in platform["variables"]]
    volumes = [Volume(**item) for item in platform["volumes"]]
    return Settings(**{**platform, "variables": variables, "volumes": volumes})


def deadline_seconds(pipeline: Pipeline) -> int | None:
    """Return how long a run may take as a whole; None where nothing limits it."""
    return int(pipeline.platform.get("pipelineConfig", {}).get("activeDeadlineSeconds", 0)) or None


def applied_to_pod(component: dict[str, Any]) -> set[str]:
    """Return the groups of settings that are for the task itself, not handed on by it."""
    groups = {"RESOURCES", "ENV", "KUBERNETES_VOLUMES"}
    for item in component.get("taskConfigPassthroughs", []):
        if not item.get("applyToTask"):
            groups.discard(item.get("field", ""))
    return groups


def _variables(config: dict[str, Any], scope: Scope) -> list[Variable]:
    return [
        Variable(kind, name, pair[key], pair["envVar"], bool(item.get("optional")))
        for kind, group, prefix, key in (
            (SECRET, "secretAsEnv", "secretName", "secretKey"),
            (CONFIG_MAP, "configMapAsEnv", "configMapName", "configMapKey"),
        )
        for item in config.get(group, [])
        if (name := _name(kind, item, prefix, scope)) is not None
        for pair in item.get("keyToEnv", [])
    ]


def _volumes(config: dict[str, Any], scope: Scope, *, has_shared: bool) -> list[Volume]:
    found = []
    for item in config.get("pvcMount", []) if has_shared else []:
        name = _claim_name(item, scope)
        if not name or not item.get("mountPath"):
            raise InputError(
                f"volume: got name {name!r} and path {item.get('mountPath')!r}, want both"
            )
        found.append(Volume(CLAIM, name, item["mountPath"], item.get("subPath", "")))
    for kind, group, prefix in (
        (SECRET, "secretAsVolume", "secretName"),
        (CONFIG_MAP, "configMapAsVolume", "configMapName"),
    ):
        for item in config.get(group, []) if has_shared else []:
            name = _name(kind, item, prefix, scope)
            if name is not None:
                path, is_optional = item["mountPath"], bool(item.get("optional"))
                found.append(Volume(kind, name, path, is_optional=is_optional))
    for group in ("genericEphemeralVolume", "emptyDirMounts"):
        for item in config.get(group, []):
            found.append(Volume(EMPTY, item["volumeName"], item["mountPath"]))
    return found


def _name(kind: str, item: dict[str, Any], prefix: str, scope: Scope) -> str | None:
    """Return the name that an item gives or takes from a parameter; None if that is null."""
    spec = item.get(f"{prefix}Parameter")
    if spec is None:
        if not item.get(prefix):
            raise InputError(f"{kind}: got no name, want one in the platform settings")
        return str(item[prefix])
    value = resolve_parameter(kind, spec, {}, scope)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{kind}: got a name of type {type(value).__name__}, want a string")
    return value


def _claim_name(item: dict[str, Any], scope: Scope) -> str | None:
    if "pvcNameParameter" in item:
        return _name(CLAIM, item, "pvcName", scope)
    if "constant" in item:
        return str(item["constant"])
    return _name(CLAIM, {"pvcNameParameter": item}, "pvcName", scope)  # as older SDKs wrote it


def _user(context: dict[str, Any]) -> str | None:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if str(user) == "0" and context.get("runAsNonRoot"):
        raise InputError("security context: got run_as_user 0 with run_as_non_root, want another")
    if user is None:
        return None if group is None else f":{group}"
    return f"{user}" if group is None else f"{user}:{group}"
