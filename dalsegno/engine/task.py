"""Runs one task: executor input, record, process, outputs, again where it may be retried."""

from __future__ import annotations

import asyncio
import json
import platform
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dalsegno.engine import artifacts
from dalsegno.engine.container_play import play_container
from dalsegno.engine.context import Context, TaskEvent
from dalsegno.engine.executors import PROCESS
from dalsegno.engine.limits import input_warnings
from dalsegno.engine.local_module import find_module
from dalsegno.engine.masking import masked, secrets_in
from dalsegno.engine.outputs import collect_parameters
from dalsegno.engine.packages import use_packages
from dalsegno.engine.placeholders import WORKSPACE, as_recorded
from dalsegno.engine.platform import Settings, applied_to_pod
from dalsegno.engine.play import Mount, Outcome, Play
from dalsegno.engine.process import play_process
from dalsegno.engine.resolve import Inputs, Result
from dalsegno.errors import DalsegnoError, InputError
from dalsegno.runs.liveness import boot_id
from dalsegno.runs.record import State, TaskRecord, attempt_key, message_of, timestamp


@dataclass(frozen=True)
class Task:
    """A task with all that is known before it starts."""

    path: str
    spec: dict[str, Any]
    component: dict[str, Any]
    executor: dict[str, Any]
    inputs: Inputs
    settings: Settings | None = None


async def run_task(context: Context, task: Task) -> Result:
    """Run a container task until it succeeds or has no attempts left."""
    policy = task.spec.get("retryPolicy", {})
    attempts = 1 + int(policy.get("maxRetryCount", 0))
    for attempt in range(1, attempts + 1):
        async with context.slots:
            result = await _Attempt(context, task, attempt).run()
        if result.state.is_success or attempt == attempts:
            return result
        await asyncio.sleep(_backoff_seconds(policy, attempt))
    raise AssertionError("a task has at least one attempt")


