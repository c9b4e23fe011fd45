"""One endpoint as its callers see it: which model answers, and who is told of the answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from dalsegno.errors import NotFoundError
from dalsegno.releases.canary import is_in_canary

if TYPE_CHECKING:
    from dalsegno.model import ScoringModel
    from dalsegno.releases.release import Release

Array = npt.NDArray[Any]
CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"


@dataclass(frozen=True)
class Lineup:
    """The releases that an endpoint is to serve.

    Attributes:
        number: Of the newest release, by which it was decided.
        champion: Answers whatever the canary does not.
        canary: Answers its share of the callers.
        canary_percent: That share (0-100).
        shadow: Is asked too, but only its log is kept.
    """

    number: int
    champion: Release
    canary: Release | None = None
    canary_percent: int = 0
    shadow: Release | None = None


@dataclass(frozen=True)
class Served:
    """A release with its model, loaded, warm and tested; its role in the line-up."""

    release: Release
    model: ScoringModel
    role: str = CHAMPION


@dataclass(frozen=True)
class Live:
    """What is loaded of a line-up; it is replaced as a whole, so that a request sees one state."""

    number: int
    champion: Served
    canary: Served | None = None
    canary_percent: int = 0
    shadow: Served | None = None

    def answering(self) -> list[Served]:
        """Return what may answer a caller, the champion first."""
        return [self.champion, self.canary] if self.canary else [self.champion]

    def all(self) -> list[Served]:
        """Return all that is loaded, the champion first."""
        return [*self.answering(), *([self.shadow] if self.shadow else [])]

    def version(self, number: str) -> Served:
        """Return what may answer as a version.

        Raises:
            NotFoundError: No release of this number may answer now; those that may are named.
        """
        serving = {str(each.release.number): each for each in self.answering()}
        if number not in serving:
            subject = f"model {self.champion.release.endpoint!r}"
            want = f"one of: {', '.join(serving)}"
            raise NotFoundError(f"{subject}: got version {number[:20]!r}, want {want}")
        return serving[number]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer: a batch of rows by one release.

    Attributes:
        id: Of this answer alone.
        request_id: That the caller gave, "" if none.
        served: What answered.
        inputs: By name an array of shape (rows, 1), as the model takes them.
        probabilities: Of class 1 (0-1), float32 of shape (rows,).
        at: When it was made, seconds since 1970.
        seconds: From the whole request to the answer.
        caller: Name of who asked, "" where no token is needed.
        key: What keeps a caller or an entity on one side of a canary, "" if nothing was given.
    """

    id: str
    request_id: str
    served: Served
    inputs: dict[str, Array]
    probabilities: Array
    at: float
    seconds: float
    caller: str
    key: str


class Endpoint:
    """Holds what is live; followers replace it, requests read it.

    Args:
        name: Name of the endpoint.
        on_prediction: Is told of every answer before it is sent, in the event loop: it must not
            block or raise.
        on_failure: Is told in the same way where a model gave no answer to a sound request.

    Attributes:
        live: What answers now; read it once a request. None until something is loaded.
        trouble: Why the newest release is not what is served, None if it is.
        swaps_done: How often another line-up took over.
        swaps_refused: How often one failed to load or to pass its test.
    """

    def __init__(
        self,
        name: str,
        on_prediction: Callable[[Prediction, Live], None] | None = None,
        on_failure: Callable[[Prediction, Exception], None] | None = None,
    ) -> None:
        self.name = name
        self.live: Live | None = None
        self.trouble: str | None = None
        self.swaps_done = 0
        self.swaps_refused = 0
        self.on_prediction = on_prediction
        self.on_failure = on_failure

    @staticmethod
    def choose(live: Live, key: str) -> Served:
        """Return the one model that answers a caller or an entity.

        Args:
            live: What is live, as it was read at the beginning of the request.
            key: What keeps a caller on one side, "" if nothing was given: the share is then one
                of the requests.
        """
        if live.canary is None:
            return live.champion
        drawn = key or f"{random.getrandbits(64):x}"
        return live.canary if is_in_canary(live.canary.release, drawn) else live.champion
