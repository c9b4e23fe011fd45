"""The identity of the environment in which a run's tasks work.

runs/<run-id>/environment.json
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import sys
from typing import Any

from dalsegno.errors import NotFoundError
from dalsegno.runs.record import run_key
from dalsegno.store import Store

_FILE = "environment.json"


@functools.cache
def this_environment() -> dict[str, Any]:
    """Name the interpreter and the packages of this process.

    Names and versions come from the names of `…dist-info` folders: some milliseconds, where
    reading the metadata of some hundred packages takes a quarter of a second.

    Returns:
        `python` and `platform`; `packages`: version by normalised name.
    """
    packages: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder or "."):
                if name.endswith(".dist-info"):
                    package, _, version = name.removesuffix(".dist-info").partition("-")
                    packages.setdefault(normalise_name(package), version)
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "packages": dict(sorted(packages.items())),
    }


def normalise_name(package: str) -> str:
    """Write the name of a package as an index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def write_environment(store: Store, run_id: str) -> None:
    """Keep the environment of this process with a run."""
    text = json.dumps(this_environment(), indent=1)
    store.put(run_key(run_id, _FILE), text.encode())


def read_environment(store: Store, run_id: str) -> dict[str, Any]:
    """Read the environment of a run; empty where none was kept."""
    try:
        found: dict[str, Any] = json.loads(store.get(run_key(run_id, _FILE)))
    except NotFoundError:
        return {}
    return found
