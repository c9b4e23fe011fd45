"""How this environment differs from the one that a task had."""

from __future__ import annotations

import ast
from typing import Any

from dalsegno.replay.capsule import Capsule
from dalsegno.runs.environment import normalise_name, this_environment


def version_differences(capsule: Capsule) -> list[str]:
    """Name what differs, the packages first that the component's own text imports.

    Returns:
        Such as `python 3.11.7, recorded 3.12.1`; empty where nothing differs or is known.
    """
    here = this_environment()
    there = capsule.manifest.environment
    found = [
        f"{name} {here[name]}, recorded {there[name]}"
        for name in ("python", "platform")
        if there.get(name) and there[name] != here[name]
    ]
    if not there.get("python") and capsule.record.python not in {None, here["python"]}:
        found.append(f"python {here['python']}, recorded {capsule.record.python}")
    return found + _packages(there.get("packages", {}), here["packages"], _imported(capsule))


def _packages(there: dict[str, str], here: dict[str, str], first: set[str]) -> list[str]:
    names = sorted(
        (name for name, version in there.items() if here.get(name) != version),
        key=lambda name: (name not in first, name),
    )
    return [f"{name} {here.get(name, 'missing')}, recorded {there[name]}" for name in names]


def _imported(capsule: Capsule) -> set[str]:
    """Return the packages that the component's source text imports, as an index names them."""
    if capsule.source is None:
        return set()
    names: set[Any] = set()
    try:
        tree = ast.parse(capsule.source.read_text("utf-8"))
    except (SyntaxError, ValueError):
        return set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {normalise_name(name.partition(".")[0]) for name in names}
