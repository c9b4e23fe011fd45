"""Says whether processes may mount on this machine: some distributions forbid it."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def _can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    command = ["unshare", "--map-root-user", "--mount", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not _can_mount(), reason="processes may not mount here")
