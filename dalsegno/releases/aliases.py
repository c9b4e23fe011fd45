"""Lets the registry's `champion` follow the releases, which are the truth."""

from __future__ import annotations

import logging

from dalsegno import registry
from dalsegno.errors import DalsegnoError
from dalsegno.releases import log
from dalsegno.releases.release import Release
from dalsegno.store import Store

_logger = logging.getLogger(__name__)


def follow(release: Release, *, tracking_uri: str | None = None) -> bool:
    """Point `champion` to the model version of the live release.

    The release stands whatever happens here: a failure is logged with the command that repairs it.

    Returns:
        Whether the alias is right now.
    """
    if not release.model_version:
        return True  # the model was never registered
    try:
        registry.set_champion(release.endpoint, release.model_version, tracking_uri=tracking_uri)
    except DalsegnoError as error:
        _logger.warning(
            "release %d of %r stands, but its alias in the registry does not: %s. "
            "Repair it: dalsegno releases %s --repair",
            release.number,
            release.endpoint,
            error,
            release.endpoint,
        )
        return False
    return True


def repair(store: Store, endpoint: str, *, tracking_uri: str | None = None) -> bool:
    """Point `champion` to what is live now; see `follow`.

    Raises:
        NotFoundError: The endpoint has no release.
    """
    release = log.live(store, endpoint)
    if release is None:
        raise log.unknown(store, endpoint)
    return follow(release, tracking_uri=tracking_uri)
