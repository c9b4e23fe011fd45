"""The verdict after a replay: did the task do again what its record says it did?"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dalsegno.engine.spec import lightweight_source
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.comparison import compare_paths
from dalsegno.replay.outcome import Replayed
from dalsegno.replay.recorded import Fetch, is_unknown
from dalsegno.replay.values import (
    ABSENT,
    IDENTICAL,
    Comparison,
    Difference,
    Shown,
    Tolerance,
    compare_values,
    difference,
    differs,
)
from dalsegno.runs.record import TaskRecord
from dalsegno.store import digest_of

_BOOKKEEPING = {"display_name", "store_session_info"}
_EPHEMERAL = "ephemeral_component.py"


class Ending(StrEnum):
    """How a replay ended, measured by the record."""

    REPRODUCED = "reproduced"
    FAILURE_REPRODUCED = "failure reproduced"
    NOW_PASSES = "now passes"
    OUTPUTS_DIFFER = "outputs differ"
    FAILS_OTHERWISE = "fails otherwise"
    NOW_FAILS = "now fails"

    @property
    def is_good(self) -> bool:
        """Whether the replay did what the record says, or better."""
        return self in {Ending.REPRODUCED, Ending.FAILURE_REPRODUCED, Ending.NOW_PASSES}


@dataclass(frozen=True)
class OutputVerdict:
    """How one output compares with the recorded one.

    Attributes:
        kind: `parameter`, `artifact` or `metadata`.
        name: Of the output; with a number behind it where an output is a list.
    """

    kind: str
    name: str
    comparison: Comparison


@dataclass(frozen=True)
class Verdict:
    """The verdict on a replay.

    Attributes:
        reasons: Of a failure: what is another than in the record.
    """

    ending: Ending
    outputs: tuple[OutputVerdict, ...] = ()
    reasons: tuple[Difference, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 when reproduced or now passing, else 1."""
        return 0 if self.ending.is_good else 1


def judge(
    capsule: Capsule, replayed: Replayed, fetch: Fetch, tolerance: Tolerance | None = None
) -> Verdict:
    """Compare what a replay did with what the record says.

    Args:
        fetch: Brings a recorded output artifact, {uri, sha256, size_bytes}, to this machine;
            asked only for those whose digest differs.
        tolerance: Of floating-point numbers; default: as `compare_paths`.
    """
    mask = _Mask(capsule, replayed)
    if replayed.error:
        return _judge_failure(capsule.record, replayed, mask)
    if not capsule.record.state.is_success:
        return Verdict(Ending.NOW_PASSES)
    found = _judge_outputs(capsule.record, replayed, mask, fetch, tolerance or Tolerance())
    outputs = tuple(found)
    same = all(item.comparison.match.is_same for item in outputs)
    return Verdict(Ending.REPRODUCED if same else Ending.OUTPUTS_DIFFER, outputs)


