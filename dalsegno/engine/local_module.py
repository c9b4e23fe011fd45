"""Finds the module of a containerised Python component (`target_image`) on this machine.

In its image KFP's executor finds the module by `--component_module_path`, or by a `kfp_config.ini`
in the working directory that `kfp component build` wrote. Here the files that were loaded to
compile the pipeline are looked through as well.
"""

from __future__ import annotations

import ast
import configparser
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalsegno.engine.spec import lightweight_source

_EXECUTOR = "kfp.dsl.executor_main"
_CONFIG = "kfp_config.ini"


@dataclass(frozen=True)
class LocalModule:
    """A component's module.

    Attributes:
        path: The file.
        root: Folder that its imports may start from, as the working directory of its image.
    """

    path: Path
    root: Path


def find_module(
    command: Sequence[str], args: Sequence[str], sources: Sequence[str] = ()
) -> LocalModule | None:
    """Return the module of a containerised Python component, None where it is not here.

    Args:
        sources: Files of this machine in which components may be defined; the pipeline's first.
    """
    is_executor = any(word == _EXECUTOR for word in command)
    if not is_executor or lightweight_source(tuple(command)) is not None:
        return None
    words = [*command, *args]
    function = _option(words, "--function_to_execute")
    named = _option(words, "--component_module_path")
    if named or not function:
        path = Path(named or "")
        return LocalModule(path.absolute(), Path.cwd()) if path.is_file() else None
    folders = dict.fromkeys([Path.cwd(), *(Path(source).parent for source in sources)])
    return next(
        (found for folder in folders if (found := _configured(folder, function))),
        next(_defined(function, sources), None),
    )


def _option(words: list[str], name: str) -> str | None:
    return words[words.index(name) + 1] if name in words[:-1] else None


def _configured(folder: Path, function: str) -> LocalModule | None:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read(folder / _CONFIG)
        path = folder / parser.get("Components", function)
    except configparser.Error:
        return None
    return LocalModule(path, folder) if path.is_file() else None


def _defined(function: str, sources: Sequence[str]) -> Iterator[LocalModule]:
    for source in sources:
        path = Path(source)
        if path.is_file() and function in _components(path, path.stat().st_mtime_ns):
            yield LocalModule(path, Path(sources[0]).parent)


@functools.lru_cache
def _components(path: Path, _changed: int) -> frozenset[str]:
    """Names of the functions at the top of a file that carry a `component` decorator."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return frozenset()
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("component" in ast.unparse(item) for item in node.decorator_list)
    )
