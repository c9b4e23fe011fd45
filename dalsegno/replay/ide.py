"""Configurations with which VS Code and PyCharm play a capsule under their debuggers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dalsegno.replay.capsule import Capsule
from dalsegno.replay.play import STORE_VARIABLE

PORT = 5678
MODULE = "dalsegno.replay"
_NONE: Mapping[str, str] = {}


def write_configurations(
    capsule: Capsule, python: str = sys.executable, variables: Mapping[str, str] = _NONE
) -> list[Path]:
    """Write `.vscode/launch.json` and `.run/replay.run.xml` into the capsule's folder.

    Both start `python -P -m dalsegno.replay CAPSULE` in this directory.

    Args:
        python: The interpreter.
        variables: Environment variables that it needs.
    """
    texts = {
        ".vscode/launch.json": json.dumps(launch_json(capsule, python, variables), indent=2) + "\n",
        ".run/replay.run.xml": pycharm_xml(capsule, python, variables) + "\n",
    }
    paths = [capsule.folder / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return paths


def launch_json(
    capsule: Capsule, python: str = sys.executable, variables: Mapping[str, str] = _NONE
) -> dict[str, Any]:
    """Return the configurations for VS Code: start the replay, or attach to one that listens."""
    name = f"{capsule.manifest.task}/{capsule.manifest.attempt}"
    start = {
        "name": f"Replay {name}",
        "type": "debugpy",
        "request": "launch",
        "module": MODULE,
        "args": [str(capsule.folder)],
        "python": python,
        "pythonArgs": ["-P"],
        "cwd": str(Path.cwd()),
        "env": {**_environment(capsule), **variables},
        "console": "integratedTerminal",
        "justMyCode": False,
    }
    attach = {
        "name": f"Attach to replay {name}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": PORT},
        "justMyCode": False,
    }
    return {"version": "0.2.0", "configurations": [start, attach]}


def pycharm_xml(
    capsule: Capsule, python: str = sys.executable, variables: Mapping[str, str] = _NONE
) -> str:
    """Return the run configuration for PyCharm."""
    component = Element("component", name="ProjectRunConfigurationManager")
    title = f"Replay {capsule.manifest.task.replace('/', ' ')} {capsule.manifest.attempt}"
    configuration = SubElement(
        component, "configuration", name=title, type="PythonConfigurationType", factoryName="Python"
    )
    envs = SubElement(configuration, "envs")
    for name, value in {**_environment(capsule), **variables}.items():
        SubElement(envs, "env", name=name, value=value)
    options = {
        "INTERPRETER_OPTIONS": "-P",
        "PARENT_ENVS": "true",
        "SDK_HOME": python,
        "WORKING_DIRECTORY": str(Path.cwd()),
        "IS_MODULE_SDK": "false",
        "ADD_CONTENT_ROOTS": "false",
        "ADD_SOURCE_ROOTS": "false",
        "SCRIPT_NAME": MODULE,
        "PARAMETERS": f'"{capsule.folder}"',
        "SHOW_COMMAND_LINE": "false",
        "EMULATE_TERMINAL": "false",
        "MODULE_MODE": "true",
    }
    for name, value in options.items():
        SubElement(configuration, "option", name=name, value=value)
    SubElement(configuration, "method", v="2")
    indent(component)
    return tostring(component, encoding="unicode")


def _environment(capsule: Capsule) -> dict[str, str]:
    uri = capsule.manifest.store_uri
    return {STORE_VARIABLE: uri} if uri else {}