class _Mask:
    """Writes paths of the replay as they were in the recorded run, so that they do not count."""

    def __init__(self, capsule: Capsule, replayed: Replayed) -> None:
        recorded = capsule.record.executor_input
        output_file: str = recorded.get("outputs", {}).get("outputFile", "")
        pairs = [(str(replayed.folder / "outputs"), output_file.rpartition("/")[0])]
        for name, items in capsule.manifest.inputs.items():
            paths = capsule.input_paths(name)
            pairs += [
                (str(path), item.uri) for path, item in zip(paths, items, strict=True) if path
            ]
        self.pairs = sorted((pair for pair in pairs if all(pair)), key=lambda pair: -len(pair[0]))

    def apply(self, value: Any) -> Any:
        """Return a value with the paths in its strings replaced."""
        if isinstance(value, dict):
            return {key: self.apply(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        if isinstance(value, str):
            for new, old in self.pairs:
                value = value.replace(new, old)
        return value


def _judge_failure(record: TaskRecord, replayed: Replayed, mask: _Mask) -> Verdict:
    if record.state.is_success:
        return Verdict(
            Ending.NOW_FAILS, reasons=(Difference("error", "none", _said(replayed.error)),)
        )
    reasons = tuple(_failure_differences(record, replayed))
    message = (record.error or {}).get("message", ""), mask.apply((replayed.error or {})["message"])
    if reasons:
        return Verdict(Ending.FAILS_OTHERWISE, reasons=reasons)
    noted = () if message[0] == message[1] else (difference("message", *map(Shown, message)),)
    return Verdict(Ending.FAILURE_REPRODUCED, reasons=noted)


def _failure_differences(record: TaskRecord, replayed: Replayed) -> Iterator[Difference]:
    old, new = record.error or {}, replayed.error or {}
    if old.get("type") != new.get("type"):
        yield difference("error", Shown(_said(old)), Shown(_said(new)))
    elif old.get("line") and not _same_place(old, new, record):
        yield difference("line", Shown(_place(old)), Shown(_place(new)))
    elif not old.get("line") and record.exit_code != replayed.exit_code:
        yield difference("exit code", record.exit_code, replayed.exit_code)


def _same_place(old: dict[str, Any], new: dict[str, Any], record: TaskRecord) -> bool:
    """Whether two errors arose at the same line, by number or, in another file, by its text."""
    if old.get("function") != new.get("function"):
        return False
    files = [Path(error.get("file") or "").name for error in (old, new)]
    if files[0] == files[1] and old["line"] == new.get("line"):
        return True
    if files[0] == _EPHEMERAL and new.get("source_line"):
        return bool(old["line"] == new["source_line"])
    texts = [_line_text(error, record) for error in (old, new)]
    return bool(texts[0]) and texts[0] == texts[1]


def _line_text(error: dict[str, Any], record: TaskRecord) -> str:
    file, line = str(error.get("file") or ""), int(error.get("line") or 0)
    if Path(file).name == _EPHEMERAL:
        lines = (lightweight_source(tuple(record.command)) or "").splitlines()
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return linecache.getline(file, line).strip()


def _place(error: dict[str, Any]) -> str:
    if not error.get("line"):
        return "unknown"
    return f"{Path(str(error.get('file'))).name}:{error['line']} ({error.get('function')})"


def _said(error: dict[str, Any] | None) -> str:
    return f"{error.get('type')}: {error.get('message')}" if error else "none"


def _judge_outputs(
    record: TaskRecord, replayed: Replayed, mask: _Mask, fetch: Fetch, tolerance: Tolerance
) -> Iterator[OutputVerdict]:
    recorded = record.executor_output or {}
    values = recorded.get("parameterValues") or {}
    yield from _judge_parameters(values, mask.apply(replayed.parameters), tolerance)
    for name, group in recorded.get("artifacts", {}).items():
        items, digests = group["artifacts"], record.outputs.get(name, [])
        paths, metadata = replayed.artifacts.get(name, []), replayed.metadata.get(name, [])
        if len(items) != len(paths):
            counts = (Shown(f"{len(found)} artifacts") for found in (items, paths))
            yield OutputVerdict("artifact", name, differs("", *counts))
            continue
        for index, (item, path) in enumerate(zip(items, paths, strict=True)):
            label = f"{name}[{index}]" if len(items) > 1 else name
            described = digests[index] if index < len(digests) else {"sha256": None}
            yield OutputVerdict("artifact", label, _judge_file(described, path, fetch, tolerance))
            new = metadata[index] if index < len(metadata) else {}
            old, new = _content(item.get("metadata", {})), _content(mask.apply(new))
            if old or new:
                yield OutputVerdict("metadata", label, compare_values(old, new, tolerance))


def _content(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}


def _judge_parameters(
    old: dict[str, Any], new: dict[str, Any], tolerance: Tolerance
) -> Iterator[OutputVerdict]:
    for name in [*old, *(name for name in new if name not in old)]:
        value, other = old.get(name, ABSENT), new.get(name, ABSENT)
        yield OutputVerdict("parameter", name, compare_values(value, other, tolerance))


def _judge_unknown(
    described: dict[str, Any], path: Path, fetch: Fetch, tolerance: Tolerance, *, is_there: bool
) -> Comparison:
    """Compare with an artifact of a cluster, which has to be fetched to know what it is."""
    try:
        recorded = fetch(described)
    except NotFoundError:
        return differs("", Shown("nothing"), Shown("a file")) if is_there else IDENTICAL
    if not is_there:
        return differs("", Shown("a file"), Shown("nothing"))
    if digest_of(recorded).sha256 == digest_of(path).sha256:
        return IDENTICAL
    return compare_paths(recorded, path, tolerance)


def _judge_file(
    described: dict[str, Any], path: Path, fetch: Fetch, tolerance: Tolerance
) -> Comparison:
    is_there = path != Path() and path.exists()
    if is_unknown(described):
        return _judge_unknown(described, path, fetch, tolerance, is_there=is_there)
    want = described.get("sha256")
    if not is_there or not want:
        sides = (Shown("a file" if there else "nothing") for there in (want, is_there))
        return differs("", *sides) if bool(want) != is_there else IDENTICAL
    got = digest_of(path)
    if got.sha256 == want:
        return IDENTICAL
    try:
        return compare_paths(fetch(described), path, tolerance)
    except (DalsegnoError, OSError, ValueError) as error:
        note = f"not compared further: {error}"
        return differs("SHA-256", Shown(want[:12]), Shown(got.sha256[:12]), note)
