"""When a schedule fires: five cron fields or an interval, and what KFP wants of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dalsegno.errors import InputError

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = "minute hour day month weekday"
_COUNT = 5
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_STRANGE = re.compile(r"[^\w*,/-]|(^|,)L|\dL")  # what cronsim takes and KFP's parser does not
_EVERY = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True)
class Timing:
    """When a schedule fires.

    Attributes:
        cron: Six fields as KFP takes them, seconds first; None for an interval.
        interval_seconds: Seconds between two firings; None for cron.
        start: When it begins, UTC.
        end: When it ends, UTC.
    """

    cron: str | None = None
    interval_seconds: int | None = None
    start: datetime | None = None
    end: datetime | None = None

    def trigger(self) -> dict[str, Any]:
        """Return the API's `Trigger`."""
        bounds = {"start_time": _rfc3339(self.start), "end_time": _rfc3339(self.end)}
        given = {name: value for name, value in bounds.items() if value}
        if self.cron:
            return {"cron_schedule": {**given, "cron": self.cron}}
        return {"periodic_schedule": {**given, "interval_second": str(self.interval_seconds)}}

    def firings(self, now: datetime, count: int = 3) -> list[datetime]:
        """Return the next moments at which it fires, in UTC."""
        begin = max(now, self.start) if self.start else now
        if self.cron:
            from cronsim import CronSim

            moments = iter(CronSim(self.cron.partition(" ")[2], begin))
            found = [next(moments) for _ in range(count)]
        else:
            step = timedelta(seconds=self.interval_seconds or 1)
            first = self.start or now
            passed = max(0, (begin - first) // step)
            found = [first + step * (passed + number) for number in range(1, count + 1)]
        return [moment for moment in found if not self.end or moment <= self.end]


def parse_timing(
    cron: str | None, every: str | None, start: str | None = None, end: str | None = None
) -> Timing:
    """Read what a person writes.

    Args:
        cron: Minute, hour, day, month, weekday; Sunday is 0.
        every: `90s`, `30m`, `6h`, `1d`, `1w`.
        start: ISO 8601; without an offset UTC.
        end: The same.

    Raises:
        InputError: Neither or both are given, or they cannot be read.
    """
    if (cron is None) == (every is None):
        got = "both" if cron else "neither"
        raise InputError(f"schedule: got {got} of --cron and --every, want one")
    begin, stop = _moment("--start", start), _moment("--end", end)
    if begin and stop and begin >= stop:
        raise InputError(f"--end: got {end}, want a time after --start {start}")
    if cron is not None:
        return Timing(six_fields(cron), None, begin, stop)
    return Timing(None, _seconds(every or ""), begin, stop)


def six_fields(cron: str) -> str:
    """Return a cron expression with seconds 0 first, as KFP's parser takes it.

    It takes five fields too, but as seconds to month: every night at six would be every minute.

    Raises:
        InputError: It has no five fields, names a time zone, or KFP's parser would not take it.
    """
    from cronsim import CronSim, CronSimError

    zone = _ZONE.match(cron)
    if zone:
        got = f"time zone {zone[1]}"
        raise InputError(f"--cron: got {got}, want none: the cluster's own zone counts (UTC)")
    expression = _NICKNAMES.get(cron.strip().lower(), cron)
    fields = expression.split()
    if len(fields) != _COUNT:
        hint = "; the seconds are added" if len(fields) == _COUNT + 1 else ""
        raise InputError(f"--cron: got {len(fields)} fields, want {_COUNT}: {_FIELDS}{hint}")
    if any(_STRANGE.search(field) for field in fields):
        raise InputError(f"--cron: got {cron!r}, want numbers, names and * , - / alone")
    weekday = fields[4].partition("/")[0]
    if re.search(r"(?<!\d)7(?!\d)", weekday):
        raise InputError(f"--cron: got weekday {fields[4]!r}, want 0 to 6: Sunday is 0")
    try:
        CronSim(expression, datetime.now(UTC))
    except CronSimError as error:
        raise InputError(f"--cron: got {cron!r} ({error}), want {_FIELDS}") from error
    return " ".join(["0", *fields])


def check_zone(zone: str | None, server_zone: str = "UTC") -> None:
    """Refuse a time zone that is not the server's: KFP has one for all schedules.

    Raises:
        InputError: The zone is another.
    """
    if zone and zone.upper() != server_zone.upper():
        raise InputError(
            f"--time-zone: got {zone}, want {server_zone}: KFP has one zone for all schedules "
            "(cronScheduleTimezone in pipeline-install-config)"
        )


def _seconds(text: str) -> int:
    found = _EVERY.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if seconds < 1:
        raise InputError(f"--every: got {text!r}, want a number and s, m, h, d or w: 6h")
    return seconds


def _moment(subject: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{subject}: got {text!r}, want ISO 8601: 2027-01-31T06:00") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
