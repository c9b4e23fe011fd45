"""Conditions on a canary: `requests>=500, errors<=1%, p99_ratio<=1.2, score_drift<=0.2`."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dalsegno.errors import InputError

MEASURES: Mapping[str, str] = {
    "requests": "requests that it answered, or failed to",
    "errors": "share of them that it failed to answer (0-1)",
    "p99_ms": "99th percentile of its time to answer, milliseconds",
    "p99_ratio": "the same, divided by the champion's in the same time",
    "score_drift": "population stability index of its scores against the champion's",
    "agreement": "share (0-1) of rows that it decides like the champion; in the shadow only",
    "labels": "rows of it whose label has come",
    "auc": "its AUC on them",
    "auc_loss": "the champion's AUC on its own labelled rows, minus that",
}
"""What can be asked of a canary."""

_AMOUNTS = ("requests", "labels")
_FORM = re.compile(r"([a-z0-9_]+)\s*(>=|<=|>|<)\s*([0-9]*\.?[0-9]+)\s*(%?)")
_COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_ENOUGH_REQUESTS = 100


class State(StrEnum):
    """What conditions say of a canary."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Condition:
    """One of them.

    Attributes:
        measure: One of `MEASURES`.
        comparison: `>=`, `<=`, `>` or `<`.
        limit: What it is compared with; a percentage as a share.
    """

    measure: str
    comparison: str
    limit: float

    @property
    def is_amount(self) -> bool:
        """Whether it asks for enough evidence, and is waited for."""
        return self.measure in _AMOUNTS and self.comparison.startswith(">")

    def holds(self, value: float) -> bool:
        """Tell whether a value fulfils it."""
        return bool(_COMPARED[self.comparison](value, self.limit))

    def __str__(self) -> str:
        return f"{self.measure}{self.comparison}{self.limit:g}"


@dataclass(frozen=True)
class Judgement:
    """What conditions say, with what was measured.

    Attributes:
        state: Wait, promote, or stop.
        reasons: A line a condition: what was got and wanted.
        measured: By name.
    """

    state: State
    reasons: list[str]
    measured: dict[str, float | None]


def read_conditions(text: str) -> list[Condition]:
    """Read conditions, separated by commas; without `requests`, at least 100 are asked for.

    Raises:
        InputError: A condition is not understood, or names an unknown measure.
    """
    found = [_read(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise InputError("--when: got nothing, want conditions as in requests>=500,errors<=1%")
    if not any(condition.is_amount for condition in found):
        found.insert(0, Condition("requests", ">=", _ENOUGH_REQUESTS))
    return found


def judge(conditions: Sequence[Condition], measured: Mapping[str, float | None]) -> Judgement:
    """Say whether to wait, to promote, or to stop.

    Nothing is judged before there is enough evidence, but for what can no longer come right: more
    failed requests than the wanted number of requests allows.
    """
    amounts = [condition for condition in conditions if condition.is_amount]
    limits = [condition for condition in conditions if not condition.is_amount]
    reasons = [_reason(condition, measured.get(condition.measure)) for condition in conditions]
    values = {name: measured.get(name) for name in dict.fromkeys(c.measure for c in conditions)}
    if _is_lost(conditions, measured):
        return Judgement(State.FAILED, reasons, values)
    if not all(_holds(condition, measured) for condition in amounts):
        return Judgement(State.WAITING, reasons, values)
    if any(measured.get(condition.measure) is None for condition in limits):
        return Judgement(State.WAITING, reasons, values)
    passed = all(_holds(condition, measured) for condition in limits)
    return Judgement(State.PASSED if passed else State.FAILED, reasons, values)


def _read(part: str) -> Condition:
    found = _FORM.fullmatch(part)
    if not found:
        raise InputError(f"--when: got {part[:40]!r}, want a condition as in errors<=1%")
    name = found[1]
    if name not in MEASURES:
        close = difflib.get_close_matches(name, MEASURES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise InputError(f"--when: got {name!r}, want one of {', '.join(MEASURES)}.{hint}")
    limit = float(found[3]) / 100 if found[4] else float(found[3])
    return Condition(name, found[2], limit)


def _holds(condition: Condition, measured: Mapping[str, float | None]) -> bool:
    value = measured.get(condition.measure)
    return value is not None and condition.holds(value)


def _is_lost(conditions: Sequence[Condition], measured: Mapping[str, float | None]) -> bool:
    requests, errors = measured.get("requests") or 0.0, measured.get("errors") or 0.0
    wanted = max([c.limit for c in conditions if c.is_amount and c.measure == "requests"] or [0])
    allowed = [c.limit for c in conditions if c.measure == "errors" and c.comparison[0] == "<"]
    return bool(allowed) and errors * requests > min(allowed) * max(wanted, requests)


def _reason(condition: Condition, value: float | None) -> str:
    got = "nothing yet" if value is None else f"{value:.4g}"
    return f"{condition.measure}: got {got}, want {condition.comparison}{condition.limit:g}"
