"""The code of a lightweight component, bound to the real file where it was written.

KFP keeps the text of the function alone, below a few imports. Where a file of this machine still
holds that very text, the function is compiled with the file's name and lines, so that breakpoints,
tracebacks and editors meet there. Otherwise it is compiled from the text in the capsule.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from dalsegno.engine.executor import MODULE
from dalsegno.errors import InputError
from dalsegno.replay.variables import variables

_MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where a function of a component stands.

    Attributes:
        path: The file.
        line: Line of `def`, from 1.
        source_line: Line of `def` in the component's source text, from 1.
        is_edited: Whether the file has another text by now.
    """

    path: Path
    line: int
    source_line: int
    is_edited: bool = False


@dataclass(frozen=True)
class Code:
    """A component function, ready to be called by KFP's executor.

    Attributes:
        function: The function.
        place: Where it was compiled from.
        edited: Where another text of it stands by now, if that is not what was compiled.
        bound: Every function of the source text that was compiled from a real file.
    """

    function: Callable[..., object]
    place: Place
    edited: Place | None
    bound: tuple[Place, ...]

    def source_line(self, file: str | None, line: int | None) -> int | None:
        """Translate a line to the component's source text; None if it is not in it."""
        if file is None or line is None:
            return None
        if file == str(self.place.path) and self.place.path not in {p.path for p in self.bound}:
            return line
        near = [p for p in self.bound if str(p.path) == file and p.line <= line]
        if not near:
            return None
        place = max(near, key=lambda found: found.line)
        return line - place.line + place.source_line


def load_code(
    source: Path, function: str, files: Sequence[Path] = (), *, current: bool = False
) -> Code:
    """Load a component's function.

    Args:
        source: File with the source text, in the capsule.
        function: Name of the function in it.
        files: Where it may have been written.
        current: Take the function as it stands in its file now, edited or not.

    Raises:
        InputError: The text is no Python, has no such function, or `current` finds none.
    """
    text = source.read_text("utf-8")
    tree = _parse(text, source)
    module = ModuleType(MODULE)
    module.__file__ = str(source)
    sys.modules[MODULE] = module
    known = [*files, *our_components()]
    bound, place, edited = [], Place(source, 1, 1), None
    for node in tree.body:
        is_wanted = isinstance(node, ast.FunctionDef) and node.name == function
        found = _find(node, text, known) if isinstance(node, ast.FunctionDef) else None
        if found and found.is_edited and not (current and is_wanted):
            edited, found = found if is_wanted else edited, None
        if found:
            bound.append(found)
        if is_wanted:
            place = found or Place(source, node.lineno, node.lineno)
        with variables({"_KFP_RUNTIME": "true"}):  # kfp then imports without its dependencies
            exec(_compile(node, source, found), module.__dict__)  # noqa: S102 (the task's own code)
    if not callable(getattr(module, function, None)):
        raise InputError(f"component: got no function {function!r} in its source text, want one")
    if current and place.path == source:
        names = ", ".join(map(str, files)) or "no file known"
        raise InputError(f"--current: got no function {function!r} in {names}, want it there")
    return Code(getattr(module, function), place, edited, tuple(bound))


@functools.cache
def our_components() -> tuple[Path, ...]:
    """List the files in which our own components are written."""
    spec = importlib.util.find_spec("components")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return tuple(path for folder in folders for path in sorted(Path(folder).glob("*/component.py")))


def _find(node: ast.FunctionDef, text: str, files: Iterable[Path]) -> Place | None:
    """Find a function by name and text; one of the same name and another text is second best."""
    want = _text_of(node, text)
    edited: Place | None = None
    for path in files:
        for candidate, content in _functions(path, node.name):
            if _text_of(candidate, content) == want:
                return Place(path, candidate.lineno, node.lineno)
            edited = edited or Place(path, candidate.lineno, node.lineno, is_edited=True)
    return edited


def _functions(path: Path, name: str) -> Iterator[tuple[ast.FunctionDef, str]]:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            return
        text = path.read_text("utf-8")
        if f"def {name}(" not in text:
            return
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            yield node, text


def _node_in_file(node: ast.stmt, place: Place) -> ast.stmt:
    """Take the function's node from its file: lines and columns are right there."""
    assert isinstance(node, ast.FunctionDef)  # noqa: S101 (only functions are looked for)
    nodes = (found for found, _ in _functions(place.path, node.name) if found.lineno == place.line)
    found = next(nodes)
    found.decorator_list = []
    return found


def _text_of(node: ast.FunctionDef, text: str) -> str:
    lines = text.split("\n")[node.lineno - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)).rstrip()


def _compile(node: ast.stmt, source: Path, found: Place | None) -> CodeType:
    """Compile a statement of the source text, or the function that was found for it."""
    statement = _node_in_file(node, found) if found else node
    filename = str(found.path if found else source)
    return compile(ast.Module([statement], []), filename, "exec", dont_inherit=True)


def _parse(text: str, source: Path) -> ast.Module:
    try:
        return ast.parse(text, str(source))
    except (SyntaxError, ValueError) as error:
        name = os.path.basename(source)
        raise InputError(
            f"component: got source text that is no Python ({name}: {error})"
        ) from error
