"""Finds a pipeline by name, by `.py` file or by compiled `.yaml`, and compiles it."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from dalsegno.engine.spec import Pipeline, parse_pipeline
from dalsegno.errors import InputError, NotFoundError

GROUP = "dalsegno.pipelines"

# Compiles FILE in a process of its own, where the file's folder comes first on the path, as it
# does for `python FILE`: a user's `components` package wins over ours there, and only there.
_COMPILE = """
import importlib.util, json, pathlib, sys, sysconfig
path, function, target = pathlib.Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3]
sys.path.insert(0, str(path.parent))
spec = importlib.util.spec_from_file_location(path.stem, path)
module = importlib.util.module_from_spec(spec)
sys.modules[path.stem] = module
spec.loader.exec_module(module)
from kfp import compiler
from kfp.dsl import base_component, graph_component
here = {n: c for n, c in vars(module).items() if isinstance(c, base_component.BaseComponent)}
graphs = {n: c for n, c in here.items() if isinstance(c, graph_component.GraphComponent)}
found = here if function else graphs or here
if function and function not in found or not function and len(found) != 1:
    sys.exit(f"got {', '.join(graphs or here) or 'nothing'}, want " + (function or "one of them"))
compiler.Compiler().compile(found[function] if function else next(iter(found.values())), target)
files = {getattr(loaded, "__file__", None) or "" for loaded in list(sys.modules.values())}
foreign = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
own = sorted(name for name in files if name.endswith(".py") and not name.startswith(foreign))
pathlib.Path(target).with_suffix(".json").write_text(json.dumps([str(path), *own]))
"""


def load_pipeline(name: str) -> Pipeline:
    """Return a compiled pipeline.

    Args:
        name: One of ours (`training`), `FILE.yaml`, `FILE.py` or `FILE.py:function`.

    Raises:
        NotFoundError: There is no such pipeline or file.
        InputError: The file is no pipeline.
    """
    file_name, _, function = name.partition(":") if ".py:" in name else (name, "", "")
    path = Path(file_name)
    if path.suffix in {".yaml", ".yml", ".json", ".py"}:
        if not path.is_file():
            raise NotFoundError(f"pipeline {name!r}: no such file")
        found = _compile_file(path, function) if path.suffix == ".py" else _read(path)
        source = f"{path.absolute()}:{function}" if function else str(path.absolute())
        return replace(found, source=source)
    return replace(compile_object(_entry_point(name).load()), source=name)


def known_pipelines() -> dict[str, EntryPoint]:
    """Return the installed pipelines by name."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def compile_object(component: Any) -> Pipeline:
    """Compile a pipeline or a component that is a Python object.

    Raises:
        InputError: KFP warns about it: what it warns of would not work as written.
    """
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("error", UserWarning)
        target = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(component, str(target))
        return parse_pipeline(_without_header(target.read_text()), component.name)


def _without_header(text: str) -> str:
    """Drop the comment that KFP 2.17 writes on top.

    It is not the same each time (it follows the order of sets), and a default value of several
    lines breaks out of it (kubeflow/pipelines pull request 10477).
    """
    return text[text.index("\ncomponents:\n") + 1 :]


@functools.cache
def _entry_point(name: str) -> EntryPoint:
    known = known_pipelines()
    if name not in known:
        raise NotFoundError(
            f"pipeline {name!r}: not found, known are {', '.join(known)}, or a .py or .yaml file",
            "dalsegno run --help",
        )
    return known[name]


def _read(path: Path) -> Pipeline:
    try:
        return parse_pipeline(path.read_text(), path.name)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: got bytes that are no text, want compiled YAML") from error


def _compile_file(path: Path, function: str) -> Pipeline:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pipeline.yaml"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", _COMPILE, str(path), function, str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            where = f"{path}{_failing_line(path, done.stderr)}"
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            if reason.startswith("got "):
                raise InputError(f"{path}: {reason}", f"dalsegno run {path}:FUNCTION")
            raise InputError(f"{where}: does not compile: {reason}", f"{sys.executable} {path}")
        sources = json.loads(target.with_suffix(".json").read_text())
        return replace(
            parse_pipeline(target.read_text(), path.name), sources=tuple(dict.fromkeys(sources))
        )


def _failing_line(path: Path, traceback: str) -> str:
    """Return `:LINE` of the file where its code stood when it failed, if it did."""
    lines = re.findall(rf'File "{re.escape(str(path.absolute()))}", line (\d+)', traceback)
    return f":{lines[-1]}" if lines else ""
