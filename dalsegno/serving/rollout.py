"""Watches a canary until its evidence passes or does not, and then promotes or stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from dalsegno import releases
from dalsegno.errors import ConflictError, InfrastructureError, InputError
from dalsegno.releases import Release
from dalsegno.serving.conditions import Condition, Judgement, State, judge
from dalsegno.serving.evidence import Evidence
from dalsegno.store import Store

_SHADOW_CANNOT = ("p99_ms", "p99_ratio")
_SHOWN_LETTERS = 200


def watch_canary(
    store: Store,
    endpoint: str,
    conditions: Sequence[Condition],
    *,
    who: str,
    timeout_seconds: float,
    poll_seconds: float = 2.0,
    on_judgement: Callable[[Judgement], None] | None = None,
) -> Release:
    """Promote the canary when its evidence passes; stop it when that fails or does not come.

    A store that cannot be read for a while is waited for: the canary stands meanwhile.

    Args:
        store: Where releases and log are.
        endpoint: Whose canary.
        conditions: What must hold.
        who: Who lets it happen.
        timeout_seconds: How long evidence is waited for.
        poll_seconds: Between two looks.
        on_judgement: Is told of every look.

    Returns:
        The new release: `promoted`, or `rolled_back` to the champion.

    Raises:
        ConflictError: No canary stands, or somebody has changed it meanwhile.
        InputError: A condition cannot be measured of this canary.
    """
    standing = releases.standing(store, endpoint)
    if standing is None or standing.canary is None:
        raise ConflictError(
            f"endpoint {endpoint!r}: got no canary, want one that stands",
            f"dalsegno promote {endpoint} MODEL --canary 10",
        )
    canary = standing.canary
    _check(canary, conditions)
    evidence = Evidence(store, standing)
    deadline = time.monotonic() + timeout_seconds
    judged = Judgement(State.WAITING, ["nothing was measured"], {})
    while True:
        try:
            _check_stands(store, canary)
            judged = judge(conditions, evidence.measure())
            if evidence.last_error:
                judged.reasons.append(f"it said: {evidence.last_error[:_SHOWN_LETTERS]}")
        except InfrastructureError as error:
            judged = Judgement(State.WAITING, [str(error)], judged.measured)
        if on_judgement:
            on_judgement(judged)
        is_late = time.monotonic() >= deadline
        if judged.state is not State.WAITING or is_late:
            return _conclude(store, canary, judged, conditions, who, timeout_seconds)
        time.sleep(poll_seconds)


def _conclude(
    store: Store,
    canary: Release,
    judged: Judgement,
    conditions: Sequence[Condition],
    who: str,
    timeout_seconds: float,
) -> Release:
    found: dict[str, Any] = {
        "conditions": [str(condition) for condition in conditions],
        "measured": judged.measured,
        "state": str(judged.state),
    }
    if judged.state is State.PASSED:
        return releases.promote_canary(
            store,
            canary.endpoint,
            reason="the canary's evidence passed",
            who=who,
            evidence=found,
            expected=canary.number,
        )
    late = f" within {timeout_seconds:g} s" if judged.state is State.WAITING else ""
    return releases.roll_back(
        store,
        canary.endpoint,
        reason=f"the canary's evidence did not pass{late}: {'; '.join(judged.reasons)}",
        who=who,
        evidence=found,
        expected=canary.number,
    )


def _check(canary: Release, conditions: Sequence[Condition]) -> None:
    for condition in conditions:
        if canary.shadow and condition.measure in _SHADOW_CANNOT:
            want = "a canary with traffic: nobody waits for a shadow"
            raise InputError(f"--when: got {condition} of a shadow, want {want}")
        if not canary.shadow and condition.measure == "agreement":
            want = "a shadow: one request has one answer here"
            raise InputError(f"--when: got {condition} of a canary, want {want}")


def _check_stands(store: Store, canary: Release) -> None:
    later = releases.log.newest_after(store, canary.endpoint, canary.number)
    if later:
        raise releases.log.overtaken(later)
