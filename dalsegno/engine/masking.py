"""Keeps values of secrets out of what the engine itself writes about a task.

The task's own log stays as the task printed it, as on a cluster.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dalsegno.engine.play import Mount

MASK = "***"
_SHORTEST = 4  # a shorter value says little, and masking it would break up every other word
_SECRET = "secret"  # noqa: S105 (the kind of a setting, as `platform` has it)


def secrets_in(
    platform: Mapping[str, Any], environment: Mapping[str, str], mounts: Iterable[Mount] = ()
) -> list[str]:
    """Return the values that a task has from secrets.

    Args:
        platform: Platform settings, as a task's record keeps them.
        environment: Of the task; later settings win, so it says what the task really had.
        mounts: Of the task, those of secrets among them.
    """
    names = [item["variable"] for item in platform.get("variables", []) if item["kind"] == _SECRET]
    targets = {
        os.path.normpath(item["mount_path"])
        for item in platform.get("volumes", [])
        if item["kind"] == _SECRET
    }
    folders = [mount.source for mount in mounts if mount.target in targets]
    return [
        *(environment[name] for name in names if name in environment),
        *(value for folder in folders for value in _values(folder)),
    ]


def masked(error: dict[str, Any] | None, secrets: Iterable[str]) -> dict[str, Any] | None:
    """Return an error without the values of secrets, in whatever form a message may have them."""
    if error is None or not isinstance(error.get("message"), str):
        return error
    forms = {form for value in secrets for form in _forms(value)}
    message = error["message"]
    for form in sorted(forms, key=len, reverse=True):
        message = message.replace(form, MASK)
    return {**error, "message": message}


def _values(folder: Path) -> Iterator[str]:
    """Yield what the files of a secret hold as text: each as a whole, and the words of a JSON."""
    for path in folder.rglob("*"):
        with suppress(OSError, ValueError):
            text = path.read_text("utf-8")
            yield text
            yield from _words(json.loads(text))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _words(inner)


def _forms(value: str) -> list[str]:
    """Return a value as it is, without the space around it, and as `repr` writes it."""
    plain = [value, value.strip(), *(line.strip() for line in value.splitlines())]
    found = [*plain, *(repr(text)[1:-1] for text in plain)]
    return [text for text in found if len(text) >= _SHORTEST]
