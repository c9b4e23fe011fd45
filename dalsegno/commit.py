"""The commit of the code that runs."""

from __future__ import annotations

import subprocess
from pathlib import Path


def current_commit() -> str:
    """Name the commit of the checkout that this code runs from; "" where there is none."""
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
