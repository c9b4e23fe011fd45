"""What the log of a Python component tells: what it was given, and how it ended."""

from __future__ import annotations

import json
import re
from typing import Any

_GIVEN = "Got executor_input:"
_DONE = "Wrote executor output file to"
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+), in (.+)$')
_LAST = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$")


def executor_input_in(log: str) -> dict[str, Any] | None:
    """Return the executor input that KFP's executor prints first; None without one."""
    start = log.find(_GIVEN)
    brace = log.find("{", start) if start >= 0 else -1
    if brace < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(log, brace)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and "outputs" in found else None


def has_succeeded(log: str) -> bool:
    """Say whether the executor came to its end."""
    return _DONE in log


def error_in(log: str) -> dict[str, Any] | None:
    """Return the last traceback's exception, with the last frame that is not KFP's.

    Returns:
        type, message, file, line, function; None where the log has no traceback.
    """
    start = log.rfind(_TRACEBACK)
    if start < 0:
        return None
    frames: list[tuple[str, str, str]] = []
    for line in log[start:].splitlines()[1:]:
        frame = _FRAME.match(line)
        if frame:
            frames.append((frame[1], frame[2], frame[3]))
        elif line and not line[0].isspace() and (found := _described(line, frames)):
            return found  # what stands before it is of the other stream, which came in between
    return None


def _described(line: str, frames: list[tuple[str, str, str]]) -> dict[str, Any] | None:
    last = _LAST.match(line)
    if not last:
        return None
    ours = [item for item in frames if "/kfp/" not in item[0] and not item[0].startswith("<")]
    where = (ours or frames)[-1] if frames else None
    name = last[1].rpartition(".")[2]
    return {
        "type": name,
        "message": last[2] or name,
        "file": where[0] if where else None,
        "line": int(where[1]) if where else None,
        "function": where[2] if where else None,
    }
