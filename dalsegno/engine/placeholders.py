"""What KFP's launcher fills into the parameters of a task, and where a run's workspace is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dalsegno.engine.golang import text_of

WORKSPACE = "/kfp-workspace"
"""Where tasks find the workspace of their run on a cluster; what records say."""

IN_WORKSPACE = "_kfp_workspace"
"""Metadata of an artifact that an importer has put into the workspace."""

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


def fill_in(values: dict[str, Any], workspace: Path) -> None:
    """Replace what the launcher replaces in the text of an executor input, and the workspace.

    Args:
        values: Parameters by name; changed in place.
        workspace: Where the workspace is on this machine.
    """

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        if not isinstance(value, str):
            return value
        text = _PLACEHOLDER.sub(lambda found: _text_of(found, known), value)
        return text.replace(WORKSPACE, str(workspace))

    known = dict(values)
    values.update({name: filled(value) for name, value in known.items()})


def as_recorded(value: Any, workspace: Path) -> Any:
    """Write what a task returned with the path that the workspace has on a cluster."""
    if isinstance(value, dict):
        return {key: as_recorded(item, workspace) for key, item in value.items()}
    if isinstance(value, list):
        return [as_recorded(item, workspace) for item in value]
    return value.replace(str(workspace), WORKSPACE) if isinstance(value, str) else value


def _text_of(found: re.Match[str], values: dict[str, Any]) -> str:
    name = found.group(1)
    # The text becomes part of a JSON string, where an escape stands for its character.
    return text_of(values[name], escapes_html=False) if name in values else found.group(0)
