"""The log of an endpoint's releases: `releases/<endpoint>/<number>.json`, the highest counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dalsegno.errors import ConflictError, NotFoundError
from dalsegno.releases.release import CANARY, ROLLED_BACK, Release, check_move, read
from dalsegno.store import Store
from dalsegno.store.keys import check_name
from dalsegno.store.numbered import Numbered
from dalsegno.store.race import check_once

_PREFIX = "releases"


@dataclass(frozen=True)
class Listed:
    """A release with what has become of it.

    Attributes:
        release: The release.
        status: `live`, `canary`, `shadow`, `superseded`, `rolled back`; `promoted` of a canary that
            went on to be live as a release of its own.
    """

    release: Release
    status: str


@dataclass(frozen=True)
class Standing:
    """What an endpoint serves at one moment.

    Attributes:
        champion: What is live.
        canary: What answers a share of the traffic, or is asked in its shadow; None without one.
    """

    champion: Release
    canary: Release | None = None

    @property
    def latest(self) -> Release:
        """The release that was made last: it says what stands."""
        return self.canary or self.champion


def numbered(store: Store, endpoint: str) -> Numbered:
    """Return the log of an endpoint.

    Raises:
        InputError: The name is not allowed.
    """
    return Numbered(store, f"{_PREFIX}/{check_name(endpoint, 'endpoint')}")


def endpoints(store: Store) -> list[str]:
    """Return the names of all endpoints that have a release, sorted."""
    return list(store.folders(_PREFIX))


def history(store: Store, endpoint: str) -> list[Release]:
    """Return every release of an endpoint, oldest first; an empty list if there is none."""
    log = numbered(store, endpoint)
    return [read(endpoint, number, log.get(number)) for number in log.numbers()]


def listing(store: Store, endpoint: str) -> list[Listed]:
    """Return every release with what has become of it, newest first.

    Raises:
        NotFoundError: The endpoint has no release; the known ones are named.
    """
    releases = history(store, endpoint)
    if not releases:
        raise unknown(store, endpoint)
    return [
        Listed(release, _status(release, releases[place + 1 :]))
        for place, release in enumerate(releases)
    ][::-1]


def standing(store: Store, endpoint: str) -> Standing | None:
    """Return what an endpoint serves now, None without a release."""
    latest = numbered(store, endpoint).latest()
    return _standing(store, read(endpoint, *latest)) if latest else None


def standing_after(store: Store, endpoint: str, number: int) -> Standing | None:
    """Return what an endpoint serves if it was changed since a number, else None."""
    newest = newest_after(store, endpoint, number)
    return _standing(store, newest) if newest else None


def live(store: Store, endpoint: str) -> Release | None:
    """Return the champion that is live now, None of an endpoint without one."""
    now = standing(store, endpoint)
    return now.champion if now else None


def newest_after(store: Store, endpoint: str, number: int) -> Release | None:
    """Return the latest release if it is later than a number, else None.

    Numbers have no gaps, so this asks for the next one only, whatever the log's length.
    """
    log = numbered(store, endpoint)
    found: Release | None = None
    while True:
        try:
            found = read(endpoint, number + 1, log.get(number + 1))
        except NotFoundError:
            return found
        number += 1


def find(store: Store, endpoint: str, number: int) -> Release:
    """Return one release.

    Raises:
        NotFoundError: There is no such release; the known ones are named.
    """
    try:
        return read(endpoint, number, numbered(store, endpoint).get(number))
    except NotFoundError as error:
        numbers = numbered(store, endpoint).numbers()
        if not numbers:
            raise unknown(store, endpoint) from error
        known = ", ".join(map(str, numbers))
        raise NotFoundError(
            f"endpoint {endpoint!r}: got release {number}, want one of: {known}",
            f"dalsegno releases {endpoint}",
        ) from error


def live_at(store: Store, endpoint: str, at: datetime) -> Release | None:
    """Return the champion that was live at a time, None before the first; see `standing_at`."""
    then = standing_at(store, endpoint, at)
    return then.champion if then else None


def standing_at(store: Store, endpoint: str, at: datetime) -> Standing | None:
    """Return what was served at a time, None before the first release.

    Args:
        store: Where the releases are.
        endpoint: Name of the endpoint.
        at: The time; without a zone it is UTC.
    """
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    made = [r for r in history(store, endpoint) if datetime.fromisoformat(r.created_at) <= moment]
    return _standing(store, made[-1]) if made else None


def create(store: Store, release: Release, before: Release | None) -> Release:
    """Add a release after the one that was live when its making began.

    Raises:
        ConflictError: Somebody else has released meanwhile.
        ConfigurationError: The store lets several creators of one object win.
    """
    check_move(before, release.state)
    check_once(store)
    try:
        numbered(store, release.endpoint).create(release.number, release.as_json())
    except ConflictError as error:
        first = find(store, release.endpoint, release.number)
        raise overtaken(first) from error
    return release


def overtaken(first: Release) -> ConflictError:
    """Return the error for a release that came before ours."""
    look = f"dalsegno releases {first.endpoint}"
    return ConflictError(
        f"release {first.number} of {first.endpoint!r}: created by {first.who} meanwhile; "
        f"look: {look}",
        look,
    )


def unknown(store: Store, endpoint: str) -> NotFoundError:
    """Return the error for an endpoint that has no release."""
    known = ", ".join(endpoints(store))
    if known:
        return NotFoundError(f"endpoint: got {endpoint!r}, want one of: {known}")
    return NotFoundError(
        f"endpoint {endpoint!r}: got no release yet, want one", "dalsegno run training"
    )


def in_force(releases: Sequence[Release]) -> list[int]:
    """Return the promoted releases that were not rolled back, oldest first; the last is live.

    A roll back takes off what came after its target, so that rolling back again goes further back
    and a release that was left is never returned to by default.
    """
    standing: list[int] = []
    for release in releases:
        if release.state == CANARY:
            continue
        if release.state == ROLLED_BACK and release.origin in standing:
            del standing[standing.index(release.origin) :]
        standing.append(release.origin)
    return standing


def previous(releases: Sequence[Release]) -> int:
    """Return the number of what was live before what is live now.

    Args:
        releases: Of an endpoint, oldest first; at least one.

    Raises:
        NotFoundError: Nothing was that has not been rolled back.
    """
    standing = in_force(releases)
    if len(standing) > 1:
        return standing[-2]
    endpoint, number = releases[-1].endpoint, releases[-1].number
    raise NotFoundError(
        f"endpoint {endpoint!r}: got release {number} with none before it, want one to return to",
        f"dalsegno releases {endpoint}",
    )


def _standing(store: Store, latest: Release) -> Standing:
    if latest.champion is None:
        return Standing(latest)
    return Standing(find(store, latest.endpoint, latest.champion), latest)


def _status(release: Release, following: Sequence[Release]) -> str:
    if release.state == CANARY:
        return _status_of_canary(release, following)
    after = next((later for later in following if later.state != CANARY), None)
    if after is None:
        return "live"
    left = after.state == ROLLED_BACK and after.origin != release.origin
    return "rolled back" if left else "superseded"


def _status_of_canary(release: Release, following: Sequence[Release]) -> str:
    if not following:
        return "shadow" if release.shadow else "canary"
    after = following[0]
    if after.state == ROLLED_BACK:
        return "rolled back"
    is_same = after.state != CANARY and after.model_sha256 == release.model_sha256
    return "promoted" if is_same else "superseded"
