"""Argo's form of a run: nodes of a workflow, and which task of the pipeline each belongs to."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import re
import zlib
from typing import Any

from dalsegno.errors import NotFoundError

IMPLEMENTATION = re.compile(r"(retry-|metadata-\d+-\d+-)*system-container-impl")
EXECUTOR = re.compile(r"(retry-|metadata-\d+-\d+-)*system-container-executor")
DRIVER, GRAPH_DRIVER = "system-container-driver", "system-dag-driver"
IMPORTER = re.compile(r"(retry-)?system-importer.*")

_NAMING = "workflows.argoproj.io/pod-name-format"
_MAX_NODES_BYTES = 512 * 1024 * 1024
_ATTEMPT = re.compile(r"\(\d+\)$")
_ITEM = re.compile(r"\((\d+):[^)]*\)$")
_LOOP, _LOOP_ITEM, _POD = "iteration-iterations", "iteration-item", "executor"

Node = dict[str, Any]


def nodes_of(workflow: dict[str, Any]) -> list[Node]:
    """Return the nodes of a workflow, unpacked if need be.

    Raises:
        NotFoundError: They are kept elsewhere, or there are none.
    """
    status = workflow.get("status") or {}
    if status.get("nodes"):
        return list(status["nodes"].values())
    if status.get("compressedNodes"):
        return list(_unpack(status["compressedNodes"]).values())
    if status.get("offloadNodeStatusVersion"):
        raise NotFoundError("workflow: got its nodes offloaded to Argo's database, want them in it")
    raise NotFoundError("workflow: got no nodes in it, want a run that has started")


def task_path(node: Node, workflow: str) -> str | None:
    """Return the address in the run of the task that a node works for.

    `wf.root.for-loop-1.iteration-iterations(0:0).iteration-item.train.executor(1)` works for
    `for-loop-1-iteration-0/train`. Every part may end in the number of an attempt; an exit task
    hangs on its exit handler as `…exit-handler-1.onExit.tidy-up`.
    """
    first, *parts = str(node.get("name", "")).split(".")
    if _plain(first) != workflow or not parts or _plain(parts[0]) != "root":
        return None
    path: list[str] = []
    for part in parts[1:]:
        name = _plain(part)
        item = _ITEM.search(name)
        if item and name.startswith(_LOOP) and path:
            path[-1] += f"-iteration-{item[1]}"
        elif name == "onExit" and path:
            path.pop()
        elif name not in (_LOOP, _LOOP_ITEM, "hooks", "exit"):
            path.append(name)
    if path and path[-1] == _POD:
        path.pop()
    return "/".join(path)


def parameter(node: Node, group: str, name: str) -> str | None:
    """Return the value of one of a node's `inputs` or `outputs`."""
    parameters = (node.get(group) or {}).get("parameters") or []
    return next((item.get("value") for item in parameters if item["name"] == name), None)


def json_parameter(workflow: dict[str, Any], node: Node, name: str) -> dict[str, Any]:
    """Return an input that is JSON; it may stand for a parameter of the workflow."""
    text = parameter(node, "inputs", name) or ""
    found = re.fullmatch(r"\{\{workflow\.parameters\.([^}]+)\}\}", text)
    if found:
        given = (workflow.get("spec", {}).get("arguments") or {}).get("parameters") or []
        text = next((item.get("value", "") for item in given if item["name"] == found[1]), "")
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def pod_name(node: Node, workflow: dict[str, Any]) -> str:
    """Return the name of a node's pod, as Argo makes it in either of its namings."""
    metadata = workflow["metadata"]
    if (metadata.get("annotations") or {}).get(_NAMING) == "v1":
        return str(node["id"])
    number = str(node.get("id", "")).rpartition("-")[2]
    return f"{metadata['name']}-{node.get('templateName', '')}-{number}"


def _plain(part: str) -> str:
    while _ATTEMPT.search(part):
        part = _ATTEMPT.sub("", part)
    return part


def _unpack(text: str) -> dict[str, Any]:
    try:
        packed = base64.b64decode(text, validate=True)
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            data = stream.read(_MAX_NODES_BYTES + 1)
        if len(data) > _MAX_NODES_BYTES:
            raise NotFoundError("workflow: got more than 512 MiB of nodes, want fewer")
        nodes: dict[str, Any] = json.loads(data)
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError) as error:
        raise NotFoundError(f"workflow: got damaged compressed nodes ({error})") from error
    return nodes
