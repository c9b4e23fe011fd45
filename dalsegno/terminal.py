"""Text of tasks and of strangers as a terminal may have it: shown, and never obeyed."""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def visible(text: str) -> str:
    """Write control and direction characters as escapes: text of a stranger shows what it is."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text
    )


def without_colours(text: str) -> str:
    """Leave out what only colours a text, such as a log."""
    return _COLOURS.sub("", text)
