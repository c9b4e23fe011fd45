"""Ids of predictions: UUIDs of version 7, so that an id tells when it was given."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime

from dalsegno.errors import InputError

_VERSION, _VARIANT = 0x7 << 76, 0x2 << 62


def new_id() -> str:
    """Return an id that sorts by time, to the millisecond (RFC 9562, version 7)."""
    draw = random.getrandbits(74)
    value = time.time_ns() // 1_000_000 << 80 | _VERSION | draw >> 62 << 64 | _VARIANT
    text = f"{value | draw & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


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
