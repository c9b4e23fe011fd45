"""Follows the releases of one endpoint: the newest good line-up is served."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from dataclasses import replace

from dalsegno import releases
from dalsegno.errors import DalsegnoError, InfrastructureError
from dalsegno.releases.log import newest_after
from dalsegno.releases.release import Release
from dalsegno.serving.cache import ReleaseCache
from dalsegno.serving.endpoint import CANARY, CHAMPION, SHADOW, Endpoint, Lineup, Live, Served
from dalsegno.store import Store

_logger = logging.getLogger(__name__)
_LOCAL_SECONDS, _REMOTE_SECONDS, _JITTER = 0.2, 2.0, 0.25
_PATIENCE_SECONDS = 1.0  # with the store, before the cache answers
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 60.0


class Follower:
    """Polls the store in a thread; a new model is loaded beside the old one, then takes its place.

    Args:
        store: Where the releases are.
        endpoint: What is kept up to date.
        cache: Where models are kept on this machine.
    """

    def __init__(self, store: Store, endpoint: Endpoint, cache: ReleaseCache) -> None:
        self.endpoint = endpoint
        self._name = endpoint.name
        self._store = store
        self._cache = cache
        self._newest: Release | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._has_looked = False
        self._swapping = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"follow-{endpoint.name}", daemon=True
        )

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
            standing = releases.standing(self._store, self._name)
            if standing is None:
                self._check_new()
            return standing.latest if standing else None
        return newest_after(self._store, self._name, self._newest.number)

    def _check_new(self) -> None:
        """Tell a store that has lost its releases, as a folder not mounted, from a new one.

        Raises:
            InfrastructureError: A release was served here before.
        """
        last = self._cache.recall(self._name)
        if last:
            raise InfrastructureError(
                f"store {self._store.uri}: got no release of {self._name!r}, "
                f"want {last.number}, which was served here, or a later one"
            )

    def _lineup(self, newest: Release) -> Lineup:
        """Tell what is to be served when a release is the newest."""
        if newest.champion is None:
            return Lineup(newest.number, newest)
        champion = releases.find(self._store, self._name, newest.champion)
        if newest.shadow:
            return Lineup(newest.number, champion, shadow=newest)
        return Lineup(newest.number, champion, newest, newest.canary_traffic_percent)

    def _serve(self, wanted: Lineup) -> None:
        with self._swapping:
            live = Live(
                wanted.number,
                self._load(wanted.champion, CHAMPION),
                self._load(wanted.canary, CANARY) if wanted.canary else None,
                wanted.canary_percent,
                self._load(wanted.shadow, SHADOW) if wanted.shadow else None,
            )
            if live == self.endpoint.live:
                return
            self._remember(wanted)  # first: who has seen an answer finds the release here again
            self.endpoint.live = live
            self.endpoint.swaps_done += 1
            _logger.info("%s: serves release %d", self._name, wanted.number)

    def _load(self, release: Release, role: str) -> Served:
        """Load a release's model and test it, or return it as it is served already."""
        from dalsegno.model import ScoringModel

        live = self.endpoint.live
        for served in live.all() if live else ():
            if served.release == release:
                return served if served.role == role else replace(served, role=role)
        model = ScoringModel.load(self._cache.model(release))
        model.self_test()
        return Served(release, model, role)

    def _remember(self, lineup: Lineup) -> None:
        try:
            self._cache.remember(self._name, lineup)
        except DalsegnoError as error:
            _logger.warning("%s: a restart will need the store: %s", self._name, error)

    def _try(self, release: Release | None) -> None:
        try:
            if release:
                self._serve(self._lineup(release))
            self.endpoint.trouble = None
        except Exception as error:
            self.endpoint.swaps_refused += 1
            self._retry_at = time.monotonic() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
            self._report(f"release {release.number if release else 0} is not served", error)
            if release:
                self._serve_champion(release)
            self._serve_last()

    def _serve_champion(self, newest: Release) -> None:
        """Serve the champion alone where the canary beside it is what cannot be loaded."""
        with contextlib.suppress(Exception):  # the champion is at fault, too: that is reported
            wanted, live = self._lineup(newest), self.endpoint.live
            stands_alone = wanted.champion == newest
            if not stands_alone and (live is None or live.champion.release != wanted.champion):
                self._serve(Lineup(wanted.champion.number, wanted.champion))

    def _report(self, what: str, error: Exception) -> None:
        trouble = f"{what}: {error}"
        if trouble != self.endpoint.trouble:
            known = isinstance(error, DalsegnoError)
            _logger.error("%s: %s", self._name, trouble, exc_info=None if known else error)
        self.endpoint.trouble = trouble

    def _fall_back(self) -> None:
        """Serve from the cache when the store lets us wait."""
        if not self._has_looked:
            self._serve_last()

    def _serve_last(self) -> None:
        """Serve what this machine served last, if nothing is served now."""
        with self._swapping:
            try:
                last = None if self.endpoint.live else self._cache.recall(self._name)
                if last:
                    self._serve(last)
            except Exception as error:
                _logger.error("%s: the cache does not help: %s", self._name, error)

    def _run(self) -> None:
        delay = _REMOTE_SECONDS if "://" in self._store.uri else _LOCAL_SECONDS
        self.poll()
        while not self._stopping.wait(delay * random.uniform(1 - _JITTER, 1 + _JITTER)):  # noqa: S311
            self.poll()
