"""The record of a run and of its tasks, as it lies in the object store.

runs/<run-id>/run.json
runs/<run-id>/pipeline.yaml
runs/<run-id>/environment.json
runs/<run-id>/tasks/<task path>/<attempt>/record.json
runs/<run-id>/tasks/<task path>/<attempt>/log.txt
runs/<run-id>/artifacts/…
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from dalsegno import errors
from dalsegno.errors import InputError

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,100}")


class State(StrEnum):
    """State of a run or a task. `lost` is never written: readers derive it."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_success(self) -> bool:
        """Whether what waits for this task may start."""
        return self in {State.SUCCEEDED, State.CACHED}

    @property
    def is_final(self) -> bool:
        """Whether the state can change no more."""
        return self not in {State.PENDING, State.RUNNING}


@dataclass
class Process:
    """Which process does the work, so that a reader can tell `running` from `lost`."""

    pid: int
    boot_id: str
    host: str
    started_ticks: int


@dataclass
class TaskSummary:
    """One line about a task in the record of its run."""

    state: State
    attempts: int = 0
    started_at: str | None = None
    seconds: float | None = None
    logic_seconds: float | None = None
    error: str | None = None


@dataclass
class RunRecord:
    """One execution of a pipeline.

    Attributes:
        sources: Files of this machine in which its components may be defined.
        notices: What a person should know of it, a line each.
        source: What its pipeline was loaded by: a name, `FILE.py[:FUNCTION]` or `FILE.yaml`.
        resumed_from: Id of the run whose results it took over where it could.
        origin: For a run of a cluster its `host`, and the `sources` that it was read from.
    """

    run_id: str
    pipeline: str
    state: State
    parameters: dict[str, Any]
    pipeline_sha256: str
    created_at: str
    finished_at: str | None = None
    seconds: float | None = None
    commit: str | None = None
    error: str | None = None
    process: Process | None = None
    heartbeat_at: str | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, TaskSummary] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    origin: dict[str, Any] | None = None
    source: str | None = None
    resumed_from: str | None = None

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read `run.json`."""
        fields = json.loads(data)
        fields["state"] = State(fields["state"])
        fields["process"] = Process(**fields["process"]) if fields.get("process") else None
        tasks = fields.get("tasks", {})
        fields["tasks"] = {
            path: TaskSummary(**{**task, "state": State(task["state"])})
            for path, task in tasks.items()
        }
        return cls(**fields)


@dataclass
class TaskRecord:
    """One attempt of one task: all that is needed to play it again.

    Attributes:
        executor_input: The JSON that the task was given (inputs, and where outputs go).
        component_spec: The component as compiled: interface and implementation.
        environment: Variables that the pipeline sets for the task.
        inputs: Artifacts read, by input name: list of {uri, sha256, size_bytes}.
        outputs: Artifacts written, by output name, in the same form.
        image_used: What `image` was here: its name may be a parameter, or mapped to another.
        reused_from: `RUN/TASK/ATTEMPT` of the attempt whose outputs a cached task took over.
        platform: Platform settings with every name resolved (`engine.platform.Settings`): which
            secrets, volumes and limits the task had, never a secret's value.
    """

    run_id: str
    task: str
    attempt: int
    component: str
    state: State
    executor: str
    image: str
    command: list[str]
    args: list[str]
    executor_input: dict[str, Any]
    component_spec: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float | None = None
    logic_seconds: float | None = None
    pid: int | None = None
    boot_id: str | None = None
    heartbeat_at: str | None = None
    exit_code: int | None = None
    error: dict[str, Any] | None = None
    executor_output: dict[str, Any] | None = None
    inputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    reused_from: str | None = None
    image_used: str | None = None
    platform: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read `record.json`."""
        fields = json.loads(data)
        fields["state"] = State(fields["state"])
        return cls(**fields)

    def input_type(self, name: str, artifact: dict[str, Any]) -> dict[str, Any]:
        """Return the type of an input artifact, which a cluster's driver leaves empty: as declared.

        Args:
            name: Of the input.
            artifact: Of the executor input.
        """
        declared = self.component_spec.get("inputDefinitions", {}).get("artifacts", {})
        given: dict[str, Any] = artifact.get("type") or {}
        return given if any(given.values()) else declared.get(name, {}).get("artifactType", {})

    @property
    def folder(self) -> str:
        """Key under which this attempt is kept."""
        return attempt_key(self.run_id, self.task, self.attempt)


def summarise(record: TaskRecord) -> TaskSummary:
    """Shorten a task's record to its line in the run's record."""
    return TaskSummary(
        record.state,
        record.attempt,
        record.started_at,
        record.seconds,
        record.logic_seconds,
        message_of(record),
    )


def message_of(record: TaskRecord) -> str | None:
    """Return what failed, if something did: an exception of the task's own code by its type."""
    if record.error is None:
        return None
    kind, message = str(record.error.get("type")), str(record.error["message"])
    is_plain = not record.error.get("file") or kind == "SystemExit" or hasattr(errors, kind)
    return message if is_plain or message == kind else f"{kind}: {message}"


def to_json(record: RunRecord | TaskRecord) -> bytes:
    """Write a record as it is stored."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False).encode()


def new_run_id(pipeline: str, now: datetime) -> str:
    """Make a run id that sorts by time and can be told by its last four characters."""
    name = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")[:60]
    milliseconds = now.microsecond // 1000
    return f"{now:%Y%m%d-%H%M%S}{milliseconds:03d}-{name}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """Refuse what could not be a run id.

    Raises:
        InputError: It holds anything but lower-case letters, digits and dashes.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise InputError(f"run id: got {run_id!r}, want lower-case letters, digits and dashes")
    return run_id


def run_key(run_id: str, *parts: str) -> str:
    """Key of something that belongs to a run."""
    return "/".join(("runs", check_run_id(run_id), *parts))


def attempt_key(run_id: str, task: str, attempt: int, *parts: str) -> str:
    """Key of something that belongs to one attempt of a task."""
    return run_key(run_id, "tasks", task, str(attempt), *parts)


def timestamp(moment: datetime | None = None) -> str:
    """Write a moment (default: now) as UTC, ISO 8601 with milliseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
