"""What a server does with its answers: it logs them, moves the log, and asks shadows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dalsegno.serving.endpoint import CHAMPION
from dalsegno.serving.mover import MoverProcess
from dalsegno.serving.predictions import LogLimits, PredictionLog
from dalsegno.serving.shadow import Shadow
from dalsegno.serving.shipping import Shipper
from dalsegno.store import Store

if TYPE_CHECKING:
    from dalsegno.serving.endpoint import Live, Prediction
    from dalsegno.serving.metrics import Metrics
    from dalsegno.settings import Settings


@dataclass(frozen=True)
class LogOptions:
    """How predictions are logged.

    Attributes:
        redacted: Input columns that are never written.
        limits: How much may wait on this machine.
        drain_seconds: How long a server that stops waits for the store.
    """

    redacted: frozenset[str] = frozenset()
    limits: LogLimits = field(default_factory=LogLimits)
    drain_seconds: float = 10.0


def options_of(settings: Settings) -> LogOptions | None:
    """Return what the settings say; None where predictions are not logged."""
    if not settings.prediction_log:
        return None
    names = (name.strip() for name in settings.prediction_redacted.split(","))
    limits = LogLimits(
        settings.prediction_buffer_mb * 1024 * 1024, settings.prediction_seal_seconds
    )
    return LogOptions(frozenset(name for name in names if name), limits)


class Recorder:
    """Takes the answers of all endpoints of a server.

    Args:
        folder: Where the log waits for the store.
        store: Where it goes.
        options: How.
        environment: Variables with which a child process moves it; this process without.

    Raises:
        ConfigurationError: The folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        options: LogOptions,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = PredictionLog(folder, redacted=options.redacted, limits=options.limits)
        self.shadow = Shadow(self.log.append)
        mover = MoverProcess(folder, environment) if environment else None
        self._shipper = Shipper(self.log, store, mover)
        self._drain_seconds = options.drain_seconds

    def start(self) -> None:
        """Begin to move the log, and to ask shadows."""
        self._shipper.start()
        self.shadow.start()

    def stop(self) -> None:
        """Move what is left; what the store does not take in time waits for the next start."""
        self._shipper.stop(self._drain_seconds)

    def record(self, prediction: Prediction, live: Live) -> None:
        """Log an answer before it is sent, and let a shadow answer too; nothing is waited for."""
        self.log.append(prediction)
        if live.shadow and prediction.served.role == CHAMPION:
            self.shadow.ask(prediction, live.shadow)

    def record_failure(self, prediction: Prediction, error: Exception) -> None:
        """Log that a model gave no answer."""
        self.log.append(prediction, error=f"{type(error).__name__}: {error}"[:500])

    def report(self, metrics: Metrics) -> None:
        """Let the metrics tell how the log does."""
        log, counts, shadow = self.log, self.log.counts, self.shadow.counts
        total = metrics.total
        total("dalsegno_predictions_logged", "Answers logged.", lambda: counts.logged)
        total(
            "dalsegno_predictions_dropped",
            "Answers not logged: buffer or disk were full.",
            lambda: counts.dropped,
        )
        total(
            "dalsegno_predictions_shipped_rows",
            "Rows of the log that the store has taken.",
            lambda: counts.shipped_rows,
        )
        total(
            "dalsegno_predictions_failed_shipments",
            "Times that the store took no batch.",
            lambda: counts.failed_shipments,
        )
        metrics.watch(
            "dalsegno_predictions_buffered_bytes",
            "Log that waits here for the store.",
            lambda: log.buffered_bytes,
        )
        total("dalsegno_shadow_answered", "Answers of shadows.", lambda: shadow.answered)
        total("dalsegno_shadow_failed", "Requests a shadow failed at.", lambda: shadow.failed)
        total(
            "dalsegno_shadow_skipped",
            "Requests a shadow was not asked: too many waited.",
            lambda: shadow.skipped,
        )
