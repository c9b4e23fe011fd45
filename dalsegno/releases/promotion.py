"""The ways to the next release: promote a model, try it as a canary, or roll back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dalsegno.errors import InputError
from dalsegno.releases import log
from dalsegno.releases.models import check_folder, fetch_model, keep, keep_still
from dalsegno.releases.release import CANARY, PROMOTED, ROLLED_BACK, Release
from dalsegno.runs.record import timestamp
from dalsegno.store import Digest, Store, digest_of


def promote(
    store: Store,
    endpoint: str,
    model_path: Path,
    *,
    reason: str,
    who: str,
    evidence: Mapping[str, Any] | None = None,
    golden: str = "",
    version: str = "",
    run_id: str = "",
    expected: int | None = None,
    now: datetime | None = None,
) -> Release:
    """Make a model the one that an endpoint serves.

    Promoting what is live already (the same model out of the same run) returns the live release.

    Args:
        store: Where releases and models are kept.
        endpoint: Name of the endpoint.
        model_path: Model folder.
        reason: Why, in a few words.
        who: Person or pipeline.
        evidence: JSON values that speak for it: the gate's verdict.
        golden: Reference of the golden data set that the evidence rests on.
        version: Version in the model registry.
        run_id: Run that trained the model.
        expected: Number that must be live, 0 for none; otherwise it is a conflict.
        now: Time of the release, UTC.

    Raises:
        ConflictError: Somebody else has released meanwhile, or something else is live.
        InputError: The folder is no whole model, or it fails its self-test.
    """
    now_live = log.standing(store, endpoint)
    before = now_live.latest if now_live else None
    check_folder(model_path)
    is_settled = before is not None and before.state != CANARY
    if before and is_settled and _is_same(before, digest_of(model_path), run_id):
        return before
    check_expected(before, expected)
    release = describe_model(
        store,
        model_path,
        endpoint=endpoint,
        number=_next(before),
        state=PROMOTED,
        golden=golden,
        model_version=version,
        run_id=run_id,
        created_at=timestamp(now),
        who=who,
        reason=reason,
        evidence=dict(evidence or {}),
    )
    made = log.create(store, release, before)
    keep_still(store, model_path, made)
    return made


def describe_model(store: Store, model_path: Path, **details: Any) -> Release:
    """Test a model, keep it by content, and return the release of it that is to be made."""
    training = _test(model_path)
    key, digest = keep(store, model_path)
    return Release(
        model_sha256=digest.sha256,
        model_key=key,
        features_digest=str(training.get("features_digest", "")),
        threshold=float(training["threshold"]),
        baseline_sha256=digest_of(model_path / "baseline.json").sha256,
        dataset=str(training.get("dataset", "")),
        **details,
    )


def roll_back(
    store: Store,
    endpoint: str,
    to: int | None = None,
    *,
    reason: str,
    who: str,
    evidence: Mapping[str, Any] | None = None,
    run_id: str = "",
    expected: int | None = None,
    now: datetime | None = None,
) -> Release:
    """Make the model of an earlier release live again; it is fetched and tested first.

    Without a number it goes to what was live before, passing over everything that was itself
    rolled back: done twice it goes further back. While a canary stands it is stopped, and the
    champion stays. Going to what is live already changes nothing.

    Args:
        store: Where releases and models are kept.
        endpoint: Name of the endpoint.
        to: Number of the release to return to.
        reason: Why, in a few words.
        who: Person or pipeline.
        evidence: JSON values that speak for it: the alarm.
        run_id: Run that rolls back: a run does it once, however often its task is tried.
        expected: Number that must be live; otherwise it is a conflict.
        now: Time of the release, UTC.

    Raises:
        NotFoundError: There is no such release, or none to return to.
        InputError: The earlier model fails its self-test.
        InfrastructureError: The store no longer holds the earlier model as it was.
        ConflictError: Somebody else has released meanwhile.
    """
    releases = log.history(store, endpoint)
    if not releases:
        raise log.unknown(store, endpoint)
    before = releases[-1]
    if run_id and before.state == ROLLED_BACK and before.evidence.get("run_id") == run_id:
        return before
    check_expected(before, expected)
    target = log.find(store, endpoint, to or before.champion or log.previous(releases))
    if target.state == CANARY:
        got = f"release {target.number}, which was a canary"
        raise InputError(f"endpoint {endpoint!r}: got {got}, want one that was live")
    if before.state != CANARY and target.origin == before.origin:
        return before
    check_model(store, target)
    release = replace(
        target,
        number=_next(before),
        state=ROLLED_BACK,
        created_at=timestamp(now),
        who=who,
        reason=reason,
        evidence={**(evidence or {}), **({"run_id": run_id} if run_id else {})},
        canary_traffic_percent=100,
        rolled_back_to=target.origin,
    )
    return log.create(store, release, before)


def check_model(store: Store, release: Release) -> None:
    """Fetch the model of a release, verified, and let it pass its self-test.

    Raises:
        InputError: It fails its self-test.
        InfrastructureError: The store no longer holds it as it was.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _test(fetch_model(store, release, Path(scratch, "model")))


def require_blessed(verdict: Mapping[str, Any]) -> None:
    """Check the gate's verdict.

    Raises:
        InputError: It is not blessed; the reasons are named.
    """
    if verdict.get("blessed") is not True:
        reasons = "; ".join(map(str, verdict.get("reasons") or ["no reason was given"]))
        raise InputError(f"verdict: got a refusal ({reasons}), want blessed")


def _next(before: Release | None) -> int:
    return before.number + 1 if before else 1


def _is_same(before: Release, digest: Digest, run_id: str) -> bool:
    return (before.model_sha256, before.run_id) == (digest.sha256, run_id)


def check_expected(before: Release | None, expected: int | None) -> None:
    """Check that the latest release is the one that was seen.

    Raises:
        ConflictError: There is a later one.
        InputError: There is none of that number yet.
    """
    if expected is None or expected == (before.number if before else 0):
        return
    if before and before.number > expected:
        raise log.overtaken(before)
    got = f"release {before.number}" if before else "no release"
    raise InputError(f"expected release: got {expected}, want the live one, which is {got}")


def _test(path: Path) -> dict[str, Any]:
    from dalsegno.model import ScoringModel

    model = ScoringModel.load(path)
    model.self_test()
    return model.training
