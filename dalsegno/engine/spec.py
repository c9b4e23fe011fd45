"""The compiled form of a pipeline: reading, checking and looking things up in it."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dalsegno.engine.values import check_type, name_of, normalise
from dalsegno.errors import InputError

_SCHEMAS = ("2.0.", "2.1.")


@dataclass(frozen=True)
class Pipeline:
    """A compiled KFP pipeline.

    Attributes:
        spec: The PipelineSpec, in JSON form.
        platform: The Kubernetes part of the PlatformSpec, in JSON form; empty without one.
        text: The YAML that both were read from.
        sources: Files in which its components may be defined, where known.
        source: What it was loaded by: a name, `FILE.py[:FUNCTION]` or `FILE.yaml`, where known.
    """

    spec: dict[str, Any]
    platform: dict[str, Any]
    text: str
    sources: tuple[str, ...] = ()
    source: str | None = None

    @property
    def name(self) -> str:
        """Name of the pipeline, as its decorator gave it."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def sha256(self) -> str:
        """Digest of the YAML."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def root(self) -> dict[str, Any]:
        """Component spec of the pipeline itself."""
        root: dict[str, Any] = self.spec["root"]
        return root

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Definitions of the pipeline's parameters, by name."""
        found: dict[str, Any] = self.root.get("inputDefinitions", {}).get("parameters", {})
        return found

    @property
    def artifacts(self) -> dict[str, dict[str, Any]]:
        """Definitions of the pipeline's input artifacts, by name."""
        found: dict[str, Any] = self.root.get("inputDefinitions", {}).get("artifacts", {})
        return found

    def component(self, name: str) -> dict[str, Any]:
        """Component spec by the name in a task's `componentRef`."""
        try:
            found: dict[str, Any] = self.spec["components"][name]
        except KeyError as error:
            raise InputError(f"pipeline {self.name!r}: component {name!r} is not in it") from error
        return found

    def executor(self, label: str) -> dict[str, Any]:
        """Executor spec (container or importer) by label."""
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        try:
            found: dict[str, Any] = executors[label]
        except KeyError as error:
            raise InputError(f"pipeline {self.name!r}: executor {label!r} is not in it") from error
        return found

    def platform_of(self, component: dict[str, Any]) -> dict[str, Any]:
        """Platform settings of a component's executor, in JSON form; empty without any."""
        executors = self.platform.get("deploymentSpec", {}).get("executors", {})
        found: dict[str, Any] = executors.get(component.get("executorLabel"), {})
        return found

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Complete and check the arguments of a run.

        Raises:
            InputError: One is unknown, missing or of the wrong type.
        """
        unknown = sorted(set(given) - set(self.parameters) - set(self.artifacts))
        if unknown:
            raise InputError(_unknown_parameter(self, unknown[0]))
        values = {
            name: self._argument(name, given, definition)
            for name, definition in self.parameters.items()
        }
        for name, definition in self.artifacts.items():
            if name in given and given[name] is not None:
                values[name] = _artifact_argument(name, given[name], definition)
            elif not definition.get("isOptional"):
                raise InputError(
                    f"artifact {name!r} of pipeline {self.name!r}: got nothing, want a path or URI",
                    f"dalsegno run ... --param {name}=PATH",
                )
        return values

    def split(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tell the parameters of complete arguments from their artifacts (lists of one)."""
        artifacts = {name: [arguments[name]] for name in self.artifacts if name in arguments}
        parameters = {name: arguments[name] for name in self.parameters if name in arguments}
        return parameters, artifacts

    def _argument(self, name: str, given: dict[str, Any], definition: dict[str, Any]) -> Any:
        value = given.get(name, definition.get("defaultValue"))
        if value is not None:
            return check_type(name, value, definition)
        if definition.get("isOptional") or name in given:
            return None
        kind = name_of(definition)
        raise InputError(
            f"parameter {name!r} of pipeline {self.name!r}: got nothing, want {kind}",
            f"dalsegno run ... --param {name}=VALUE",
        )


