"""Runs a compiled pipeline on this machine, as KFP's driver and launcher would on a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from dalsegno.commit import current_commit
from dalsegno.engine import artifacts
from dalsegno.engine.choice import choose_executors
from dalsegno.engine.context import Context, Listener, Lookup, TaskEvent
from dalsegno.engine.executors import Executors
from dalsegno.engine.graph import run_graph
from dalsegno.engine.left_out import left_out
from dalsegno.engine.limits import task_warnings, warnings_for
from dalsegno.engine.local_platform import Folders, LocalPlatform
from dalsegno.engine.platform import deadline_seconds
from dalsegno.engine.preload import component_sources, is_heavy
from dalsegno.engine.resolve import Result, Scope
from dalsegno.engine.spec import Pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import RunRecord, State
from dalsegno.runs.recorder import Recorder
from dalsegno.store import Store


def ignore(_: TaskEvent) -> None:
    """Listen to nothing."""


def run_pipeline(
    pipeline: Pipeline,
    arguments: dict[str, Any],
    store: Store,
    *,
    environment: Mapping[str, str] | None = None,
    jobs: int | None = None,
    listener: Listener = ignore,
    run_id: str | None = None,
    workers: WarmWorkers | None = None,
    is_caching: bool = True,
    lookup: Lookup | None = None,
    resumed_from: str | None = None,
    folders: Folders | None = None,
    executors: Executors | None = None,
) -> RunRecord:
    """Run a pipeline and keep its record.

    Args:
        arguments: Pipeline parameters by name.
        store: Where the record and the artifacts go.
        environment: Variables for every task on top of this process' own.
        jobs: How many tasks work at once; default: the cores.
        listener: Told whatever happens to a task.
        run_id: Name of the run; default: a new one.
        workers: Where several runs share them; default: new ones for this run.
        is_caching: False runs every task, whatever the pipeline says about caching.
        lookup: Asked before a task runs whether it takes over what another one left.
        resumed_from: Id of the run that `lookup` answers from, for the record.
        folders: Where secrets, config maps and volumes are; default: in the current directory.
        executors: What tasks run in, from `choose_executors`; default: containers where need be.

    Returns:
        The record as it was written at the end. A failed run returns; it does not raise.

    Raises:
        InputError: The arguments do not fit the pipeline.
        ConfigurationError: A task needs a container, and no container engine answers.
        KeyboardInterrupt: The run was stopped by a signal; its record is complete.
    """
    complete = pipeline.arguments(arguments)
    executors = executors or choose_executors(pipeline)
    recorder = Recorder.start(
        store,
        pipeline.name,
        pipeline.text,
        pipeline.sha256,
        complete,
        run_id=run_id,
        commit=current_commit() or None,
        sources=pipeline.sources,
        source=pipeline.source,
        resumed_from=resumed_from,
    )
    for text in (*left_out(pipeline, executors.mode), *warnings_for(pipeline, complete)):
        recorder.notice(text)
    variables = {**os.environ, "_KFP_RUNTIME": "true", **(environment or {})}
    slots = asyncio.Semaphore(jobs or os.cpu_count() or 1)
    with contextlib.ExitStack() as stack:
        workers = workers or stack.enter_context(WarmWorkers())
        sources = component_sources(pipeline)
        are_many = len(pipeline.spec["deploymentSpec"]["executors"]) > 1
        if (sources and are_many) or any(map(is_heavy, sources)):
            workers.load(sources)  # for a single light task it would not pay
        scratch = tempfile.TemporaryDirectory(prefix="dalsegno-", ignore_cleanup_errors=True)
        work_dir = Path(stack.enter_context(scratch))
        platform = LocalPlatform(folders or Folders(), store, recorder.notice)
        context = Context(
            pipeline,
            recorder,
            variables,
            workers,
            slots,
            listener,
            work_dir,
            platform,
            is_caching=is_caching,
            lookup=lookup,
            executors=executors,
        )
        return _finish(context, complete)


def _finish(context: Context, arguments: dict[str, Any]) -> RunRecord:
    recorder = context.recorder
    try:
        result = asyncio.run(_run(context, arguments))
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        recorder.finish(State.CANCELLED, "stopped by a signal", {})
        raise KeyboardInterrupt(recorder.run.run_id) from stop
    except BaseException as error:
        recorder.finish(State.FAILED, f"{type(error).__name__}: {error}", {})
        raise
    played = sum(task.attempts > 0 for task in recorder.run.tasks.values())
    for text in task_warnings(context.pipeline, played):
        recorder.notice(text)
    state = State.FAILED if result.state is State.FAILED else State.SUCCEEDED
    return recorder.finish(state, result.error, outputs_of(result))


async def _run(context: Context, arguments: dict[str, Any]) -> Result:
    root = context.pipeline.root
    parameters, given = context.pipeline.split(arguments)
    scope = Scope(parameters, given, placeholders(context))
    artifacts.workspace_path(context.work_dir).mkdir()
    main = asyncio.ensure_future(_within_deadline(context, run_graph(context, root, scope, "")))
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, main.cancel)
    except (NotImplementedError, RuntimeError, ValueError):
        return await main  # not in the main thread: the caller deals with signals
    try:
        return await main
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _within_deadline(context: Context, work: Coroutine[Any, Any, Result]) -> Result:
    """End a run that is longer than the active deadline that its pipeline sets."""
    seconds = deadline_seconds(context.pipeline)
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        error = f"timed out after {seconds} s, the active deadline of the pipeline"
        return Result(State.FAILED, error=error)


def placeholders(context: Context) -> dict[str, str]:
    """Values of the placeholders that KFP fills in when it resolves a task's inputs."""
    run = context.recorder.run
    created_at = f"{run.created_at[:19]}Z"  # UTC, in whole seconds
    return {
        "{{$.pipeline_job_name}}": run.run_id,
        "{{$.pipeline_job_resource_name}}": f"{run.pipeline}-{run.run_id.rpartition('-')[2]}",
        "{{$.pipeline_job_uuid}}": run.run_id,
        "{{$.pipeline_task_uuid}}": run.run_id,
        "{{$.pipeline_job_create_time_utc}}": created_at,
        "{{$.pipeline_job_schedule_time_utc}}": created_at,
    }


def outputs_of(result: Result) -> dict[str, Any]:
    """Outputs of the pipeline for its record: parameters by value, artifacts by URI."""
    uris = {name: [item["uri"] for item in found] for name, found in result.artifacts.items()}
    return (
        {"parameters": result.parameters, "artifacts": uris} if (result.parameters or uris) else {}
    )
