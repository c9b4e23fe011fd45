"""Ids of predictions: UUIDs of version 7, so that an id tells when it was given."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime

from dalsegno.errors import InputError

_VARIANT = 1 << 75  # as the highest digit of the 19 after the version: 8 to b


def new_id() -> str:
    """Return an id that sorts by time, to the millisecond (RFC 9562, version 7)."""
    at = f"{time.time_ns() // 1_000_000:012x}"
    drawn = f"{random.getrandbits(74) | _VARIANT:019x}"
    return f"{at[:8]}-{at[8:]}-7{drawn[16:]}-{drawn[:4]}-{drawn[4:16]}"


def time_of(prediction_id: str) -> datetime:
    """Return when an id was given, UTC.

    Raises:
        InputError: It is no id of a prediction.
    """
    try:
        found = uuid.UUID(prediction_id)
        if found.version == 7 and str(found) == prediction_id:  # noqa: PLR2004
            return datetime.fromtimestamp((found.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise InputError(
        f"prediction: got {prediction_id[:60]!r}, want an id as the server's answer has it"
    )
