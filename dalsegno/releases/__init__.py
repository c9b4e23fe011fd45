"""Releases: what an endpoint serves, as immutable numbered objects; the highest is live."""

from __future__ import annotations

from dalsegno.releases.aliases import follow, repair, repair_if_behind
from dalsegno.releases.canary import is_in_canary, promote_canary, start_canary
from dalsegno.releases.log import (
    Listed,
    Standing,
    endpoints,
    find,
    history,
    listing,
    live,
    live_at,
    standing,
    standing_after,
    standing_at,
)
from dalsegno.releases.models import fetch_model
from dalsegno.releases.promotion import promote, require_blessed, roll_back
from dalsegno.releases.pruning import Pruned, prune_models
from dalsegno.releases.release import Release

__all__ = [
    "Listed",
    "Pruned",
    "Release",
    "Standing",
    "endpoints",
    "fetch_model",
    "find",
    "follow",
    "history",
    "is_in_canary",
    "listing",
    "live",
    "live_at",
    "promote",
    "promote_canary",
    "prune_models",
    "repair",
    "repair_if_behind",
    "require_blessed",
    "roll_back",
    "standing",
    "standing_after",
    "standing_at",
    "start_canary",
]
