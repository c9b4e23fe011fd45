"""Plain `kfp.local`, the peer: each task a subprocess of this environment's own Python."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any


def start(folder: Path) -> None:
    """Let pipelines that are called from now on run by `kfp.local`, with all outputs in a folder.

    KFP 2.17 imports the package `docker`, an extra of it, whichever runner is asked for; where the
    package is not installed, an empty module stands in. `SubprocessRunner` uses nothing of it.
    """
    try:
        importlib.import_module("docker.client")
    except ImportError:
        stand_in: Any = types.ModuleType("docker")
        stand_in.DockerClient = object
        sys.modules["docker"] = stand_in
    from kfp import local

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder))
