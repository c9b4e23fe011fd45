"""Releases: what an endpoint serves, as immutable numbered objects; the highest is live."""

from __future__ import annotations

from dalsegno.releases.aliases import follow, repair
from dalsegno.releases.log import Listed, endpoints, find, history, listing, live, live_at
from dalsegno.releases.models import fetch_model
from dalsegno.releases.promotion import promote, require_blessed, roll_back
from dalsegno.releases.release import Release

__all__ = [
    "Listed",
    "Release",
    "endpoints",
    "fetch_model",
    "find",
    "follow",
    "history",
    "listing",
    "live",
    "live_at",
    "promote",
    "repair",
    "require_blessed",
    "roll_back",
]
