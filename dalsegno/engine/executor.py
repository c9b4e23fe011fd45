"""The one place that touches KFP's Python executor.

Plays a lightweight component in the current process: the source text of the component is loaded
as a module, and KFP's own executor reads the executor input, calls the function and writes the
executor output.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE = "ephemeral_component"
"""Name under which the source text of a component is loaded."""


def load(source_path: Path, function: str, executor_input: dict[str, Any]) -> Callable[[], object]:
    """Make a component function ready to run on its executor input.

    Args:
        source_path: File with the source text of the component.
        function: Name of the function in it.
        executor_input: KFP's ExecutorInput as JSON, artifact URIs being local paths.

    Returns:
        What runs the function and writes the executor output.
    """
    load_kfp()
    return prepare(getattr(_load(source_path), function), executor_input)


def load_kfp() -> None:
    """Import what every task needs of kfp, which takes longer than anything else in a light one."""
    os.environ.setdefault("_KFP_RUNTIME", "true")  # kfp then imports without its dependencies
    importlib.import_module("kfp.dsl.executor")


def prepare(code: Callable[..., object], executor_input: dict[str, Any]) -> Callable[[], object]:
    """Make a function that is loaded already ready to run on its executor input; see `load`."""
    from kfp.dsl.executor import Executor

    executor = Executor(executor_input=executor_input, function_to_execute=code)
    return executor.execute  # type: ignore[no-any-return]


def describe_error(error: BaseException) -> dict[str, Any]:
    """Say what failed and where: type, message, and the last frame outside of KFP."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if not is_machinery(frame.filename)]
    where = ours[-1] if ours else frames[-1] if frames else None
    return {
        "type": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "file": where.filename if where else None,
        "line": where.lineno if where else None,
        "function": where.name if where else None,
        "next_command": getattr(error, "next_command", None),
        "retryable": bool(getattr(error, "retryable", False)),
    }


def is_machinery(filename: str) -> bool:
    """Say whether a frame of that file is KFP's or ours, between the command and the task."""
    return filename.startswith(("<", _kfp_folder())) or filename == __file__


@functools.cache
def _kfp_folder() -> str:
    """Return where kfp is installed, and no other folder of that name: users have such, too."""
    spec = importlib.util.find_spec("kfp")
    return os.path.join(os.path.dirname(str(spec.origin)), "") if spec else "<"


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python module at {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    linecache.checkcache(str(path))
    spec.loader.exec_module(module)
    return module
