"""What the pod of a task says of it: the launcher's command line holds the executor input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dalsegno.cluster.compiled import Component

EXECUTOR_LOGS = "executor-logs"
"""Output in which the launcher publishes what a task printed."""

_MAIN = "main"  # the container of the task's own code
_SEPARATOR = "--"  # between the launcher's options and the user's command


@dataclass(frozen=True)
class LaunchedTask:
    """One task as the driver handed it to the launcher.

    Attributes:
        executor_input: As resolved, without defaults.
        component: With image, command, arguments and the environment that the pipeline sets.
        pipeline: Name of the pipeline.
        execution_id: Id in ML Metadata.
    """

    executor_input: dict[str, Any]
    component: Component
    pipeline: str | None = None
    execution_id: str | None = None


def launched_task(
    pod_spec: dict[str, Any], known: Component, compiled: dict[str, Any] | None = None
) -> LaunchedTask | None:
    """Read the launcher's options from a pod spec, or from the driver's patch of one.

    Args:
        known: The component as the pipeline has it, where that is known.
        compiled: The container as compiled (command, args, env), from the driver's own inputs.

    Returns:
        None where the pod has no launcher: an empty patch, a task that ran from the cache.
    """
    containers = pod_spec.get("containers") or []
    main = next((item for item in containers if item.get("name") == _MAIN), None)
    options = _options([*(main or {}).get("command", []), *(main or {}).get("args", [])])
    if main is None or "executor_input" not in options:
        return None
    user = [*_after(main.get("command", [])), *main.get("args", [])]
    if _SEPARATOR in main.get("args", []):
        user = _after(main["args"])
    original = compiled or known.container
    command, args = _split(user, original)
    container = {
        "image": main.get("image") or original.get("image", ""),
        "command": command,
        "args": args,
        "env": original.get("env", []),
    }
    spec = json.loads(options.get("component_spec") or "null") or known.spec
    _drop_logs(spec)
    return LaunchedTask(
        json.loads(options["executor_input"]),
        Component(known.name, spec, container),
        options.get("pipeline_name"),
        options.get("execution_id"),
    )


def _drop_logs(spec: dict[str, Any]) -> None:
    """Leave out the output that the driver adds to those of a component with artifacts."""
    declared = spec.get("outputDefinitions", {}).get("artifacts", {})
    if "schemaVersion" not in declared.get(EXECUTOR_LOGS, {}).get("artifactType", {}):
        declared.pop(EXECUTOR_LOGS, None)


def _options(words: list[str]) -> dict[str, str]:
    """Read `--name value` and `--name=value` up to the separator."""
    found: dict[str, str] = {}
    words = words[: words.index(_SEPARATOR)] if _SEPARATOR in words else words
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        if equals:
            found[name] = value
        elif index + 1 < len(words):
            found[name] = words[index + 1]
    return found


def _after(words: list[str]) -> list[str]:
    return words[words.index(_SEPARATOR) + 1 :] if _SEPARATOR in words else []


def _split(user: list[str], original: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Part the words of the user's command line as the compiled component did."""
    count = len(original.get("command", []))
    if original and count + len(original.get("args", [])) == len(user):
        return user[:count], user[count:]
    if "--executor_input" in user:  # a Python component whose pipeline nobody knows
        first = user.index("--executor_input")
        return user[:first], user[first:]
    return user, []
