"""The commit of the code that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

COMMIT_VARIABLE = "DALSEGNO_COMMIT"
"""Environment name of the commit that an image was built from."""


def current_commit() -> str:
    """Name the commit of the image or checkout that this code runs from; "" where there is none."""
    if built_from := os.environ.get(COMMIT_VARIABLE):
        return built_from
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
