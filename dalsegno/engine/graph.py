"""Runs the tasks of a graph in order: side by side where they can, conditions, loops, exits.

The rules are those of KFP on Argo (argocompiler/dag.go): a task starts when all that it waits for
succeeded; after a failure its graph starts no new task; exit tasks run whatever happened.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dalsegno.engine.context import Context, TaskEvent
from dalsegno.engine.importer import import_artifact
from dalsegno.engine.platform import Settings, resolve_settings
from dalsegno.engine.resolve import (
    Inputs,
    Result,
    Scope,
    collect,
    graph_outputs,
    loop_items,
    resolve_inputs,
)
from dalsegno.engine.reuse import run_or_reuse
from dalsegno.engine.spec import producers
from dalsegno.engine.task import Task
from dalsegno.engine.task_config import with_task_config
from dalsegno.engine.values import check_type
from dalsegno.engine.volume_task import is_volume_task, run_volume_task
from dalsegno.errors import DalsegnoError
from dalsegno.runs.record import State, TaskSummary


async def run_graph(context: Context, component: dict[str, Any], scope: Scope, path: str) -> Result:
    """Run all tasks of a graph and gather its outputs.

    Args:
        path: Address of the graph in the run; empty for the pipeline itself.

    Returns:
        The outputs; failed when any task of the graph failed.
    """
    tasks: dict[str, Any] = component["dag"]["tasks"]
    waiting = {name: producers(task) for name, task in tasks.items()}
    running: dict[asyncio.Task[Result], str] = {}
    try:
        while waiting or running:
            for name in _startable(tasks, waiting, scope):
                del waiting[name]
                work = run_node(context, name, tasks[name], scope, _join(path, name))
                running[asyncio.create_task(work)] = name
            if not running:
                _skip(context, waiting, scope, path)
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                scope.results[running.pop(finished)] = finished.result()
    finally:
        await _cancel(list(running))
    failed = next((item for item in scope.results.values() if item.state is State.FAILED), None)
    result = graph_outputs(component, scope)
    if failed:
        result.state, result.error = State.FAILED, failed.error
    return result


async def run_node(
    context: Context, name: str, task: dict[str, Any], scope: Scope, path: str
) -> Result:
    """Run one task of a graph, whatever it is: container, importer, graph or loop."""
    component = context.pipeline.component(task["componentRef"]["name"])
    placeholders = {**scope.placeholders, "{{$.pipeline_task_name}}": name}
    inner = Scope(scope.parameters, scope.artifacts, placeholders, scope.results)
    try:
        inputs = resolve_inputs(name, task, component, inner)
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not _holds(condition, inputs):
            _tell_skipped(context, path, f"condition is false: {condition}")
            return Result(State.SKIPPED)
        if "parameterIterator" in task or "artifactIterator" in task:
            return await _run_loop(context, task, component, inputs, placeholders, path)
        config = context.pipeline.platform_of(component)
        settings = resolve_settings(config, component, inner)
        if "executorLabel" in component:
            container = context.pipeline.executor(component["executorLabel"]).get("container", {})
            inputs = with_task_config(component, container, config, inputs, inner)
        return await _run_once(context, task, component, inputs, placeholders, path, settings)
    except DalsegnoError as error:
        context.recorder.summary(path, TaskSummary(State.FAILED, 0, error=str(error)))
        context.listener(TaskEvent(path, State.FAILED, 0, None, str(error)))
        return Result(State.FAILED, error=str(error))


def _holds(condition: str, inputs: Inputs) -> bool:
    from dalsegno.engine.cel import condition_holds  # it takes longer than all else to import

    return condition_holds(condition, inputs.parameters)


async def _run_once(
    context: Context,
    task: dict[str, Any],
    component: dict[str, Any],
    inputs: Inputs,
    placeholders: dict[str, str],
    path: str,
    settings: Settings | None = None,
) -> Result:
    if "dag" in component:
        scope = Scope(dict(inputs.parameters), dict(inputs.artifacts), placeholders)
        return await run_graph(context, component, scope, path)
    executor = context.pipeline.executor(component["executorLabel"])
    work = Task(path, task, component, executor, inputs, settings)
    if "importer" in executor:
        return await import_artifact(context, work)
    if is_volume_task(executor):
        return await run_volume_task(context, work)
    return await run_or_reuse(context, work)


async def _run_loop(
    context: Context,
    task: dict[str, Any],
    component: dict[str, Any],
    inputs: Inputs,
    placeholders: dict[str, str],
    path: str,
) -> Result:
    item_name, items = loop_items(task, inputs)
    limit = asyncio.Semaphore(
        task.get("iteratorPolicy", {}).get("parallelismLimit") or len(items) or 1
    )
    definition = component.get("inputDefinitions", {}).get("parameters", {}).get(item_name, {})

    async def iterate(index: int, item: Any) -> Result:
        async with limit:
            given = _iteration_inputs(task, inputs, item_name, item, definition)
            return await _run_once(
                context, task, component, given, placeholders, f"{path}-iteration-{index}"
            )

    iterations = [asyncio.create_task(iterate(*pair)) for pair in enumerate(items)]
    try:
        results = await asyncio.gather(*iterations)
    finally:
        await _cancel(iterations)
    result = collect(component, results)
    failed = next((item for item in results if item.state is State.FAILED), None)
    if failed:
        result.state, result.error = State.FAILED, failed.error
    return result


def _iteration_inputs(
    task: dict[str, Any], inputs: Inputs, item_name: str, item: Any, definition: dict[str, Any]
) -> Inputs:
    if "artifactIterator" in task:
        return Inputs(inputs.parameters, {**inputs.artifacts, item_name: [item]})
    items_name = task["parameterIterator"]["items"].get("inputParameter")
    kept = {name: value for name, value in inputs.parameters.items() if name != items_name}
    kept[item_name] = check_type(item_name, item, definition) if definition else item
    return Inputs(kept, inputs.artifacts)


def _startable(tasks: dict[str, Any], waiting: dict[str, set[str]], scope: Scope) -> list[str]:
    has_failed = any(result.state is State.FAILED for result in scope.results.values())
    return [
        name
        for name, wanted in waiting.items()
        if wanted <= set(scope.results)
        and (
            is_exit_task(tasks[name])
            or (
                not has_failed
                and all(scope.results[producer].state.is_success for producer in wanted)
            )
        )
    ]


def is_exit_task(task: dict[str, Any]) -> bool:
    """Whether a task runs whatever became of those it waits for."""
    strategy = task.get("triggerPolicy", {}).get("strategy")
    return bool(strategy == "ALL_UPSTREAM_TASKS_COMPLETED")


def _skip(context: Context, waiting: dict[str, set[str]], scope: Scope, path: str) -> None:
    for name, wanted in waiting.items():
        unmet = sorted(
            producer
            for producer in wanted
            if producer not in scope.results or not scope.results[producer].state.is_success
        )
        why = f"{', '.join(unmet)} did not succeed" if unmet else "a task before it failed"
        _tell_skipped(context, _join(path, name), why)
        scope.results[name] = Result(State.SKIPPED)


def _tell_skipped(context: Context, path: str, why: str) -> None:
    context.recorder.summary(path, TaskSummary(State.SKIPPED, 0, error=why))
    context.listener(TaskEvent(path, State.SKIPPED, 0, None, why))


async def _cancel(tasks: list[asyncio.Task[Result]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
