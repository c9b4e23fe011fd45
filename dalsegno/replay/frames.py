"""Which frames of a traceback are the task's, which are KFP's and ours, which are a library's."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from dalsegno.engine.executor import is_machinery

_HERE = str(Path(__file__).parent)
_FOREIGN = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def is_between(filename: str) -> bool:
    """Say whether a frame stands between the command and the task: KFP's executor, or replay."""
    return is_machinery(filename) or filename.startswith(_HERE)


def is_users(filename: str) -> bool:
    """Say whether a frame is of code that a user may have written: no library, no machinery."""
    return not is_between(filename) and not filename.startswith((*_FOREIGN, "<"))


def task_frames(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Leave out the frames that lead to the task; all frames if there are no others."""
    found = list(frames)
    return [frame for frame in found if not is_between(frame.filename)] or found
