"""Which modules a pipeline's tasks will want, so that they can be loaded once for all of them."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dalsegno.engine.spec import Pipeline, lightweight_source, producers

# Third-party modules that take long to import and start no thread at it (under the variables of
# `forkserver.QUIET`). onnxruntime starts one, so it is left to the tasks.
HEAVY = (
    "numpy",
    "pandas",
    "pyarrow",
    "pyarrow.parquet",
    "duckdb",
    "scipy.special",
    "scipy.optimize",
    "xgboost",
    "optuna",
    "onnx",
    "matplotlib.figure",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "minio",
    "google.cloud.storage",
    "jinja2",
    "pydantic_settings",
)
_OURS = ("components", "dalsegno")


def component_sources(pipeline: Pipeline) -> list[str]:
    """List the sources of the lightweight components, in the order in which tasks want them."""
    found: dict[str, None] = {}
    for label in dict.fromkeys(_labels(pipeline, pipeline.root)):
        command = pipeline.executor(label).get("container", {}).get("command", [])
        source = lightweight_source(tuple(command)) if command else None
        if source:
            found[source] = None
    return list(found)


def heavy_modules(source: str, seen: set[str]) -> list[str]:
    """List what to load ahead for a source: the heavy modules that it reaches, and ours.

    Args:
        seen: Modules that need no second look; grows.
    """
    return list(_reachable(source, seen))


@functools.lru_cache(maxsize=1024)
def is_heavy(source: str) -> bool:
    """Whether a component's source imports any of the heavy modules, be it through ours."""
    return any(module in HEAVY for module in _reachable(source, set()))


def _labels(pipeline: Pipeline, graph: dict[str, Any]) -> Iterator[str]:
    """Yield the executors of a graph's tasks, those first that wait for no other."""
    tasks = graph["dag"]["tasks"]
    waiting = {name: producers(task) for name, task in tasks.items()}
    while waiting:
        ready = [name for name, wanted in waiting.items() if not wanted & waiting.keys()]
        for name in ready:
            component = pipeline.component(tasks[name]["componentRef"]["name"])
            if "dag" in component:
                yield from _labels(pipeline, component)
            else:
                yield component["executorLabel"]
            del waiting[name]


def _reachable(source: str, seen: set[str]) -> Iterator[str]:
    """Yield the heavy modules that a source imports, and those that our modules in it import."""
    for name in _imports(source):
        if name in seen:
            continue
        seen.add(name)
        if name.partition(".")[0] in _OURS:
            yield from _ours(name, seen)
        else:
            yield from (heavy for heavy in HEAVY if name == heavy)


def _ours(name: str, seen: set[str]) -> Iterator[str]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return
    if spec and spec.origin and spec.origin.endswith(".py"):
        yield from _reachable(Path(spec.origin).read_text("utf-8"), seen)
        yield name


def _imports(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
