"""What `promote` does: release a model, try it as a canary, or conclude the canary that stands."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.cli.models import locate_model, registered_version
from dalsegno.errors import InputError

if TYPE_CHECKING:
    from dalsegno.releases import Release
    from dalsegno.serving.conditions import Judgement
    from dalsegno.store import Store


@dataclass(frozen=True)
class Wanted:
    """What was asked for; see the options of `promote`."""

    endpoint: str
    percent: int | None
    shadow: bool
    key: str
    when: str
    timeout_seconds: float
    reason: str
    who: str

    @property
    def is_canary(self) -> bool:
        """Whether a canary is to be made or changed."""
        return self.percent is not None or self.shadow


def check(wanted: Wanted, model: str, urls: list[str]) -> None:
    """Check that the options fit together, before anything is released.

    Raises:
        InputError: They do not.
    """
    from dalsegno.serving.conditions import read_conditions
    from dalsegno.serving.replicas import read_address

    for url in urls:
        read_address(url)
    if wanted.shadow and wanted.percent:
        raise InputError(f"--shadow: got --canary {wanted.percent} too, want one of them")
    if wanted.key and not wanted.is_canary:
        raise InputError("--key: got no --canary, want a share to split off")
    if wanted.when:
        read_conditions(wanted.when)
        if model and not wanted.is_canary:
            raise InputError(
                "--when: got a model without --canary or --shadow, want it tried first"
            )


def release(
    store: Store, wanted: Wanted, model: str, expected: int | None, *, quiet: bool
) -> Release:
    """Do what was asked for; returns the last release that was made."""
    from dalsegno import releases

    seen = _latest(store, wanted.endpoint) if expected is None else expected
    if not model and not wanted.is_canary and not wanted.when:
        made = releases.promote_canary(
            store,
            wanted.endpoint,
            reason=wanted.reason,
            who=wanted.who,
            evidence={"by": "hand"},
            expected=seen,
        )
    elif model or wanted.is_canary:
        made = _release_model(store, wanted, model, seen)
    if model or wanted.is_canary or not wanted.when:
        releases.follow(made, store=store)
        _tell_new_inputs(store, made)
        if not wanted.when:
            return made
    return _conclude(store, wanted, quiet=quiet)


def wait_for(urls: list[str], release: Release, timeout_seconds: float) -> bool:
    """Wait until every replica follows a release, and say how many do; returns whether all do."""
    from dalsegno.serving.access import TOKEN_VARIABLE, own_token
    from dalsegno.serving.replicas import Replicas, wait_for_replicas

    def tell(found: Replicas) -> None:
        total = len(found.ready) + len(found.behind)
        behind = "".join(f"; {address}: {said}" for address, said in found.behind.items())
        sys.stderr.write(
            f"{len(found.ready)} of {total} replicas follow release {found.release}{behind}\n"
        )

    found = wait_for_replicas(
        urls,
        release.endpoint,
        release.number,
        timeout_seconds=timeout_seconds,
        token=own_token(),
        on_count=tell,
    )
    if any(said.startswith("authorization:") for said in found.behind.values()):
        sys.stderr.write(f"  next: set {TOKEN_VARIABLE} to the token of a caller\n")
    return found.is_done


def _latest(store: Store, endpoint: str) -> int:
    from dalsegno import releases

    standing = releases.standing(store, endpoint)
    return standing.latest.number if standing else 0


def _release_model(store: Store, wanted: Wanted, model: str, expected: int) -> Release:
    from dalsegno import releases

    details: dict[str, Any] = {
        "reason": wanted.reason,
        "who": wanted.who,
        "evidence": {"by": "hand"},
        "expected": expected,
    }
    canary: dict[str, Any] = {"shadow": wanted.shadow, "key": wanted.key}
    if not model:
        percent = wanted.percent or 0
        return releases.start_canary(store, wanted.endpoint, None, percent, **canary, **details)
    with tempfile.TemporaryDirectory() as scratch:
        path, run_id = locate_model(store, model, Path(scratch, "model"))
        details["version"] = registered_version(wanted.endpoint, path, run_id) if run_id else ""
        details["run_id"] = run_id
        if not wanted.is_canary:
            return releases.promote(store, wanted.endpoint, path, **details)
        percent = wanted.percent or 0
        return releases.start_canary(store, wanted.endpoint, path, percent, **canary, **details)


def _tell_new_inputs(store: Store, made: Release) -> None:
    """Say which columns callers must send from now on, where the champion before took none such."""
    from dalsegno import releases
    from dalsegno.releases.log import in_force

    before = made.champion or next(iter(in_force(releases.history(store, made.endpoint))[-2:-1]), 0)
    if before:
        known = _inputs(store, releases.find(store, made.endpoint, before))
        new = [name for name in _inputs(store, made) if name not in known]
        if new:
            sys.stderr.write(
                f"warning: it takes {', '.join(new)}, which release {before} did not: "
                "it fails at requests without them\n"
            )


def _inputs(store: Store, release: Release) -> list[str]:
    signature = json.loads(store.get(f"{release.model_key}/signature.json"))
    return [item["name"] for item in signature["inputs"]]


def _conclude(store: Store, wanted: Wanted, *, quiet: bool) -> Release:
    from dalsegno import releases
    from dalsegno.serving.conditions import read_conditions
    from dalsegno.serving.rollout import watch_canary

    made = watch_canary(
        store,
        wanted.endpoint,
        read_conditions(wanted.when),
        who=wanted.who,
        timeout_seconds=wanted.timeout_seconds,
        on_judgement=None if quiet else _Told(),
    )
    releases.follow(made, store=store)
    if not quiet:
        sys.stderr.write(f"{made.reason}\n")
    return made


class _Told:
    """Says what was measured whenever that has changed."""

    def __init__(self) -> None:
        self._last: list[str] = []

    def __call__(self, judged: Judgement) -> None:
        if judged.reasons != self._last:
            sys.stderr.write(f"{judged.state}: {'; '.join(judged.reasons)}\n")
            self._last = judged.reasons
