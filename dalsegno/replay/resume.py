"""Decides which tasks of a new run take over what a run before left behind, and which run again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dalsegno.engine.cache import are_outputs_there
from dalsegno.engine.graph import is_exit_task
from dalsegno.engine.spec import Pipeline, parse_pipeline, producers
from dalsegno.errors import ConflictError, DalsegnoError, InputError, NotFoundError
from dalsegno.replay.recorded import fetch_into
from dalsegno.runs.reader import read_task
from dalsegno.runs.record import RunRecord, State, TaskRecord, run_key
from dalsegno.store import Store

_ITERATION = "-iteration-"
_BOOKKEEPING = {"display_name", "store_session_info"}
_NOT_REACHED = {None, State.SKIPPED, State.PENDING}


@dataclass(frozen=True)
class Decision:
    """What became of one task of a resumed run, and why.

    Attributes:
        reused_from: `RUN/TASK/ATTEMPT` that left what it took over; None when it ran again.
    """

    task: str
    reused_from: str | None
    why: str


class Resumption:
    """A run that goes on where another one stopped.

    Attributes:
        decisions: What was decided so far, by the task's path.
    """

    def __init__(
        self, store: Store, earlier: RunRecord, pipeline: Pipeline, since: str | None = None
    ) -> None:
        """Take a run to go on from.

        Args:
            store: Of both runs.
            earlier: The run that stopped; it is read and never written.
            pipeline: As it is now.
            since: Path of a task that runs again whatever it left, with all that comes after it.

        Raises:
            ConflictError: The earlier run still works.
            InputError: It succeeded, and no task is named to run again.
            NotFoundError: The pipeline has no such task.
        """
        _check_ended(earlier, since)
        self.store, self.earlier, self.pipeline = store, earlier, pipeline
        self.since = since
        self._is_forced = after(pipeline, since) if since else lambda _: False
        self._lock = threading.Lock()
        self._times = {earlier.run_id: earlier.created_at}
        self.decisions: dict[str, Decision] = {}

    def lookup(self, planned: TaskRecord) -> TaskRecord | None:
        """Return the attempt whose outputs a task takes over; None when it is to run.

        Args:
            planned: The task's record before it starts, its inputs digested.
        """
        found, why = self._find(planned)
        source = f"{found.run_id}/{found.task}/{found.attempt}" if found else None
        with self._lock:
            self.decisions[planned.task] = Decision(planned.task, source, why)
        return found

    def _find(self, planned: TaskRecord) -> tuple[TaskRecord | None, str]:
        path = planned.task
        if self._is_forced(path):
            return None, f"asked to run again from {self.since}"
        if any(is_exit_task(task) for task in tasks_along(self.pipeline, path)):
            return None, "exit tasks always run again"
        summary = self.earlier.tasks.get(path)
        state = summary.state if summary else None
        if state in _NOT_REACHED:
            return None, "not reached in that run"
        if state is None or not state.is_success:
            return None, f"{state} in that run"
        try:
            record = read_task(self.store, self.earlier, path)
            reason = next(self._obstacles(record, planned), None)
        except (DalsegnoError, OSError, ValueError, KeyError, TypeError) as error:
            return None, f"its record cannot be used: {error}"
        return (None, reason) if reason else (record, "same component, same inputs, outputs there")

    def _obstacles(self, record: TaskRecord, planned: TaskRecord) -> Iterator[str]:
        if not record.state.is_success:
            yield f"{record.state} in that run"
        yield from _component_changes(record, planned)
        own = self._own(self.earlier.run_id), self._own(planned.run_id)
        yield from _input_changes(self.store, record, planned, own)
        for name, items in record.outputs.items():
            if not are_outputs_there(self.store, replace(record, outputs={name: items})):
                yield f"output {name!r} is not there any more"
            yield from _torn(self.store, name, items)

    def _own(self, run_id: str) -> tuple[str, ...]:
        """Return what a run has of its own and may give to its tasks: its id and its time."""
        if run_id not in self._times:
            data = self.store.get(run_key(run_id, "run.json"))
            self._times[run_id] = RunRecord.from_json(data).created_at
        return run_id, self._times[run_id]


def recorded_pipeline(store: Store, run: RunRecord) -> Pipeline:
    """Read the pipeline as a run recorded it.

    Raises:
        NotFoundError: The run has none.
    """
    text = store.get(run_key(run.run_id, "pipeline.yaml")).decode()
    return parse_pipeline(text, f"pipeline of run {run.run_id}")


def tasks_along(pipeline: Pipeline, path: str) -> list[dict[str, Any]]:
    """Return the tasks that a path leads through, the last being the task itself.

    Raises:
        NotFoundError: There is no such task in the pipeline.
    """
    return [tasks[name] for tasks, name, _ in _walk(pipeline, path)]


def after(pipeline: Pipeline, path: str) -> Callable[[str], bool]:
    """Tell a task and all that comes after it from the others of a run.

    Args:
        path: Of a task, or of a graph: a condition, a loop, one of its iterations.

    Raises:
        NotFoundError: There is no such task in the pipeline.
    """
    found = [path]
    for tasks, name, above in _walk(pipeline, path):
        found += [f"{above}{later}" for later in _later(tasks, name)]

    def is_after(task: str) -> bool:
        return any(
            task == first or task.startswith((f"{first}/", f"{first}{_ITERATION}"))
            for first in found
        )

    return is_after


def _walk(pipeline: Pipeline, path: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield for each part of a path the graph that it is in, its name there, and what is above."""
    component, above = pipeline.root, ""
    for part in path.split("/"):
        tasks: dict[str, Any] = component.get("dag", {}).get("tasks", {})
        name = part if part in tasks else part.rpartition(_ITERATION)[0]
        if name not in tasks:
            known = ", ".join(f"{above}{task}" for task in sorted(tasks)) or "none"
            raise NotFoundError(
                f"task {path!r} of pipeline {pipeline.name!r}: not found, known are {known}"
            )
        yield tasks, name, above
        component = pipeline.component(tasks[name]["componentRef"]["name"])
        above = f"{above}{part}/"


