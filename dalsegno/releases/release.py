"""One release: everything that moves together when an endpoint changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dalsegno.errors import ConflictError, InfrastructureError

NONE, CANARY, PROMOTED, ROLLED_BACK = "none", "canary", "promoted", "rolled_back"

MOVES: Mapping[str, frozenset[str]] = {
    NONE: frozenset({PROMOTED}),
    CANARY: frozenset({CANARY, PROMOTED, ROLLED_BACK}),
    PROMOTED: frozenset({CANARY, PROMOTED, ROLLED_BACK}),
    ROLLED_BACK: frozenset({CANARY, PROMOTED, ROLLED_BACK}),
}
"""By the state of the latest release, the states that the next one may have.

A canary stands beside the release that it may replace. That one stays live until the canary is
promoted; to roll back from a canary is to stop it.
"""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Release:
    """What an endpoint serves from one moment on: model, features, threshold and baseline.

    Attributes:
        endpoint: Name of the endpoint.
        number: From 1; the highest says what is live.
        state: `canary`; `promoted`; or `rolled_back`: made by leaving the release before it.
        model_sha256: Digest of the model folder, as `digest_of` counts it.
        model_key: Where the store keeps the model, by content.
        model_version: Version in the model registry, "" if it is not registered.
        features_digest: Digest of the feature SQL and settings the model was trained on.
        threshold: Decision threshold (0-1): class 1 from there on.
        baseline_sha256: Digest of the sketches that monitoring compares with.
        golden: Reference of the golden data set that gated it, "" if none did.
        dataset: Reference of the data set it was trained on.
        run_id: Run that trained it, "" if none did.
        created_at: ISO 8601, UTC.
        who: Person or pipeline that made the release.
        reason: Why it was made.
        evidence: Verdict of the gate, or the alarm.
        canary_traffic_percent: Share of the traffic that it answers (0-100).
        rolled_back_to: Number of the promoted release whose model is live again.
        champion: Of a canary, the number of the release that answers the rest; else None.
        shadow: Whether it answers nobody: its answers to the champion's requests are logged.
        canary_key: Input column by whose value the traffic is split where a request names no
            entity in its header; "" for none.
    """

    endpoint: str
    number: int
    state: str
    model_sha256: str
    model_key: str
    model_version: str
    features_digest: str
    threshold: float
    baseline_sha256: str
    golden: str
    dataset: str
    run_id: str
    created_at: str
    who: str
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    canary_traffic_percent: int = 100
    rolled_back_to: int | None = None
    champion: int | None = None
    shadow: bool = False
    canary_key: str = ""

    @property
    def origin(self) -> int:
        """Number of the promoted release that this one serves: its own, or the one returned to."""
        return self.rolled_back_to or self.number

    def as_json(self) -> dict[str, Any]:
        """Return the document that the store keeps."""
        return asdict(self)


def read(endpoint: str, number: int, document: Mapping[str, Any]) -> Release:
    """Read a release out of its document; names that a later version added are passed over.

    Raises:
        InfrastructureError: It is no release, or that of another endpoint or number.
    """
    known = {item.name for item in fields(Release)}
    subject = f"releases/{endpoint}/{number}.json"
    try:
        release = Release(**{name: value for name, value in document.items() if name in known})
    except TypeError as error:
        raise InfrastructureError(f"{subject}: got {error}, want a whole release") from error
    if (release.endpoint, release.number) != (endpoint, number):
        got = f"release {release.number} of {release.endpoint!r}"
        raise InfrastructureError(f"{subject}: got {got}, want the one of its name")
    if not isinstance(release.model_sha256, str) or not _SHA256.fullmatch(release.model_sha256):
        raise InfrastructureError(f"{subject}: got no model digest, want SHA-256 in hexadecimal")
    if release.state not in MOVES or (release.state == CANARY) != (release.champion is not None):
        got = f"state {release.state!r} with champion {release.champion}"
        raise InfrastructureError(f"{subject}: got {got}, want a known state")
    return release


def check_move(before: Release | None, state: str) -> None:
    """Check that the next release may have this state.

    Raises:
        ConflictError: It may not.
    """
    now = before.state if before else NONE
    if state not in MOVES[now]:
        want = ", ".join(sorted(MOVES[now]))
        raise ConflictError(f"release: got the move {now} to {state}, want one to: {want}")
