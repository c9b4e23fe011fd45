"""Takes over what an equal task left behind, with KFP's switches and content instead of ids.

KFP's driver (v2/cacheutils) looks a task up by the ids of its input artifacts, so that whatever
was made anew is a miss, and an image whose tag stands for new code is a hit. Here the digests of
the inputs count, and for a process the code and packages that it would import. A result whose
files are gone is a miss.

cache/<fingerprint>.json    the attempt that left the newest result: run, task, attempt
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

from dalsegno.engine.code import code_digest
from dalsegno.engine.context import Context
from dalsegno.engine.local_module import find_module
from dalsegno.engine.placeholders import WORKSPACE
from dalsegno.engine.spec import lightweight_source
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.runs.environment import this_environment
from dalsegno.runs.record import State, TaskRecord, attempt_key
from dalsegno.store import Store


def is_allowed(spec: dict[str, Any]) -> bool:
    """Whether the pipeline lets a task be taken over."""
    return bool((spec.get("cachingOptions") or {}).get("enableCache"))


def fingerprint(context: Context, spec: dict[str, Any], record: TaskRecord) -> str | None:
    """Return what equal tasks have in common; None for a task that shares a volume.

    Args:
        spec: The task as it stands in its graph; `is_allowed` holds for it.
        record: As it is before the task starts, its inputs digested.
    """
    if not _is_repeatable(context, record):
        return None
    options = spec["cachingOptions"]
    pipeline = context.pipeline.name
    if options.get("cacheKey"):
        return _digest([pipeline, record.component, options["cacheKey"]])
    given = record.executor_input["inputs"]
    outputs = record.component_spec.get("outputDefinitions", {})
    return _digest(
        [
            pipeline,
            given["parameterValues"],
            _contents(given["artifacts"], record.inputs),
            outputs,
            [record.image, record.command, record.args, record.environment],
            _surroundings(context, record),
        ]
    )


def find(store: Store, key: str) -> TaskRecord | None:
    """Read the newest attempt of a fingerprint, if all that it left is still there."""
    with contextlib.suppress(DalsegnoError, ValueError, KeyError, TypeError):
        named = json.loads(store.get(_key(key)))
        where = attempt_key(named["run_id"], named["task"], named["attempt"], "record.json")
        record = TaskRecord.from_json(store.get(where))
        if record.state is State.SUCCEEDED and are_outputs_there(store, record):
            return record
    return None


def remember(store: Store, key: str, record: TaskRecord) -> None:
    """Name an attempt as the newest of its fingerprint."""
    named = {"run_id": record.run_id, "task": record.task, "attempt": record.attempt}
    store.put(_key(key), json.dumps(named).encode())


def are_outputs_there(store: Store, record: TaskRecord) -> bool:
    """Whether every file that an attempt wrote to the store still lies there."""
    written = [item for items in record.outputs.values() for item in items if item["sha256"]]
    return all(_is_there(store, item) for item in written)


def _is_there(store: Store, item: dict[str, Any]) -> bool:
    if not item["uri"].startswith(f"{store.uri}/"):
        return False
    key = store.key_of(item["uri"])
    try:
        size_bytes = store.stat(key).size_bytes
    except NotFoundError:
        size_bytes = sum(found.size_bytes for found in store.list(f"{key}/"))
    return bool(size_bytes == item["size_bytes"])


def _is_repeatable(context: Context, record: TaskRecord) -> bool:
    """Whether a task could be equal to one of another run: volumes of a run are its own."""
    executors = context.pipeline.platform.get("deploymentSpec", {}).get("executors", {})
    label = record.component_spec.get("executorLabel", "")
    values = json.dumps(record.executor_input["inputs"]["parameterValues"])
    return not executors.get(label, {}).get("pvcMount") and WORKSPACE not in values


def _contents(given: dict[str, Any], inputs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Say what each input artifact holds: its digest, or its address where there is none."""
    return {
        name: [
            [item.get("type"), item.get("metadata"), described["sha256"] or item["uri"]]
            for item, described in zip(group["artifacts"], inputs[name], strict=True)
        ]
        for name, group in given.items()
    }


def _surroundings(context: Context, record: TaskRecord) -> list[Any]:
    """Return what stands for the image where a task runs as a process."""
    if record.executor != "process":
        return []
    module = find_module(record.command, record.args, context.pipeline.sources)
    source = module.path.read_text() if module else lightweight_source(tuple(record.command))
    if source is None:
        return []
    return [this_environment(), code_digest(source), *([source] if module else [])]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key(fingerprint: str) -> str:
    return f"cache/{fingerprint}.json"