def _later(tasks: dict[str, Any], name: str) -> set[str]:
    found: set[str] = set()
    waiting = {name}
    while waiting:
        found |= waiting
        waiting = {
            other for other, task in tasks.items() if producers(task) & found and other not in found
        }
    return found - {name}


def _check_ended(run: RunRecord, since: str | None) -> None:
    if not run.state.is_final:
        message = f"run {run.run_id}: is {run.state}, want one that ended"
        raise ConflictError(message, f"dalsegno show {run.run_id}")
    if run.state.is_success and since is None:
        raise InputError(
            f"run {run.run_id}: succeeded, nothing is left to resume",
            f"dalsegno resume {run.run_id} --from TASK",
        )


def _component_changes(old: TaskRecord, new: TaskRecord) -> Iterator[str]:
    if old.image != new.image:
        yield f"image {old.image} -> {new.image}"
    if (old.command, old.args) != (new.command, new.args):
        yield "component changed: its command or source text"
    sides = ({**side.component_spec, "executorLabel": ""} for side in (old, new))
    if next(sides) != next(sides):
        yield "component changed: its interface"
    if old.environment != new.environment:
        yield "component changed: its variables"


def _input_changes(
    store: Store,
    old: TaskRecord,
    new: TaskRecord,
    own: tuple[tuple[str, ...], tuple[str, ...]],
) -> Iterator[str]:
    sides = tuple(zip((old, new), own, strict=True))
    values, others = (_masked(_given(side, "parameterValues"), words) for side, words in sides)
    for name in sorted({*values, *others}):
        if name not in values or name not in others or values[name] != others[name]:
            yield f"parameter {name!r} changed"
    before, now = (_contents(store, side, words) for side, words in sides)
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"input {name!r} changed"


def _contents(store: Store, record: TaskRecord, own: tuple[str, ...]) -> dict[str, list[Any]]:
    """Say what each input artifact holds: type, metadata, digest; where it is counts for none."""
    found: dict[str, list[Any]] = {}
    for name, group in _given(record, "artifacts").items():
        digests = record.inputs.get(name, [])
        for index, item in enumerate(group["artifacts"]):
            sha256 = digests[index]["sha256"] if index < len(digests) else None
            foreign = "" if sha256 or item["uri"].startswith(f"{store.uri}/") else item["uri"]
            metadata = _masked(item.get("metadata", {}), own)
            kept = {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}
            kind = record.input_type(name, item)
            found.setdefault(name, []).append([kind, kept, sha256, foreign])
    return found


def _given(record: TaskRecord, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = record.executor_input.get("inputs", {}).get(kind) or {}
    return found


def _masked(value: Any, own: tuple[str, ...]) -> Any:
    """Write what each run has of its own in the same way for all."""
    text = json.dumps(value)
    for number, word in enumerate(own):
        text = text.replace(word, f"{{{number}}}")
    return json.loads(text)


def _torn(store: Store, name: str, items: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what of an output on this machine is not what was recorded."""
    fetch = fetch_into(Path(), None)
    for item in items:
        if item["sha256"] and "://" not in item["uri"]:
            try:
                fetch(item)
            except InputError as error:
                yield f"output {name!r} cannot be used: {error}"
