"""Runs a task, unless what it would leave behind is there already.

Two things say so: a lookup that the run was given (`resume` gives one), and the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from copy import deepcopy

from dalsegno.engine import artifacts, cache
from dalsegno.engine.context import Context, TaskEvent
from dalsegno.engine.resolve import Result
from dalsegno.engine.task import Task, new_record, run_task
from dalsegno.errors import DalsegnoError
from dalsegno.runs.record import State, TaskRecord, timestamp
from dalsegno.store import Digest


async def run_or_reuse(context: Context, task: Task) -> Result:
    """Run a container task, or take over what an equal one left behind."""
    started = time.monotonic()
    may_be_cached = context.is_caching and cache.is_allowed(task.spec)
    if not may_be_cached and context.lookup is None:
        return await run_task(context, task)
    planned = await asyncio.to_thread(_plan, context, task)
    if context.lookup:
        earlier = await asyncio.to_thread(context.lookup, planned)
        if earlier:
            return _take_over(context, planned, earlier, started)
    key = None
    if may_be_cached:
        key = await asyncio.to_thread(cache.fingerprint, context, task.spec, planned)
    if key:
        earlier = await asyncio.to_thread(cache.find, context.store, key)
        if earlier:
            return _take_over(context, planned, earlier, started)
    result = await run_task(context, task)
    if key and result.state.is_success:
        planned.attempt = context.recorder.run.tasks[task.path].attempts
        with contextlib.suppress(DalsegnoError):  # a task is not failed by what only saves time
            await asyncio.to_thread(cache.remember, context.store, key, planned)
    return result


def _plan(context: Context, task: Task) -> TaskRecord:
    executor_input = artifacts.provision(context, task.path, 1, task.component, task.inputs)
    record = new_record(context, task, 1, executor_input)
    record.inputs = {
        name: artifacts.digest_list(context, found) for name, found in task.inputs.artifacts.items()
    }
    return record


def _take_over(context: Context, record: TaskRecord, earlier: TaskRecord, started: float) -> Result:
    """Record a task as cached, with the outputs of an earlier attempt."""
    output = deepcopy(earlier.executor_output or {})
    record.state, record.executor_output, record.outputs = State.CACHED, output, earlier.outputs
    record.reused_from = earlier.reused_from or f"{earlier.run_id}/{earlier.task}/{earlier.attempt}"
    record.started_at = record.finished_at = timestamp()
    record.seconds = round(time.monotonic() - started, 3)
    for items in earlier.outputs.values():
        for item in items:
            if item["sha256"]:
                context.digests[item["uri"]] = Digest(item["sha256"], item["size_bytes"])
    context.recorder.task(record)
    told = f"as in {record.reused_from}"
    context.listener(TaskEvent(record.task, State.CACHED, 1, record.seconds, told))
    found = {name: group["artifacts"] for name, group in output.get("artifacts", {}).items()}
    return Result(State.CACHED, dict(output.get("parameterValues", {})), found)
