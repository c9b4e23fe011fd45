"""What the engine hands to an executor, and what the executor hands back.

An executor plays one attempt of one task: `process.play_process` as a process here,
`container_play.play_container` in the task's image. Both take a `Play` and know nothing else of
the run. Whoever adds to a task (platform settings, packages, limits) does so by changing its `Play`
in `task.prepare`, before an executor sees it:

- a variable, also a secret one: `work.environment[name] = value` (the record keeps
  `TaskRecord.environment`, never this one);
- a file or folder: `work.mounts.append(Mount(source, target))`. A container gets it at its target;
  a process sees `source` only where the engine can put that at `target` itself;
- a time limit: `work.timeout_seconds`; a user: `work.user`; another interpreter: `work.python`,
  with which a process starts cold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it reads YAML, which the interpreter of an image may not have
    from dalsegno.engine.local_module import LocalModule

Started = Callable[[int], Awaitable[None]]
"""Called with the id of the process that plays (of a container's client: the container itself is
found by its labels)."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that a task finds at a path of its own.

    Attributes:
        source: Absolute path here; must be there.
        target: Absolute path inside the container.
    """

    source: Path
    target: str
    is_read_only: bool = False


@dataclass
class Play:
    """One attempt of one task, ready to be played.

    Attributes:
        name: `RUN/TASK/ATTEMPT`, for messages, and for labels of a container.
        image: As it is to be used here, so after `--image-map`.
        command: As compiled, placeholders and all.
        args: As compiled.
        component: Component spec: interface and default values.
        executor_input: As recorded, with the store's URIs.
        local: The same with paths of this machine: what `artifacts.localise` returned.
        environment: Variables of the task itself: of the pipeline and its platform settings.
        host_environment: Variables that a process gets below those; a container gets none of them.
        scratch: Folder of this attempt alone, removed after the run.
        log_path: Where the output goes as it comes.
        mounts: Besides the artifacts.
        resources: `resources` of the executor spec.
        user: `UID[:GID]` for a container; None: as the image says.
        timeout_seconds: From the start of the task's own process; None: no limit.
        python: Interpreter for a process; None: this one.
        module: Of a containerised Python component that runs as a process.
    """

    name: str
    image: str
    command: list[str]
    args: list[str]
    component: dict[str, Any]
    executor_input: dict[str, Any]
    local: dict[str, Any]
    environment: dict[str, str]
    host_environment: dict[str, str]
    scratch: Path
    log_path: Path
    mounts: list[Mount] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)
    user: str | None = None
    timeout_seconds: float | None = None
    python: Path | None = None
    module: LocalModule | None = None


@dataclass(frozen=True)
class Outcome:
    """How a task's process or container ended.

    Attributes:
        exit_code: Negative when a signal ended it.
        logic_seconds: Time in the component's own function, where known.
        error: What failed, as `executor.describe_error` tells it.
        written: Executor output with paths of this machine; None: read it from its file.
    """

    exit_code: int
    logic_seconds: float | None
    error: dict[str, Any] | None
    written: dict[str, Any] | None = None
