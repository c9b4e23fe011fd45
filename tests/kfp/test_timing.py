"""Five fields come in, six go out; Sunday is 0; no zone but the server's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dalsegno.cluster.timing import check_zone, parse_timing, six_fields
from dalsegno.errors import InputError

SATURDAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("0 6 * * *", "0 0 6 * * *"),
        ("*/5 * * * 1-5", "0 */5 * * * 1-5"),
        ("0 0 * * SUN", "0 0 0 * * SUN"),
        ("  15   3 1 */2 0 ", "0 15 3 1 */2 0"),
        ("@daily", "0 0 0 * * *"),
    ],
)
def test_six_fields_are_sent(given, sent):
    assert six_fields(given) == sent


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("0 0 6 * * *", "got 6 fields, want 5: minute hour day month weekday; the seconds"),
        ("6 * *", "got 3 fields"),
        ("0 6 * * 7", "Sunday is 0"),
        ("0 6 * * 5-7", "Sunday is 0"),
        ("61 6 * * *", "Bad minute"),
        ("0 6 L * *", "want numbers, names"),
        ("0 6 * * MON#1", "want numbers, names"),
        ("CRON_TZ=Europe/Berlin 0 6 * * *", "got time zone Europe/Berlin"),
        ("TZ=UTC 0 6 * * *", "got time zone UTC"),
        ("", "got 0 fields"),
    ],
)
def test_what_the_server_would_misread_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        six_fields(given)


def test_next_firings_of_weekdays_skip_the_weekend():
    firings = parse_timing("0 6 * * 1-5", None).firings(SATURDAY)
    assert [f"{moment:%a %H:%M}" for moment in firings] == ["Mon 06:00", "Tue 06:00", "Wed 06:00"]


def test_sunday_is_zero():
    assert f"{parse_timing('0 6 * * 0', None).firings(SATURDAY)[0]:%A}" == "Sunday"


def test_interval_counts_from_its_start():
    timing = parse_timing(None, "6h", start="2026-11-21T10:00")
    assert [moment.hour for moment in timing.firings(SATURDAY)] == [16, 22, 4]
    assert timing.trigger() == {
        "periodic_schedule": {"start_time": "2026-11-21T10:00:00Z", "interval_second": "21600"}
    }


def test_nothing_fires_after_the_end():
    timing = parse_timing("0 6 * * *", None, end="2026-11-22T07:00+01:00")
    assert [moment.day for moment in timing.firings(SATURDAY)] == [22]


@pytest.mark.parametrize(
    ("cron", "every", "start", "end"),
    [
        (None, None, None, None),
        ("0 6 * * *", "1h", None, None),
        (None, "soon", None, None),
        (None, "0s", None, None),
        (None, "1h", "tomorrow", None),
        (None, "1h", "2026-02-01", "2026-01-01"),
    ],
)
def test_contradictions_are_refused(cron, every, start, end):
    with pytest.raises(InputError):
        parse_timing(cron, every, start, end)


def test_other_zone_is_refused_by_name():
    check_zone("utc")
    with pytest.raises(InputError, match="got Europe/Berlin, want UTC"):
        check_zone("Europe/Berlin")
