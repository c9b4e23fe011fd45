"""Compares what a task was given with what another run of it was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalsegno.errors import DalsegnoError
from dalsegno.replay.changes import Change, table_changes
from dalsegno.replay.comparison import compare_paths
from dalsegno.replay.formats import Format, format_of
from dalsegno.replay.profile import connect, profile_of
from dalsegno.replay.recorded import Fetch
from dalsegno.replay.values import differences, short
from dalsegno.runs.environment import read_environment
from dalsegno.runs.record import RunRecord, TaskRecord
from dalsegno.store import Store
from dalsegno.store.digest import files_of

_MOST_KEYS = 10
_MOST_FILES = 20
_WHOLE_JSON_BYTES = 16 * 1024 * 1024
_DIGEST_CHARACTERS = 12
_COMMIT_CHARACTERS = 7
_CODE = {"code", "commit", "image", "python", "packages"}
_BOOKKEEPING = {"display_name", "store_session_info"}


@dataclass(frozen=True)
class Side:
    """One attempt of a task, and what is known of where it ran.

    Attributes:
        packages: Version by name, where known.
    """

    run: RunRecord
    task: TaskRecord
    packages: dict[str, str]

    @property
    def address(self) -> str:
        """`RUN/TASK`."""
        return f"{self.run.run_id}/{self.task.task}"


def side_of(store: Store, run: RunRecord, task: TaskRecord) -> Side:
    """Gather what is known of an attempt and of where it ran."""
    return Side(run, task, read_environment(store, run.run_id).get("packages", {}))


def all_changes(old: Side, new: Side, fetch: Fetch, connection: Any = None) -> list[Change]:
    """Compare two attempts, most telling first.

    Args:
        fetch: Brings a recorded input artifact to this machine.
        connection: DuckDB's, given where somebody may interrupt it.
    """
    found = [*identity_changes(old, new), *input_changes(old, new, fetch, connection)]
    return in_order(found)


def in_order(changes: list[Change]) -> list[Change]:
    """Sort changes, most telling first."""
    return sorted(changes, key=lambda change: -change.weight)


def summary(old: Side, new: Side, changes: list[Change]) -> str | None:
    """Say in a line that nothing but the code changed, where that is so; else None."""
    given = [change for change in changes if change.subject not in _CODE]
    if given:
        return None
    code = "; ".join(str(change) for change in changes)
    return f"inputs are the same as in {old.run.run_id}; {code or 'code and environment too'}"


def identity_changes(old: Side, new: Side) -> Iterator[Change]:
    """Yield what changed in parameters, code and environment; reads nothing."""
    yield from _parameter_changes(old, new)
    before, after = old.task, new.task
    if before.image != after.image:
        yield Change(52, "image", f"{before.image} -> {after.image}")
    if (before.command, before.args) != (after.command, after.args):
        yield Change(55, "code", "the component's command or source text changed")
    if before.python != after.python and before.python and after.python:
        yield Change(46, "python", f"{before.python} -> {after.python}")
    if old.packages and new.packages and old.packages != new.packages:
        yield Change(44, "packages", _packages(old.packages, new.packages))
    for name in sorted(set(before.environment) | set(after.environment)):
        if before.environment.get(name) != after.environment.get(name):
            yield Change(48, f"variable {name}", "changed")
    commits = [(side.run.commit or "unknown")[:_COMMIT_CHARACTERS] for side in (old, new)]
    if commits[0] != commits[1]:
        yield Change(25, "commit", f"{commits[0]} -> {commits[1]}")


def input_changes(old: Side, new: Side, fetch: Fetch, connection: Any = None) -> Iterator[Change]:
    """Yield what changed in input artifacts and their metadata."""
    before, after = old.task.inputs, new.task.inputs
    prefixed = len({*before, *after}) > 1
    for name in [*before, *(name for name in after if name not in before)]:
        left, right = before.get(name, []), after.get(name, [])
        if not left or not right:
            yield Change(70, name, "given -> not given" if left else "not given -> given")
            continue
        if len(left) != len(right):
            yield Change(60, name, f"{len(left)} artifacts -> {len(right)}")
        for index, pair in enumerate(zip(left, right, strict=False)):
            label = f"{name}[{index}]" if len(left) > 1 else name
            prefix = f"{label}." if prefixed or len(left) > 1 else ""
            if pair[0]["sha256"] != pair[1]["sha256"]:
                yield from _artifact_changes(*pair, label, prefix, fetch, connection)
            sides = (_metadata(side, name, index) for side in (old, new))
            for change in differences(*sides):
                yield Change(35, f"{label} metadata", str(change))


def digest_changes(old: Side, new: Side) -> Iterator[Change]:
    """Yield which input artifacts hold something else; reads nothing, so it says no more."""
    for name, items in old.task.inputs.items():
        pairs = zip(items, new.task.inputs.get(name, []), strict=False)
        for index, (left, right) in enumerate(pairs):
            label = f"{name}[{index}]" if len(items) > 1 else name
            if left["sha256"] != right["sha256"] and left["sha256"] and right["sha256"]:
                yield Change(10, label, _digests(left, right))


def _parameter_changes(old: Side, new: Side) -> Iterator[Change]:
    values = [_masked(side, _inputs(side).get("parameterValues") or {}) for side in (old, new)]
    for change in differences(*values):
        yield Change(72, f"parameter {change.where}", f"{change.old} -> {change.new}")


def _inputs(side: Side) -> dict[str, Any]:
    found: dict[str, Any] = side.task.executor_input.get("inputs", {})
    return found


def _metadata(side: Side, name: str, index: int) -> dict[str, Any]:
    items = _inputs(side).get("artifacts", {}).get(name, {}).get("artifacts", [])
    metadata = items[index].get("metadata", {}) if index < len(items) else {}
    kept = {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}
    masked: dict[str, Any] = _masked(side, kept)
    return masked


def _masked(side: Side, value: Any) -> Any:
    """Write what every run has of its own, its id and its time, in the same way for all."""
    text = json.dumps(value).replace(side.run.run_id, "{run}")
    return json.loads(text.replace(side.run.created_at, "{time}"))


def _packages(old: dict[str, str], new: dict[str, str]) -> str:
    changed = [
        f"{name} {old.get(name, 'nothing')} -> {new.get(name, 'nothing')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""  # noqa: PLR2004
    return ", ".join(changed[:3]) + more


def _artifact_changes(
    old: dict[str, Any], new: dict[str, Any], label: str, prefix: str, fetch: Fetch, connection: Any
) -> Iterator[Change]:
    if not old["sha256"] or not new["sha256"]:
        yield Change(70, label, "nothing -> a file" if new["sha256"] else "a file -> nothing")
        return
    try:
        found = list(_content_changes(fetch(old), fetch(new), label, prefix, connection))
    except (DalsegnoError, OSError, ValueError) as error:
        yield Change(10, label, f"{_digests(old, new)} (not compared further: {error})")
        return
    yield from found or [Change(10, label, f"{_digests(old, new)}, the same profile")]


def _digests(old: dict[str, Any], new: dict[str, Any]) -> str:
    said = (
        f"{item['sha256'][:_DIGEST_CHARACTERS]} ({item['size_bytes']} bytes)" for item in (old, new)
    )
    return "content {} -> {}".format(*said)


def _content_changes(
    old: Path, new: Path, label: str, prefix: str, connection: Any
) -> Iterator[Change]:
    kinds = format_of(old), format_of(new)
    if kinds[0].is_table and kinds[1].is_table:
        connection = connection or connect()
        before, after = profile_of(old, connection), profile_of(new, connection)
        yield from table_changes(before, after, label, prefix)
    elif kinds[0] != kinds[1]:
        yield Change(90, label, f"format {kinds[0]} -> {kinds[1]}")
    elif kinds[0] in _CHANGES:
        yield from _CHANGES[kinds[0]](old, new, label, connection)


def _folder_changes(old: Path, new: Path, label: str, connection: Any) -> Iterator[Change]:
    mine, its = dict(files_of(old)), dict(files_of(new))
    missing, extra = sorted(set(mine) - set(its)), sorted(set(its) - set(mine))
    for names, word, weight in ((missing, "missing", 85), (extra, "new", 60)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
            yield Change(weight, label, f"{word} files {', '.join(map(short, names[:3]))}{more}")
    for name in [name for name in mine if name in its][:_MOST_FILES]:
        if compare_paths(mine[name], its[name]).match.is_same:
            continue
        inner = f"{label}/{name}"
        found = list(_content_changes(mine[name], its[name], inner, f"{inner}.", connection))
        yield from found or [Change(10, inner, "other content")]


def _json_changes(old: Path, new: Path, label: str, connection: Any) -> Iterator[Change]:
    if max(old.stat().st_size, new.stat().st_size) > _WHOLE_JSON_BYTES:
        return
    left, right = (json.loads(path.read_bytes()) for path in (old, new))
    found = list(differences(left, right))
    for change in found[:_MOST_KEYS]:
        yield Change(40, f"{label} {change.where}".strip(), f"{change.old} -> {change.new}")
    if len(found) > _MOST_KEYS:
        yield Change(39, label, f"{len(found) - _MOST_KEYS} more values changed")


def _text_changes(old: Path, new: Path, label: str, connection: Any) -> Iterator[Change]:
    found = compare_paths(old, new)
    if found.first:
        yield Change(30, label, str(found.first))


_CHANGES: dict[Format, Callable[[Path, Path, str, Any], Iterator[Change]]] = {
    Format.FOLDER: _folder_changes,
    Format.JSON: _json_changes,
    Format.TEXT: _text_changes,
}
