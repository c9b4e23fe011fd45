"""What callers may ask of a server, all together and each at once."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from dalsegno.serving.faults import Refusal

_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class Limits:
    """What callers may ask of the server.

    Attributes:
        body_bytes: Largest body of a request.
        rows: Largest batch.
        in_flight: Requests at once, HTTP and gRPC together; one more is told to come again.
        arrival_seconds: Time for the arrival of a request, from its first byte to its last.
        answer_seconds: Time for the answer of a large batch.
        drain_seconds: Time for what is under way when the server is told to stop.
        leave_seconds: How long it takes requests after it has said that it is not ready any more,
            so that load balancers see it first.
    """

    body_bytes: int = 4 * 1024 * 1024
    rows: int = 10_000
    in_flight: int = 256
    arrival_seconds: float = 30.0
    answer_seconds: float = 30.0
    drain_seconds: float = 30.0
    leave_seconds: float = 0.0


class Gate:
    """Counts the requests that are under way, and lets no more in than allowed.

    Attributes:
        in_flight: How many there are; only the event loop's thread changes it.
        is_draining: Whether the server is about to stop.
    """

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.in_flight
        self.in_flight = 0
        self.is_draining = False

    def enter(self) -> None:
        """Count a request; every one that is let in must `leave`.

        Raises:
            Refusal: There are too many already.
        """
        if self.in_flight >= self._limit:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"server: got {self._limit + 1} requests at once, want at most {self._limit}",
                {"retry-after": str(_RETRY_AFTER_SECONDS)},
            )
        self.in_flight += 1

    def leave(self) -> None:
        """Count a request as answered."""
        self.in_flight -= 1
