"""Limits of a cluster that do not bind here: what would break there is told by name.

- One argument of a process is at most 128 KiB on Linux (MAX_ARG_STRLEN). KFP hands the executor
  input, the component spec and the pipeline's arguments over as one argument each
  (`backend/src/v2/driver/driver.go`, `argocompiler/dag.go`).
- Kubernetes stores an object of at most 1.5 MiB (etcd), and a run is one: Argo's Workflow, with all
  specs and the state of every task. In practice that is about 50 tasks.
- The API server takes a pipeline of at most 32 MiB (`apiserver/common/const.go`).
"""

from __future__ import annotations

import json
from typing import Any

from dalsegno.engine.spec import Pipeline

ARGUMENT_BYTES = 128 * 1024 - 1
OBJECT_BYTES = 1536 * 1024
FILE_BYTES = 32 * 1024 * 1024
TASKS = 50


def warnings_for(pipeline: Pipeline, arguments: dict[str, Any]) -> list[str]:
    """Name the limits of a cluster that a pipeline breaks, as far as its spec shows.

    Args:
        arguments: Pipeline parameters by name.
    """
    found = [*_spec_warnings(pipeline), *_command_warnings(pipeline)]
    if (size := _size({"parameterValues": arguments})) > ARGUMENT_BYTES:
        found.append(
            f"limit: the arguments of pipeline {pipeline.name!r} take {_text(size)}"
            f"{_largest(arguments)}, a cluster passes at most 128 KiB on; use artifacts"
        )
    return found


def input_warnings(path: str, executor_input: dict[str, Any]) -> list[str]:
    """Say whether the input of one task is too large for a cluster.

    Args:
        path: Address of the task in its run.
    """
    size = _size(executor_input)
    if size <= ARGUMENT_BYTES:
        return []
    parameters = executor_input.get("inputs", {}).get("parameterValues", {})
    return [
        f"limit: the executor input of task {path!r} takes {_text(size)}{_largest(parameters)}, "
        "a cluster passes at most 128 KiB on; use artifacts"
    ]


def task_warnings(pipeline: Pipeline, played: int) -> list[str]:
    """Say whether a pipeline has more tasks than one workflow can hold.

    Args:
        played: How many there were in a run of it, loops and all.
    """
    count = max(played, _count(pipeline, pipeline.root, ()))
    if count <= TASKS:
        return []
    return [
        f"limit: pipeline {pipeline.name!r} has {count} tasks, and one workflow on a cluster "
        f"holds about {TASKS} (1.5 MiB with the state of each); split it, or let a task do more"
    ]


def _spec_warnings(pipeline: Pipeline) -> list[str]:
    size = len(pipeline.text.encode())
    if size > FILE_BYTES:
        return [f"limit: pipeline {pipeline.name!r} takes {_text(size)}, a cluster takes 32 MiB"]
    parts = [pipeline.spec.get("components"), pipeline.spec.get("deploymentSpec"), pipeline.root]
    stored = sum(_size(part) for part in parts)
    if stored <= OBJECT_BYTES:
        return []
    return [
        f"limit: the workflow of pipeline {pipeline.name!r} takes {_text(stored)} and more, "
        "Kubernetes stores at most 1.5 MiB; put large sources and files into an image"
    ]


def _command_warnings(pipeline: Pipeline) -> list[str]:
    warnings = []
    for label, executor in pipeline.spec.get("deploymentSpec", {}).get("executors", {}).items():
        container = executor.get("container", {})
        words = [*container.get("command", []), *container.get("args", [])]
        size = max((len(word.encode()) for word in words), default=0)
        if size > ARGUMENT_BYTES:
            name = label.removeprefix("exec-")
            warnings.append(
                f"limit: the command of component {name!r} has an argument of {_text(size)}, "
                "Linux takes at most 128 KiB; put its source or files into an image"
            )
    return warnings


def _count(pipeline: Pipeline, component: dict[str, Any], above: tuple[str, ...]) -> int:
    """Count the tasks of a graph and those below it, a loop's once."""
    total = 0
    for task in component.get("dag", {}).get("tasks", {}).values():
        name = task["componentRef"]["name"]
        inner = pipeline.component(name)
        if "dag" in inner and name not in above:
            total += _count(pipeline, inner, (*above, name))
        else:
            total += 1
    return total


def _largest(values: dict[str, Any]) -> str:
    if not values:
        return ""
    name = max(values, key=lambda key: _size(values[key]))
    return f" (parameter {name!r} alone {_text(_size(values[name]))})"


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _text(size: int) -> str:
    kib = size / 1024
    return f"{kib:.0f} KiB" if kib < 1024 else f"{kib / 1024:.1f} MiB"  # noqa: PLR2004
