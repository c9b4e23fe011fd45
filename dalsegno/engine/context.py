"""What every part of a running pipeline shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dalsegno.engine.executors import Executors
from dalsegno.engine.local_platform import LocalPlatform
from dalsegno.engine.spec import Pipeline
from dalsegno.engine.warm import WarmWorkers
from dalsegno.runs.record import State, TaskRecord
from dalsegno.runs.recorder import Recorder
from dalsegno.store import Digest, Store


@dataclass(frozen=True)
class TaskEvent:
    """Something happened to a task, worth telling a person.

    Attributes:
        path: Address of the task in its run.
        seconds: How long it took, once it ended.
        message: Why, if it did not end well.
    """

    path: str
    state: State
    attempt: int = 1
    seconds: float | None = None
    message: str | None = None


Listener = Callable[[TaskEvent], None]
Lookup = Callable[[TaskRecord], TaskRecord | None]
"""Takes a task's record as it is before the task starts, its inputs digested; returns the record
of a succeeded attempt whose outputs the task takes over, or None."""


@dataclass
class Context:
    """One run: the pipeline, where it is recorded, and what limits it.

    Attributes:
        environment: Variables that every task's process gets.
        workers: Plays each task in a process of its own.
        slots: Bounds how many tasks work at once.
        work_dir: Scratch folder of this run on this machine.
        platform: Gives tasks what their platform settings ask for.
        is_caching: Whether equal tasks of earlier runs are taken over where the pipeline allows.
        lookup: Asked before a task runs whether it is to take over what another one left.
        executors: Chooses for each task between a process and a container.
        digests: Digest of every artifact known so far, by URI.
    """

    pipeline: Pipeline
    recorder: Recorder
    environment: Mapping[str, str]
    workers: WarmWorkers
    slots: asyncio.Semaphore
    listener: Listener
    work_dir: Path
    platform: LocalPlatform
    is_caching: bool = True
    lookup: Lookup | None = None
    executors: Executors = field(default_factory=Executors)
    digests: dict[str, Digest] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """Where the run is recorded."""
        return self.recorder.store

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.recorder.run.run_id
