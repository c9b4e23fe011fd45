"""Keeps values of secrets out of what the engine itself writes about a task.

The task's own log stays as the task printed it, as on a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
_SHORTEST = 4  # a shorter value says little, and masking it would break up every other word
_SECRET = "secret"  # noqa: S105 (the kind of a setting, as `platform` has it)


def secrets_in(platform: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """Return the values that a task's environment has from secrets.

    Args:
        platform: Platform settings, as a task's record keeps them.
        environment: Of the task; later settings win, so it says what the task really had.
    """
    names = [item["variable"] for item in platform.get("variables", []) if item["kind"] == _SECRET]
    return [environment[name] for name in names if name in environment]


def masked(error: dict[str, Any] | None, secrets: Iterable[str]) -> dict[str, Any] | None:
    """Return an error without the values of secrets, in whatever form a message may have them."""
    if error is None or not isinstance(error.get("message"), str):
        return error
    forms = {form for value in secrets for form in _forms(value)}
    message = error["message"]
    for form in sorted(forms, key=len, reverse=True):
        message = message.replace(form, MASK)
    return {**error, "message": message}


def _forms(value: str) -> list[str]:
    """Return a value as it is, without the space around it, and as `repr` writes it."""
    plain = [value, value.strip(), *(line.strip() for line in value.splitlines())]
    found = [*plain, *(repr(text)[1:-1] for text in plain)]
    return [text for text in found if len(text) >= _SHORTEST]
