"""Which modules a pipeline's tasks will want, so that they can be loaded once for all of them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from dalsegno.engine.spec import Pipeline, lightweight_source

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


def heavy_modules(pipeline: Pipeline) -> list[str]:
    """List what to load ahead, in the order in which the components name it."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    for executor in pipeline.spec.get("deploymentSpec", {}).get("executors", {}).values():
        command = executor.get("container", {}).get("command", [])
        source = lightweight_source(tuple(command)) if command else None
        for module in _reachable(source, seen) if source else ():
            found.setdefault(module)
    return list(found)


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