def parse_pipeline(text: str, source: str) -> Pipeline:
    """Read a compiled pipeline or component.

    Args:
        text: YAML, one document with the PipelineSpec and perhaps one with the PlatformSpec.
        source: What to call it in errors.

    Raises:
        InputError: The text is no compiled KFP v2 pipeline.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = list(yaml.load_all(text, Loader=loader))
    except yaml.YAMLError as error:
        line = str(error).splitlines()[0]
        raise InputError(
            f"{source}: got invalid YAML ({line}), want a compiled pipeline"
        ) from error
    specs = [item for item in documents if isinstance(item, dict) and "pipelineInfo" in item]
    if len(specs) != 1 or "root" not in specs[0]:
        raise InputError(
            f"{source}: got {_describe(documents)}, want a compiled KFP v2 pipeline",
            f"kfp dsl compile --py PIPELINE.py --output {source}",
        )
    version = str(specs[0].get("schemaVersion", "2.1.0"))
    if not version.startswith(_SCHEMAS):
        raise InputError(f"{source}: got pipeline schema {version}, want 2.1.0")
    platforms = [item["platforms"] for item in documents if item and "platforms" in item]
    platform = platforms[0].get("kubernetes", {}) if platforms else {}
    pipeline = Pipeline(json.loads(json.dumps(specs[0], default=str)), platform, text)
    _check(pipeline, source)
    return pipeline


def _check(pipeline: Pipeline, source: str) -> None:
    """Refuse a pipeline whose parts do not hold together.

    Raises:
        InputError: The message names the part.
    """
    try:
        if not pipeline.name:
            raise KeyError("name")
        _check_graph(pipeline, pipeline.root, ())
    except (KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else f"a part of another type ({error})"
        raise InputError(f"{source}: got {what}, want a compiled KFP v2 pipeline") from error


def _check_graph(pipeline: Pipeline, graph: dict[str, Any], above: tuple[str, ...]) -> None:
    tasks = graph["dag"]["tasks"]
    for task in tasks.values():
        name = task["componentRef"]["name"]
        component = pipeline.component(name)
        if name in above:
            raise InputError(f"pipeline {pipeline.name!r}: component {name!r} contains itself")
        if "dag" in component:
            _check_graph(pipeline, component, (*above, name))
        else:
            pipeline.executor(component["executorLabel"])
    check_order(tasks, " in ".join((*map(repr, above[-1:]), f"pipeline {pipeline.name!r}")))


def _artifact_argument(name: str, given: Any, definition: dict[str, Any]) -> dict[str, Any]:
    """Make an artifact of a path, a URI, or an object with `uri` and perhaps `metadata`."""
    item = {"uri": given} if isinstance(given, str) else given
    if not isinstance(item, dict) or not isinstance(item.get("uri"), str) or not item["uri"]:
        raise InputError(f"artifact {name!r}: got {type(given).__name__}, want a path or URI")
    uri = item["uri"].removeprefix("file://")
    if "://" not in uri:
        path = Path(uri).absolute()
        if not path.exists():
            raise InputError(f"artifact {name!r}: got {uri}, where nothing is")
        uri = str(path)
    kind = item.get("type") or definition.get("artifactType", {})
    metadata = normalise(item.get("metadata", {}))
    return {"name": name, "type": kind, "uri": uri, "metadata": metadata}


def producers(task: dict[str, Any]) -> set[str]:
    """Names of the tasks that a task waits for, by its own word or by its inputs."""
    inputs = task.get("inputs", {})
    taken = [
        item.get("taskOutputParameter") or item.get("taskOutputArtifact") or {}
        for group in ("parameters", "artifacts")
        for item in inputs.get(group, {}).values()
    ]
    named = {item["producerTask"] for item in taken if item.get("producerTask")}
    return named | set(task.get("dependentTasks", []))


def check_order(tasks: dict[str, Any], where: str) -> None:
    """Refuse a graph that waits for tasks that are not there, or for itself."""
    waiting = {name: producers(task) for name, task in tasks.items()}
    for name, wanted in waiting.items():
        missing = sorted(wanted - set(tasks))
        if missing:
            raise InputError(f"task {name!r} of {where}: waits for {missing[0]!r}, not in it")
    while waiting:
        ready = {name for name, wanted in waiting.items() if not wanted & set(waiting)}
        if not ready:
            raise InputError(f"{where}: tasks {sorted(waiting)} wait for each other in a cycle")
        waiting = {name: wanted for name, wanted in waiting.items() if name not in ready}


@functools.cache
def lightweight_source(command: tuple[str, ...]) -> str | None:
    """Return the Python source inside the command of a lightweight component, else None."""
    is_lightweight = any("kfp.dsl.executor_main" in part for part in command)
    return command[-1] if is_lightweight and "import kfp" in command[-1] else None


def _describe(documents: list[Any]) -> str:
    if not documents or documents == [None]:
        return "an empty file"
    first = documents[0]
    keys = sorted(map(str, first))[:5] if isinstance(first, dict) else type(first).__name__
    return f"a document with {keys}"


def _unknown_parameter(pipeline: Pipeline, name: str) -> str:
    close = difflib.get_close_matches(name, pipeline.parameters, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return (
        f"pipeline {pipeline.name!r}: got parameter {name!r}{hint}, "
        f"want one of {sorted({**pipeline.parameters, **pipeline.artifacts})}"
    )
