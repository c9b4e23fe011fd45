"""Follows the releases of one endpoint: the newest good one is served."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dalsegno import releases
from dalsegno.errors import DalsegnoError
from dalsegno.releases.log import newest_after
from dalsegno.releases.release import Release
from dalsegno.serving.cache import ReleaseCache
from dalsegno.store import Store

if TYPE_CHECKING:
    from dalsegno.model import ScoringModel

_logger = logging.getLogger(__name__)
_LOCAL_SECONDS, _REMOTE_SECONDS, _JITTER = 0.2, 2.0, 0.25
_PATIENCE_SECONDS = 1.0  # with the store, before the cache answers
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 60.0


@dataclass(frozen=True)
class Served:
    """A release with its model, loaded and tested."""

    release: Release
    model: ScoringModel


class Follower:
    """Polls the store in a thread; a new model is loaded beside the old one, then takes its place.

    Args:
        store: Where the releases are.
        endpoint: Name of the endpoint.
        cache: Where models are kept on this machine.

    Attributes:
        served: What answers now; read it once a request. None until something is loaded.
        trouble: Why the newest release is not what is served, None if it is.
    """

    def __init__(self, store: Store, endpoint: str, cache: ReleaseCache) -> None:
        self.endpoint = endpoint
        self.served: Served | None = None
        self.trouble: str | None = None
        self._store = store
        self._cache = cache
        self._newest: Release | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._has_looked = False
        self._swapping = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow-{endpoint}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()
        fallback = threading.Timer(_PATIENCE_SECONDS, self._fall_back)
        fallback.daemon = True
        fallback.start()

    def stop(self) -> None:
        """End following; what is served stays."""
        self._stopping.set()

    def poll(self) -> None:
        """Look once for a newer release, and serve it if it is good.

        Nothing is raised: a thread that dies would leave the server stale in silence.
        """
        try:
            newer = self._look()
        except Exception as error:
            self._report("the releases cannot be read", error)
            return self._serve_last()
        self._has_looked = True
        if newer:
            self._newest, self._retry_at = newer, 0.0
            self._retry_seconds = _FIRST_RETRY_SECONDS
        if self._newest is None or time.monotonic() >= self._retry_at:
            self._try(self._newest)

    def _look(self) -> Release | None:
        if self._newest is None:
            return releases.live(self._store, self.endpoint)
        return newest_after(self._store, self.endpoint, self._newest.number)

    def _serve(self, release: Release) -> None:
        from dalsegno.model import ScoringModel

        with self._swapping:
            if self.served and self.served.release == release:
                return
            model = ScoringModel.load(self._cache.model(release))
            model.self_test()
            self._remember(release)  # first: who has seen an answer finds the release here again
            self.served = Served(release, model)
            _logger.info("%s: serves release %d", self.endpoint, release.number)

    def _remember(self, release: Release) -> None:
        try:
            self._cache.remember(release)
        except DalsegnoError as error:
            _logger.warning("%s: a restart will need the store: %s", self.endpoint, error)

    def _try(self, release: Release | None) -> None:
        try:
            if release:
                self._serve(release)
            self.trouble = None
        except Exception as error:
            self._retry_at = time.monotonic() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
            self._report(f"release {release.number if release else 0} is not served", error)
            self._serve_last()

    def _report(self, what: str, error: Exception) -> None:
        trouble = f"{what}: {error}"
        if trouble != self.trouble:
            known = isinstance(error, DalsegnoError)
            _logger.error("%s: %s", self.endpoint, trouble, exc_info=None if known else error)
        self.trouble = trouble

    def _fall_back(self) -> None:
        """Serve from the cache when the store lets us wait."""
        if not self._has_looked:
            self._serve_last()

    def _serve_last(self) -> None:
        """Serve what this machine served last, if nothing is served now."""
        with self._swapping:
            try:
                last = None if self.served else self._cache.recall(self.endpoint)
                if last:
                    self._serve(last)
            except Exception as error:
                _logger.error("%s: the cache does not help: %s", self.endpoint, error)

    def _run(self) -> None:
        delay = _REMOTE_SECONDS if "://" in self._store.uri else _LOCAL_SECONDS
        self.poll()
        while not self._stopping.wait(delay * random.uniform(1 - _JITTER, 1 + _JITTER)):  # noqa: S311
            self.poll()
