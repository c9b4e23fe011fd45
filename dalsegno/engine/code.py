"""Digests the code of this machine that a component runs besides its own source text.

On a cluster the image stands for that code. A process here imports it from where it lies, so a
cached result is only good as long as it is the same.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import site
import sys
import sysconfig
from pathlib import Path

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([A-Za-z_][\w.]*)[ \t]+import\b|import[ \t]+([^\n#;(]+))", re.M
)
_LEFT_OUT = {"__pycache__", ".git"}


@functools.cache
def code_digest(source: str) -> str:
    """Digest what a component's source imports from outside of installed packages.

    Follows imports from one such package to the next. Installed packages are not read: the
    environment's list of versions stands for them.

    Args:
        source: Python source text.
    """
    digest = hashlib.sha256()
    seen: set[str] = set()
    waiting = sorted(_imported(source))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        folder = _first_party(name)
        if folder is not None:
            content, imported = _read(folder)
            digest.update(f"{name}\0{content}\0".encode())
            waiting = sorted({*waiting, *imported} - seen)
    return digest.hexdigest()


def _imported(source: str) -> set[str]:
    """Top-level names of the modules that a source text imports, wherever in it.

    Read by pattern, so that broken text, and a docstring that looks like an import, do no harm.
    """
    found: set[str] = set()
    for module, names in _IMPORT.findall(source):
        listed = [module] if module else names.split(",")
        found |= {name.split()[0].partition(".")[0] for name in listed if name.strip()}
    return found


def _first_party(name: str) -> Path | None:
    """Folder or file of a module that is neither built in nor installed, else None."""
    if name in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        return None
    locations = spec.submodule_search_locations
    place = Path(next(iter(locations)) if locations else str(spec.origin)).resolve()
    return None if any(place.is_relative_to(root) for root in _installed()) else place


@functools.cache
def _installed() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    roots = [paths["purelib"], paths["platlib"], paths["stdlib"], *site.getsitepackages()]
    return tuple(Path(root).resolve() for root in roots)


@functools.cache
def _read(place: Path) -> tuple[str, frozenset[str]]:
    """Digest a package or module, and name what it imports."""
    digest = hashlib.sha256()
    imported: set[str] = set()
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    for path in files:
        if not path.is_file() or not _LEFT_OUT.isdisjoint(path.parts):
            continue
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
        if path.suffix == ".py":
            imported |= _imported(content.decode(errors="replace"))
    return digest.hexdigest(), frozenset(imported)
