"""Looks before a run whether all its tasks can be played, and by what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from dalsegno.engine.container import find_engine
from dalsegno.engine.executors import AUTO, MODES, PROCESS, Executors, needs_container
from dalsegno.engine.pull import Images
from dalsegno.engine.spec import Pipeline
from dalsegno.engine.volume_task import is_volume_task
from dalsegno.errors import ConfigurationError, InputError

_SHOWN = 5


def choose_executors(
    pipeline: Pipeline,
    mode: str = AUTO,
    image_map: Mapping[str, str] | None = None,
    *,
    engine: str | None = None,
    network: str | None = None,
) -> Executors:
    """Decide what the tasks of a pipeline run in, and find a container engine if one is needed.

    Args:
        engine: `podman` or `docker`; None: whichever answers.
        network: Of the containers; None: the engine's default.

    Raises:
        InputError: The mode is unknown, or it is `process` and some task needs a container.
        ConfigurationError: Some task needs a container, and no engine answers.
    """
    if mode not in MODES:
        raise InputError(f"executor: got {mode!r}, want one of {', '.join(MODES)}")
    tasks = list(_in_containers(pipeline, pipeline.root, mode, "", ()))
    if not tasks:
        return Executors(mode, image_map or {}, sources=pipeline.sources)
    if mode == PROCESS:
        raise InputError(
            f"pipeline {pipeline.name!r}: got container components in {_name(tasks)}, want "
            "lightweight Python components, which run as processes",
            "dalsegno run ... --in auto",
        )
    try:
        found = asyncio.run(find_engine(engine, network))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}, for {_name(tasks)}", "sudo apt-get install podman"
        ) from error
    return Executors(mode, image_map or {}, Images(found), pipeline.sources)


def _in_containers(
    pipeline: Pipeline, graph: dict[str, Any], mode: str, path: str, above: tuple[str, ...]
) -> Iterator[str]:
    """Yield `'task' (image)` of every task that needs a container."""
    for name, task in graph["dag"]["tasks"].items():
        reference = task["componentRef"]["name"]
        component = pipeline.component(reference)
        if "dag" in component and reference not in above:
            inner = (*above, reference)
            yield from _in_containers(pipeline, component, mode, f"{path}{name}/", inner)
        elif "executorLabel" in component:
            executor = pipeline.executor(component["executorLabel"])
            if not is_volume_task(executor) and needs_container(executor, mode, pipeline.sources):
                yield f"{path + name!r} ({executor['container'].get('image')})"


def _name(tasks: list[str]) -> str:
    kept = ", ".join(tasks[:_SHOWN])
    more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    return f"task{'s' if len(tasks) > 1 else ''} {kept}{more}"