class _Attempt:
    """One attempt of one task, recorded before and after."""

    def __init__(self, context: Context, task: Task, attempt: int) -> None:
        self.context = context
        self.task = task
        self.attempt = attempt
        planned = artifacts.provision(context, task.path, attempt, task.component, task.inputs)
        self.record = new_record(context, task, attempt, planned)
        self.scratch = context.work_dir / task.path / str(attempt)
        self.result = Result(State.FAILED)
        self.secrets: list[str] = []

    async def run(self) -> Result:
        """Play the attempt; whatever happens, the record says so."""
        started = time.monotonic()
        self.record.state, self.record.started_at = State.RUNNING, timestamp()
        try:
            await asyncio.to_thread(self._before)
            self.context.listener(TaskEvent(self.task.path, State.RUNNING, self.attempt))
            outcome = await self._play()
            await asyncio.to_thread(self._after, outcome)
        except asyncio.CancelledError:
            self.record.state = State.CANCELLED
            self.record.error = {"type": "Cancelled", "message": "the run was stopped"}
            raise
        except (DalsegnoError, OSError) as error:
            self.record.state = State.FAILED
            self.record.error = _describe(error)
        finally:
            self.record.error = masked(self.record.error, self.secrets)
            self.record.seconds = round(time.monotonic() - started, 3)
            self.record.finished_at = timestamp()
            self._keep_log()
            self.context.recorder.task(self.record)
            message = message_of(self.record)
            event = TaskEvent(
                self.task.path, self.record.state, self.attempt, self.record.seconds, message
            )
            self.context.listener(event)
        self.result.state, self.result.error = self.record.state, message_of(self.record)
        return self.result

    def _before(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.record.inputs = {
            name: artifacts.digest_list(self.context, found)
            for name, found in self.task.inputs.artifacts.items()
        }
        for text in input_warnings(self.task.path, self.record.executor_input):
            self.context.recorder.notice(text)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.local = artifacts.localise(self.context, self.record.executor_input, self.scratch)

    async def _play(self) -> Outcome:
        work = prepare(
            self.context, self.task, self.record, self.local, self.scratch, self.log_path
        )
        self.secrets = secrets_in(self.record.platform, work.environment, work.mounts)
        if self.record.executor == PROCESS:
            await use_packages(work, self._tell)
        try:
            async with asyncio.timeout(work.timeout_seconds) as limit:
                return await self._execute(work)
        except TimeoutError:
            if not limit.expired():
                raise
            return _timed_out(work)

    async def _execute(self, work: Play) -> Outcome:
        images = self.context.executors.images
        if self.record.executor == PROCESS or images is None:
            return await play_process(work, self.context.workers, self._started)
        self.record.image_used = work.image
        workspace = artifacts.workspace_path(self.context.work_dir)
        work.mounts.append(Mount(workspace, WORKSPACE))
        return await play_container(work, images, self._started)

    def _tell(self, text: str) -> None:
        self.context.listener(TaskEvent(self.task.path, State.PENDING, self.attempt, None, text))

    async def _started(self, pid: int) -> None:
        self.record.pid, self.record.boot_id = pid, boot_id()
        self.record.heartbeat_at = timestamp()
        self.context.recorder.task(self.record)

    def _after(self, outcome: Outcome) -> None:
        self.record.exit_code, self.record.error = outcome.exit_code, outcome.error
        if outcome.error and outcome.error["type"] == "ModuleNotFoundError":
            outcome.error["message"] += " (name it in the component's packages_to_install, or"
            outcome.error["message"] += f" add it to this environment, {sys.prefix})"
        if outcome.logic_seconds is not None:
            self.record.logic_seconds = round(outcome.logic_seconds, 3)
        if outcome.error:
            self.record.state = State.FAILED
            return
        written = _written(self.local) if outcome.written is None else outcome.written
        planned = self.record.executor_input
        values = as_recorded(
            collect_parameters(self.local["outputs"], self.task.component, written),
            artifacts.workspace_path(self.context.work_dir),
        )
        found = artifacts.publish(self.context, planned, self.local, written)
        self.record.executor_output = {
            "parameterValues": values,
            "artifacts": {name: {"artifacts": items} for name, items in found.items()},
        }
        self.record.outputs = {
            name: artifacts.digest_list(self.context, items) for name, items in found.items()
        }
        self.record.state = State.SUCCEEDED
        self.result.parameters = dict(values)
        self.result.artifacts = found

    @property
    def log_path(self) -> Path:
        """Where the output of the task goes: into the record where that is a folder."""
        key = attempt_key(self.context.run_id, self.task.path, self.attempt, "log.txt")
        uri = self.context.store.uri_of(key)
        return self.scratch / "log.txt" if "://" in uri else Path(uri)

    def _keep_log(self) -> None:
        key = attempt_key(self.context.run_id, self.task.path, self.attempt, "log.txt")
        if "://" in self.context.store.uri_of(key) and self.log_path.exists():
            self.context.store.upload(self.log_path, key)


def new_record(
    context: Context, task: Task, attempt: int, executor_input: dict[str, Any]
) -> TaskRecord:
    """Begin the record of an attempt, with all that is known before it starts."""
    container = task.executor.get("container", {})
    variables = container.get("env", []) if "ENV" in applied_to_pod(task.component) else []
    return TaskRecord(
        run_id=context.run_id,
        task=task.path,
        attempt=attempt,
        component=task.spec["componentRef"]["name"],
        state=State.PENDING,
        executor=context.executors.choose(task.executor),
        image=container.get("image", ""),
        command=container.get("command", []),
        args=container.get("args", []),
        executor_input=executor_input,
        component_spec=task.component,
        environment={item["name"]: item.get("value", "") for item in variables},
        python=platform.python_version(),
        platform=asdict(task.settings) if task.settings else {},
    )


def prepare(
    context: Context,
    task: Task,
    record: TaskRecord,
    local: dict[str, Any],
    scratch: Path,
    log_path: Path,
) -> Play:
    """Gather what an executor needs for an attempt; whatever adds to a task does so here."""
    container = task.executor.get("container", {})
    work = Play(
        name=f"{record.run_id}/{record.task}/{record.attempt}",
        image=context.executors.image(record.image, record.executor_input),
        command=record.command,
        args=record.args,
        component=task.component,
        executor_input=record.executor_input,
        local=local,
        environment=dict(record.environment),
        host_environment=dict(context.environment),
        scratch=scratch,
        log_path=log_path,
        resources=container.get("resources", {}),
    )
    if record.executor == PROCESS:
        work.module = find_module(work.command, work.args, context.pipeline.sources)
    if task.settings:
        context.platform.apply(work, task.settings)
    return work


def _written(local: dict[str, Any]) -> dict[str, Any]:
    """Read the executor output that a task wrote; none is an empty one, as for KFP's launcher."""
    path = Path(local["outputs"]["outputFile"])
    try:
        written = json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError as error:
        raise InputError(f"executor output: got {error}, want JSON") from error
    if not isinstance(written, dict):
        raise InputError(f"executor output: got {type(written).__name__}, want a JSON object")
    return written


def _describe(error: Exception) -> dict[str, Any]:
    next_command = getattr(error, "next_command", None)
    return {"type": type(error).__name__, "message": str(error), "next_command": next_command}


def _timed_out(work: Play) -> Outcome:
    message = f"timed out after {work.timeout_seconds:g} s: the task was stopped"
    return Outcome(-signal.SIGTERM, None, {"type": "TimedOut", "message": message})


def _backoff_seconds(policy: dict[str, Any], attempt: int) -> float:
    first, factor, most = (
        float(str(policy.get(name, default)).rstrip("s"))
        for name, default in (
            ("backoffDuration", 0),
            ("backoffFactor", 2.0),
            ("backoffMaxDuration", 3600),
        )
    )
    return min(first * factor ** (attempt - 1), most)
