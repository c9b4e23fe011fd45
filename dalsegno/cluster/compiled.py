"""The compiled pipeline of a cluster's run, and which component stands behind a task of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from dalsegno.cluster.api import KfpApi
from dalsegno.errors import DalsegnoError, InputError

_ITERATION = re.compile(r"(.+)-iteration-\d+")


@dataclass(frozen=True)
class Component:
    """What the pipeline says of one task.

    Attributes:
        name: Name of the component.
        spec: Component spec.
        container: Image, command, args, env; empty for a graph or an importer.
    """

    name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline as it was submitted.

    Attributes:
        spec: PipelineSpec; empty where nobody knows it.
        platform: PlatformSpec.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    platform: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(self.spec.get("pipelineInfo", {}).get("name", ""))

    @property
    def text(self) -> str:
        """Both specs as YAML."""
        import yaml

        documents = [item for item in (self.spec, self.platform) if item]
        return yaml.safe_dump_all(documents, sort_keys=False) if documents else ""

    @property
    def sha256(self) -> str:
        """Digest of the YAML."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def component(self, path: str) -> Component:
        """Return the component of a task; an empty one where the pipeline does not have it.

        Args:
            path: Address of the task in the run: `for-loop-1-iteration-0/train`.
        """
        spec, name = self.spec.get("root", {}), ""
        for part in path.split("/"):
            tasks = spec.get("dag", {}).get("tasks", {})
            looped = _ITERATION.fullmatch(part)
            task = tasks.get(part) or (tasks.get(looped[1]) if looped else None)
            if task is None:
                return Component()
            name = task["componentRef"]["name"]
            spec = self.spec.get("components", {}).get(name, {})
        executors = self.spec.get("deploymentSpec", {}).get("executors", {})
        executor = executors.get(spec.get("executorLabel", ""), {})
        return Component(name, spec, executor.get("container", {}))

    def paths(self) -> dict[str, list[str]]:
        """Return the addresses of all tasks by the last part; of a loop, without its iteration."""
        found: dict[str, list[str]] = {}
        _walk(self.spec, self.spec.get("root", {}), "", found)
        return found


def _walk(
    spec: dict[str, Any], component: dict[str, Any], above: str, found: dict[str, list[str]]
) -> None:
    for name, task in component.get("dag", {}).get("tasks", {}).items():
        path = f"{above}/{name}" if above else name
        inner = spec.get("components", {}).get(task["componentRef"]["name"], {})
        found.setdefault(name, []).append(path)
        _walk(spec, inner, path, found)


def parse_compiled(text: str) -> CompiledPipeline:
    """Read YAML or JSON; what is no pipeline of v2 gives an empty one."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [item for item in yaml.load_all(text, Loader=loader) if isinstance(item, dict)]
    except yaml.YAMLError:
        return CompiledPipeline()
    spec = next((item for item in documents if "pipelineInfo" in item), {})
    platform = next((item for item in documents if "platforms" in item), {})
    return CompiledPipeline(json.loads(json.dumps(spec, default=str)), platform)


def pipeline_of(api: KfpApi, run: dict[str, Any]) -> CompiledPipeline:
    """Return the pipeline of a run of the v2beta1 API; empty where it is gone."""
    given = run.get("pipeline_spec")
    reference = run.get("pipeline_version_reference", {})
    if not given and reference.get("pipeline_version_id"):
        try:
            version = api.pipeline_version(
                reference["pipeline_id"], reference["pipeline_version_id"]
            )
        except InputError:
            return CompiledPipeline()  # deleted since
        given = version.get("pipeline_spec")
    return from_struct(given or {})


def known_pipeline(api: KfpApi, run_id: str) -> tuple[dict[str, Any], CompiledPipeline]:
    """Return run and pipeline from the v2beta1 API; empty ones where it does not answer."""
    if api.http.is_silent:
        return {}, CompiledPipeline()
    try:
        run = api.run(run_id)
        return run, pipeline_of(api, run)
    except DalsegnoError:
        return {}, CompiledPipeline()


def from_struct(given: dict[str, Any]) -> CompiledPipeline:
    """Read the API's `pipeline_spec`: the spec itself, or it and the PlatformSpec by name."""
    if "pipeline_spec" in given:
        return CompiledPipeline(given["pipeline_spec"], given.get("platform_spec", {}))
    return CompiledPipeline(given if "pipelineInfo" in given else {})
