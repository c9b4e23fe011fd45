"""What a record must hold, whichever source it was read from."""

from __future__ import annotations

PLAYED = [
    "chain",
    "artifacts",
    "branches",
    "loops",
    "collected_artifacts",
    "nested",
    "exits",
    "failing",
    "all_types",
    "all_optional",
]


def given(task):
    return task.executor_input.get("inputs", {}).get("artifacts", {})


def values(task):
    return task.executor_input.get("inputs", {}).get("parameterValues", {})


def defaults(task):
    parameters = task.component_spec.get("inputDefinitions", {}).get("parameters", {})
    return {
        name: definition["defaultValue"]
        for name, definition in parameters.items()
        if "defaultValue" in definition
    }
