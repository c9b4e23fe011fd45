"""What Prometheus reads of a server."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from dalsegno.serving.endpoint import Endpoint

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
_ROWS = (1, 2, 5, 10, 50, 100, 500, 1000, 5000, 10000)


class Metrics(Collector):
    """Counts requests, and reads the rest from where it is when it is asked.

    Only the event loop's thread counts.

    Args:
        endpoints: By name what is served.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Endpoints(endpoints))
        self._totals: list[tuple[str, str, Callable[[], float]]] = []
        self._requests: dict[tuple[str, int, str, int], int] = {}
        self._seconds: dict[tuple[str, str], _Tally] = {}
        self._rows: dict[str, _Tally] = {}
        self.registry.register(self)

    def answered(
        self, endpoint: str, release: int, protocol: str, seconds: float, rows: int
    ) -> None:
        """Count an answer."""
        self.count(endpoint, release, protocol, 200)
        timed = self._seconds.get((endpoint, protocol))
        if timed is None:
            timed = self._seconds[endpoint, protocol] = _Tally(_SECONDS)
            self._rows.setdefault(endpoint, _Tally(_ROWS))
        timed.add(seconds)
        self._rows[endpoint].add(rows)

    def count(self, endpoint: str, release: int, protocol: str, status: int) -> None:
        """Count a request; release 0 and endpoint "" stand for none."""
        key = endpoint, release, protocol, status
        self._requests[key] = self._requests.get(key, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Give what was counted, as Prometheus' library asks for it."""
        requests = CounterMetricFamily(
            "dalsegno_requests",
            "Requests for predictions.",
            labels=("endpoint", "release", "protocol", "status"),
        )
        for (endpoint, release, protocol, status), count in self._requests.items():
            requests.add_metric((endpoint, str(release or ""), protocol, str(status)), count)
        seconds = HistogramMetricFamily(
            "dalsegno_request_seconds",
            "From a whole request to its answer.",
            labels=("endpoint", "protocol"),
        )
        for labels, tally in self._seconds.items():
            seconds.add_metric(labels, tally.buckets(), tally.total)
        rows = HistogramMetricFamily(
            "dalsegno_batch_rows", "Rows of an answered request.", labels=("endpoint",)
        )
        for endpoint, tally in self._rows.items():
            rows.add_metric((endpoint,), tally.buckets(), tally.total)
        yield from (requests, seconds, rows)
        for name, description, read in self._totals:
            yield CounterMetricFamily(name, description, value=read())

    def total(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a counter that is read when it is asked for; Prometheus names it `…_total`."""
        self._totals.append((name, description, read))

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Write all of it in Prometheus' form."""
        return generate_latest(self.registry)


class _Tally:
    """A histogram of one thread: the library's own takes a lock for every bucket."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


class _Endpoints(Collector):
    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            "dalsegno_endpoint_ready", "1 if a model answers.", labels=("endpoint",)
        )
        trouble = GaugeMetricFamily(
            "dalsegno_endpoint_trouble",
            "1 if the newest release is not what is served.",
            labels=("endpoint",),
        )
        release = GaugeMetricFamily(
            "dalsegno_release", "Number of the release by role.", labels=("endpoint", "role")
        )
        swaps = CounterMetricFamily(
            "dalsegno_swaps", "Line-ups that were tried.", labels=("endpoint", "outcome")
        )
        for name, endpoint in self._endpoints.items():
            live = endpoint.live
            ready.add_metric((name,), float(live is not None))
            trouble.add_metric((name,), float(endpoint.trouble is not None))
            for served in live.all() if live else ():
                release.add_metric((name, served.role), served.release.number)
            swaps.add_metric((name, "done"), endpoint.swaps_done)
            swaps.add_metric((name, "refused"), endpoint.swaps_refused)
        yield from (ready, trouble, release, swaps)
