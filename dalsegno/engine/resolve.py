"""What a task is given: its inputs, resolved from the scope it stands in.

Follows `resolve.go` of KFP's driver (backend/src/v2/driver), without ML Metadata: results of the
tasks of a graph are kept in its scope.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dalsegno.engine.values import check_type, normalise
from dalsegno.errors import InputError
from dalsegno.runs.record import State

Artifact = dict[str, Any]


@dataclass
class Result:
    """What a task left behind.

    Attributes:
        parameters: Output parameters by name.
        artifacts: Output artifacts by name, each a list (one, unless collected from a loop).
        collected: Outputs that are lists because a loop made one per iteration.
    """

    state: State
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[Artifact]] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    error: str | None = None


@dataclass
class Scope:
    """Inputs of one graph (pipeline, condition, loop iteration …) and results of its tasks."""

    parameters: dict[str, Any]
    artifacts: dict[str, list[Artifact]]
    placeholders: dict[str, str]
    results: dict[str, Result] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """Inputs of one task."""

    parameters: dict[str, Any]
    artifacts: dict[str, list[Artifact]]


def resolve_inputs(
    name: str, task: dict[str, Any], component: dict[str, Any], scope: Scope
) -> Inputs:
    """Resolve the inputs of a task as the driver would.

    A parameter that is null and optional is left out: the component's own default applies.

    Raises:
        InputError: An input is not there, or of the wrong type.
    """
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    wanted = task.get("inputs", {})
    parameters: dict[str, Any] = {}
    for key, spec in wanted.get("parameters", {}).items():
        definition = definitions.get(key, {})
        if definition.get("parameterType") == "TASK_CONFIG":
            continue
        value = resolve_parameter(key, spec, task, scope)
        if value is None and definition.get("isOptional"):
            continue
        if value is None:
            raise InputError(f"parameter {key!r} of task {name!r}: got null, want a value")
        if spec.get("parameterExpressionSelector"):
            from dalsegno.engine.cel import select  # it takes longer than all else to import

            value = select(spec["parameterExpressionSelector"], value)
        parameters[key] = value
    _add_graph_defaults(component, definitions, parameters)
    _check_types(name, task, definitions, parameters)
    artifacts = {
        key: _artifact(key, spec, scope, is_optional=_is_optional(component, key))
        for key, spec in wanted.get("artifacts", {}).items()
    }
    return Inputs(parameters, {key: value for key, value in artifacts.items() if value is not None})


def graph_outputs(component: dict[str, Any], scope: Scope) -> Result:
    """Gather the outputs of a graph from the results of its tasks."""
    outputs = component["dag"].get("outputs", {})
    result = Result(State.SUCCEEDED)
    for key, spec in outputs.get("parameters", {}).items():
        chosen = spec.get("valueFromParameter")
        selectors = [chosen] if chosen else spec["valueFromOneof"]["parameterSelectors"]
        for selector in selectors:
            producer = scope.results.get(selector["producerSubtask"])
            inner = selector["outputParameterKey"]
            if producer and producer.state.is_success and inner in producer.parameters:
                result.parameters[key] = producer.parameters[inner]
                result.collected |= {key} if inner in producer.collected else set()
                break
    for key, spec in outputs.get("artifacts", {}).items():
        for selector in spec.get("artifactSelectors", []):
            producer = scope.results.get(selector["producerSubtask"])
            inner = selector["outputArtifactKey"]
            if producer and producer.state.is_success and inner in producer.artifacts:
                result.artifacts[key] = producer.artifacts[inner]
                break
    return result


def collect(component: dict[str, Any], iterations: list[Result]) -> Result:
    """Fan the outputs of a loop's iterations into lists, nested loops flattened as KFP does."""
    outputs = component["dag"].get("outputs", {})
    result = Result(State.SUCCEEDED)
    for key in outputs.get("parameters", {}):
        values: list[Any] = []
        for iteration in iterations:
            if key in iteration.parameters:
                value = iteration.parameters[key]
                values.extend(value if key in iteration.collected else [value])
        result.parameters[key] = values
        result.collected.add(key)
    for key in outputs.get("artifacts", {}):
        found = [item for iteration in iterations for item in iteration.artifacts.get(key, [])]
        result.artifacts[key] = found
    return result


