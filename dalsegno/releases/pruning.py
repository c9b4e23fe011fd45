"""Removes kept models that no release names."""

from __future__ import annotations

from dataclasses import dataclass

from dalsegno.errors import InputError
from dalsegno.releases import log, models
from dalsegno.store import Store

_LEAST_SECONDS = 3600.0


@dataclass(frozen=True)
class Pruned:
    """What a clean-up found.

    Attributes:
        removed: Keys of the models that went, or would go.
        kept: Number of models that releases name.
        freed_bytes: What they took in the store; 0 when nothing was removed.
    """

    removed: list[str]
    kept: int
    freed_bytes: int


def prune_models(
    store: Store, *, older_than_seconds: float = 24 * 3600.0, dry_run: bool = False
) -> Pruned:
    """Remove models that no release of any endpoint names: promotions refused or killed left them.

    The releases are walked first. A promotion at the same moment is safe: it touches its model
    before the release is made, and looks for it afterwards.

    Args:
        store: Where releases and models are kept.
        older_than_seconds: Only what nobody touched for that long, an hour at least.
        dry_run: Only tell what would go.

    Raises:
        InputError: The time is too short.
        InfrastructureError: A release cannot be read: nothing is removed then.
    """
    if older_than_seconds < _LEAST_SECONDS:
        raise InputError(f"prune: got {older_than_seconds:g} s, want at least an hour")
    named = _named(store)
    found = models.unnamed(store, named, older_than_seconds)
    freed = 0
    if found and not dry_run:
        late = _named(store)  # what was released while we looked
        found = [key for key in found if key.rpartition("/")[2] not in late]
        freed = sum(models.discard(store, key) for key in found)
    return Pruned(found, len(named), freed)


def _named(store: Store) -> set[str]:
    return {
        release.model_sha256
        for endpoint in log.endpoints(store)
        for release in log.history(store, endpoint)
    }
