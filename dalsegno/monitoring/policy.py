"""From alarms to one action."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["data", "drift", "quality", "bias"]
Action = Literal["none", "freeze", "retrain", "roll_back"]
Severity = Literal["warning", "critical"]


@dataclass(frozen=True)
class Alarm:
    """One finding that wants an action.

    Attributes:
        kind: What sort of finding it is; the policy goes by it.
        subject: Column, slice or metric.
        got: What came, in a few words.
        want: What was wanted, in a few words.
        severity: `critical` pages a person, `warning` waits for working hours.
    """

    kind: Kind
    subject: str
    got: str
    want: str
    severity: Severity = "warning"


@dataclass(frozen=True)
class Rule:
    """An action for a kind of alarm; `after_release` rules hold only right after one."""

    kind: Kind
    action: Action
    after_release: bool = False


# The first rule that an alarm meets decides. Broken data comes first: whatever else is found in
# a broken batch says nothing about the model, and neither training nor rolling back mends it.
RULES = (
    Rule("data", "freeze"),
    Rule("quality", "roll_back", after_release=True),
    Rule("quality", "retrain"),
    Rule("drift", "retrain"),
    Rule("bias", "retrain"),
)


def decide(alarms: Iterable[Alarm], *, released_recently: bool = False) -> Action:
    """Choose the one action that the alarms of a batch ask for.

    Args:
        alarms: What monitoring found.
        released_recently: Whether the champion is so new that a loss may be its fault.
    """
    kinds = {alarm.kind for alarm in alarms}
    for rule in RULES:
        if rule.kind in kinds and (released_recently or not rule.after_release):
            return rule.action
    return "none"