def loop_items(task: dict[str, Any], inputs: Inputs) -> tuple[str, list[Any]]:
    """Return the name of a loop's item input and the items (values or artifacts)."""
    if "artifactIterator" in task:
        iterator = task["artifactIterator"]
        return iterator["itemInput"], inputs.artifacts[iterator["items"]["inputArtifact"]]
    iterator = task["parameterIterator"]
    items = iterator["items"]
    found = (
        inputs.parameters[items["inputParameter"]] if "inputParameter" in items else items["raw"]
    )
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except json.JSONDecodeError as error:
            raise InputError(f"loop items: got {found[:40]!r}, want a JSON list") from error
    if not isinstance(found, list):
        raise InputError(f"loop items: got {type(found).__name__}, want a list")
    return iterator["itemInput"], normalise(found)


def resolve_parameter(key: str, spec: dict[str, Any], task: dict[str, Any], scope: Scope) -> Any:
    """Resolve one input parameter, also one that a platform setting names.

    Raises:
        InputError: What it names is not there.
    """
    if "componentInputParameter" in spec:
        outer = spec["componentInputParameter"]
        if outer not in scope.parameters:
            raise InputError(
                f"parameter {key!r}: {outer!r} is not an input of its graph. KFP takes the list "
                "of a loop away from its iterations, and cannot hand an outer item to a loop "
                "over literals: pass it through a task"
            )
        return scope.parameters[outer]
    if "taskOutputParameter" in spec:
        source = spec["taskOutputParameter"]
        producer = scope.results[source["producerTask"]]
        return producer.parameters.get(source["outputParameterKey"])
    if "runtimeValue" in spec:
        return _constant(spec["runtimeValue"].get("constant"), scope.placeholders)
    if "taskFinalStatus" in spec:
        return _final_status(spec["taskFinalStatus"]["producerTask"], scope)
    raise InputError(f"parameter {key!r}: got {sorted(spec)}, want a source that KFP knows")


def _constant(value: Any, placeholders: dict[str, str]) -> Any:
    if isinstance(value, str) and "{{$." in value:
        workspace = "{{$.workspace_path}}"
        if workspace in value:
            return value.replace(workspace, "/kfp-workspace")
        return placeholders.get(value, value)
    return normalise(value)


def _final_status(producer_name: str, scope: Scope) -> dict[str, Any]:
    producer = scope.results[producer_name]
    state = "COMPLETE" if producer.state.is_success else "FAILED"
    return {
        "state": state,
        "pipelineTaskName": producer_name,
        "pipelineJobResourceName": scope.placeholders["{{$.pipeline_job_resource_name}}"],
        "error": {},  # the driver leaves it empty
    }


def _add_graph_defaults(
    component: dict[str, Any], definitions: dict[str, Any], parameters: dict[str, Any]
) -> None:
    if "dag" not in component:
        return
    for key, definition in definitions.items():
        if key not in parameters and definition.get("isOptional"):
            parameters[key] = normalise(definition.get("defaultValue"))


def _check_types(
    name: str, task: dict[str, Any], definitions: dict[str, Any], parameters: dict[str, Any]
) -> None:
    item = task.get("parameterIterator", {}).get("itemInput")
    for key, definition in definitions.items():
        if key in parameters and parameters[key] is not None and key != item:
            parameters[key] = check_type(f"{name}.{key}", parameters[key], definition)
        elif key not in parameters and key != item and _is_required(definition):
            raise InputError(f"parameter {key!r} of task {name!r}: got nothing, want a value")


def _is_required(definition: dict[str, Any]) -> bool:
    is_given_elsewhere = (
        "defaultValue" in definition or definition.get("parameterType") == "TASK_CONFIG"
    )
    return not definition.get("isOptional") and not is_given_elsewhere


def _artifact(
    key: str, spec: dict[str, Any], scope: Scope, *, is_optional: bool
) -> list[Artifact] | None:
    if "componentInputArtifact" in spec:
        found = scope.artifacts.get(spec["componentInputArtifact"])
    else:
        source = spec["taskOutputArtifact"]
        producer = scope.results[source["producerTask"]]
        found = producer.artifacts.get(source["outputArtifactKey"])
    if found is None and not is_optional:
        raise InputError(f"input artifact {key!r}: got none, want one from {_source_name(spec)}")
    return found


def _source_name(spec: dict[str, Any]) -> str:
    if "componentInputArtifact" in spec:
        return f"the pipeline's input {spec['componentInputArtifact']!r}"
    source = spec["taskOutputArtifact"]
    return f"task {source['producerTask']!r}, output {source['outputArtifactKey']!r}"


def _is_optional(component: dict[str, Any], key: str) -> bool:
    definition = component.get("inputDefinitions", {}).get("artifacts", {}).get(key, {})
    return bool(definition.get("isOptional"))
