"""A canary: a challenger that answers a share of the traffic, or none of it, in the shadow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dalsegno.errors import ConflictError, InputError
from dalsegno.releases import log
from dalsegno.releases.models import check_folder, keep_still
from dalsegno.releases.promotion import check_expected, check_model, describe_model
from dalsegno.releases.release import CANARY, PROMOTED, Release
from dalsegno.runs.record import timestamp
from dalsegno.store import Store

_HUNDRED = 100
_PLACES = 2**64


def start_canary(
    store: Store,
    endpoint: str,
    model_path: Path | None,
    percent: int,
    *,
    reason: str,
    who: str,
    shadow: bool = False,
    key: str = "",
    evidence: Mapping[str, Any] | None = None,
    golden: str = "",
    version: str = "",
    run_id: str = "",
    expected: int | None = None,
    now: datetime | None = None,
) -> Release:
    """Let a challenger answer a share of the traffic beside the champion.

    Asking for what stands already changes nothing.

    Args:
        store: Where releases and models are kept.
        endpoint: Name of the endpoint; it has a live release.
        model_path: Model folder; None for the canary that stands, with another share.
        percent: Share of the traffic (0-100).
        reason: Why, in a few words.
        who: Person or pipeline.
        shadow: Log its answers to the champion's requests and show them to nobody.
        key: Input column to split by where a request names no entity.
        evidence: JSON values that speak for it.
        golden: Reference of the golden data set that the evidence rests on.
        version: Version in the model registry.
        run_id: Run that trained the model.
        expected: Number that must be the latest.
        now: Time of the release, UTC.

    Raises:
        InputError: The share is none, the model is not whole or fails its self-test.
        ConflictError: Nothing is live, no canary stands, or somebody else has released meanwhile.
    """
    _check_percent(percent, shadow=shadow)
    standing = log.standing(store, endpoint)
    if standing is None:
        raise ConflictError(
            f"endpoint {endpoint!r}: got no release yet, want a champion beside the canary",
            f"dalsegno promote {endpoint} MODEL",
        )
    check_expected(standing.latest, expected)
    details: dict[str, Any] = {
        "number": standing.latest.number + 1,
        "state": CANARY,
        "created_at": timestamp(now),
        "who": who,
        "reason": reason,
        "evidence": dict(evidence or {}),
        "canary_traffic_percent": percent,
        "champion": standing.champion.number,
        "shadow": shadow,
        "canary_key": key,
    }
    if model_path is None:
        made = replace(_standing_canary(standing, endpoint), **details)
    else:
        check_folder(model_path)
        made = describe_model(
            store,
            model_path,
            endpoint=endpoint,
            golden=golden,
            model_version=version,
            run_id=run_id,
            **details,
        )
    if standing.canary and _is_same(standing.canary, made):
        return standing.canary
    log.create(store, made, standing.latest)
    if model_path:
        keep_still(store, model_path, made)
    return made


def promote_canary(
    store: Store,
    endpoint: str,
    *,
    reason: str,
    who: str,
    evidence: Mapping[str, Any] | None = None,
    expected: int | None = None,
    now: datetime | None = None,
) -> Release:
    """Make the canary that stands the champion; its model is fetched and tested first.

    Args:
        store: Where releases and models are kept.
        endpoint: Name of the endpoint.
        reason: Why, in a few words.
        who: Person or pipeline.
        evidence: JSON values that speak for it: what was measured.
        expected: Number that the canary must have.
        now: Time of the release, UTC.

    Raises:
        ConflictError: No canary stands, or somebody else has released meanwhile.
        InputError: The model fails its self-test.
        InfrastructureError: The store no longer holds the model as it was.
    """
    standing = log.standing(store, endpoint)
    if standing is None:
        raise log.unknown(store, endpoint)
    check_expected(standing.latest, expected)
    canary = _standing_canary(standing, endpoint)
    check_model(store, canary)
    release = replace(
        canary,
        number=canary.number + 1,
        state=PROMOTED,
        created_at=timestamp(now),
        who=who,
        reason=reason,
        evidence={"canary": canary.number, **(evidence or {})},
        canary_traffic_percent=_HUNDRED,
        champion=None,
        shadow=False,
        canary_key="",
    )
    return log.create(store, release, canary)


def is_in_canary(canary: Release, key: str) -> bool:
    """Tell whether a caller or entity is answered by the canary.

    A key keeps its side for as long as the model is tried; a larger share only adds keys. Another
    model draws other keys.
    """
    if canary.shadow:
        return False
    digest = blake2b(f"{canary.model_sha256}:{key}".encode("utf-8", "replace"), digest_size=8)
    place = int.from_bytes(digest.digest()) / _PLACES
    return place * _HUNDRED < canary.canary_traffic_percent


def _standing_canary(standing: log.Standing, endpoint: str) -> Release:
    if standing.canary is None:
        got = f"release {standing.champion.number} live and no canary"
        raise ConflictError(
            f"endpoint {endpoint!r}: got {got}, want one beside it",
            f"dalsegno promote {endpoint} MODEL --canary 10",
        )
    return standing.canary


def _is_same(standing: Release, wanted: Release) -> bool:
    names = ("model_sha256", "run_id", "canary_traffic_percent", "shadow", "canary_key")
    return all(getattr(standing, name) == getattr(wanted, name) for name in names)


def _check_percent(percent: int, *, shadow: bool) -> None:
    if not 0 <= percent <= _HUNDRED:
        raise InputError(f"canary: got {percent} %, want 0 to 100")
    if shadow and percent:
        raise InputError(f"canary: got {percent} % in the shadow, want 0: it answers nobody")
