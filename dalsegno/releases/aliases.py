"""Lets the registry's `champion` and `challenger` follow the releases, which are the truth."""

from __future__ import annotations

import logging

from dalsegno import registry
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.releases import log
from dalsegno.releases.release import CANARY, Release
from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_BEHIND = "aliases"


def follow(
    release: Release, *, store: Store | None = None, tracking_uri: str | None = None
) -> bool:
    """Point `champion` to the model version of a live release, `challenger` to that of a canary.

    The release stands whatever happens here: a failure is logged with the command that repairs it.

    Args:
        release: What was made.
        store: Where a failure is noted, so that the next command repairs it.
        tracking_uri: MLflow's tracking URI; that of the settings if not given.

    Returns:
        Whether the alias is right now.
    """
    if not release.model_version:
        return True  # the model was never registered
    point = registry.set_challenger if release.state == CANARY else registry.set_champion
    try:
        point(release.endpoint, release.model_version, tracking_uri=tracking_uri)
    except DalsegnoError as error:
        _logger.warning(
            "release %d of %r stands, but its alias in the registry does not: %s. "
            "Repair it: dalsegno releases %s --repair",
            release.number,
            release.endpoint,
            error,
            release.endpoint,
        )
        if store:
            store.put(_key(release.endpoint), b"behind")
        return False
    return True


def repair(store: Store, endpoint: str, *, tracking_uri: str | None = None) -> bool:
    """Point the aliases to what stands now; see `follow`.

    Raises:
        NotFoundError: The endpoint has no release.
    """
    standing = log.standing(store, endpoint)
    if standing is None:
        raise log.unknown(store, endpoint)
    stands = [standing.champion, *([standing.canary] if standing.canary else [])]
    is_right = all([follow(item, store=store, tracking_uri=tracking_uri) for item in stands])
    if is_right:
        store.delete(_key(endpoint))
    return is_right


def repair_if_behind(store: Store, endpoint: str) -> bool:
    """Repair the aliases if the last command that had to could not; returns whether they follow."""
    try:
        store.stat(_key(endpoint))
    except NotFoundError:
        return True
    return repair(store, endpoint)


def _key(endpoint: str) -> str:
    return f"{_BEHIND}/{endpoint}"
