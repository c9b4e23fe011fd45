"""What Prometheus reads of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dalsegno.serving.endpoint import Endpoint

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
_ROWS = (1, 2, 5, 10, 50, 100, 500, 1000, 5000, 10000)


class Metrics:
    """Counts requests, and reads the rest from where it is when it is asked.

    Args:
        endpoints: By name what is served.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Endpoints(endpoints))
        self._requests = Counter(
            "dalsegno_requests",
            "Requests for predictions.",
            ("endpoint", "release", "protocol", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "dalsegno_request_seconds",
            "From a whole request to its answer.",
            ("endpoint", "protocol"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rows = Histogram(
            "dalsegno_batch_rows",
            "Rows of an answered request.",
            ("endpoint",),
            buckets=_ROWS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, int, str, int], Counter] = {}
        self._timed: dict[tuple[str, str], tuple[Histogram, Histogram]] = {}

    def answered(
        self, endpoint: str, release: int, protocol: str, seconds: float, rows: int
    ) -> None:
        """Count an answer."""
        self.count(endpoint, release, protocol, 200)
        found = self._timed.get((endpoint, protocol))
        if found is None:
            found = self._seconds.labels(endpoint, protocol), self._rows.labels(endpoint)
            self._timed[endpoint, protocol] = found
        found[0].observe(seconds)
        found[1].observe(rows)

    def count(self, endpoint: str, release: int, protocol: str, status: int) -> None:
        """Count a request; release 0 and endpoint "" stand for none."""
        key = endpoint, release, protocol, status
        counter = self._known.get(key)
        if counter is None:
            counter = self._requests.labels(endpoint, str(release or ""), protocol, str(status))
            self._known[key] = counter
        counter.inc()

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is asked for."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Write all of it in Prometheus' form."""
        return generate_latest(self.registry)


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
