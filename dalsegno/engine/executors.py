"""Chooses the executor of each task: a process here, or a container of the task's image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dalsegno.engine.launcher import resolve_text
from dalsegno.engine.local_module import find_module
from dalsegno.engine.pull import Images, mapped
from dalsegno.engine.spec import lightweight_source

PROCESS, CONTAINER, AUTO = "process", "container", "auto"
MODES = (AUTO, PROCESS, CONTAINER)


@dataclass(frozen=True)
class Executors:
    """What tasks run in.

    Attributes:
        mode: One of `MODES`; `auto` is a process wherever that can be.
        image_map: Images to use instead of others, by name or pattern.
        images: None where no task needs a container.
        sources: Files of this machine in which components may be defined.
    """

    mode: str = AUTO
    image_map: Mapping[str, str] = field(default_factory=dict)
    images: Images | None = None
    sources: tuple[str, ...] = ()

    def choose(self, executor: dict[str, Any]) -> str:
        """Return `process` or `container` for an executor spec."""
        return CONTAINER if needs_container(executor, self.mode, self.sources) else PROCESS

    def image(self, image: str, executor_input: dict[str, Any]) -> str:
        """Return the image that a task uses here; its name may be a parameter."""
        return mapped(resolve_text(image, executor_input), self.image_map)


def needs_container(executor: dict[str, Any], mode: str, sources: tuple[str, ...] = ()) -> bool:
    """Whether a task runs in its image: all tasks shall, or it is no Python that is here.

    Args:
        sources: Files of this machine in which components may be defined.
    """
    if "container" not in executor:
        return False
    command, args = (tuple(executor["container"].get(key, [])) for key in ("command", "args"))
    if mode == CONTAINER:
        return True
    return lightweight_source(command) is None and find_module(command, args, sources) is None
