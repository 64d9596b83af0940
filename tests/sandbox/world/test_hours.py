"""The market's hours are New York's, by rule, in summer and in winter."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.sandbox.world import Hours
from connecttrade_async.sandbox.world.hours import new_york

REAL, OPEN = Hours("real"), Hours()
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone


@given(st.dates(date(2007, 12, 1), date(2036, 12, 31)), st.sampled_from([time(4), time(9, 30), time(16), time(20)]))
def test_the_rule_is_what_the_time_zone_data_say(on: date, at: time) -> None:
    try:
        zone = ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone data")
    assert new_york(on, at) == datetime.combine(on, at, zone)


@pytest.mark.parametrize(
    ("at", "regular", "extended"),
    [
        (datetime(2026, 7, 1, 13, 29, 59, tzinfo=UTC), False, True),
        (datetime(2026, 7, 1, 13, 30, tzinfo=UTC), True, True),
        (datetime(2026, 7, 1, 20, 0, tzinfo=UTC), False, True),
        (datetime(2026, 7, 2, 0, 0, tzinfo=UTC), False, False),
        (datetime(2026, 7, 1, 7, 59, tzinfo=UTC), False, False),
        (datetime(2026, 1, 5, 14, 29, tzinfo=UTC), False, True),
        (datetime(2026, 1, 5, 14, 30, tzinfo=UTC), True, True),
        (datetime(2026, 7, 4, 15, 0, tzinfo=UTC), False, False),
    ],
)
def test_when_it_is_open(at: datetime, *, regular: bool, extended: bool) -> None:
    assert (REAL.is_open(at, extended=False), REAL.is_open(at, extended=True)) == (regular, extended)
    assert OPEN.is_open(at, extended=False)


@given(MOMENTS, st.booleans())
def test_spans_lie_in_order_within_what_was_asked_for(start: datetime, extended: bool) -> None:  # noqa: FBT001  hypothesis gives it
    end = start + timedelta(days=9)
    spans = list(REAL.spans(start, end, extended=extended))
    assert all(start <= low < high <= end for low, high in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert 5 <= len(spans) <= 8
    assert list(OPEN.spans(start, end, extended=extended)) == [(start, end)]
    assert list(OPEN.spans(end, end, extended=extended)) == list(REAL.spans(end, end, extended=extended)) == []


@given(MOMENTS)
def test_the_last_price_stands_while_it_is_closed(at: datetime) -> None:
    stands = REAL.last_open(at)
    assert timedelta() <= at - stands <= timedelta(days=3)
    assert REAL.is_open(stands - timedelta(microseconds=1), extended=True) or stands == at
    assert not list(REAL.spans(stands, at, extended=True))
    assert OPEN.last_open(at) == at


@given(MOMENTS, st.sampled_from([REAL, OPEN]))
def test_auctions_and_the_end_of_the_day_lie_ahead(at: datetime, hours: Hours) -> None:
    longest = timedelta(days=3, hours=1) if hours is REAL else timedelta(days=1, hours=1)
    for moment in (hours.auction("OPEN", at), hours.auction("CLOSE", at), hours.day_end(at, extended=True)):
        assert at < moment <= at + longest
    assert hours.day_end(at, extended=False) == hours.auction("CLOSE", at)


def test_there_are_two_ways_of_keeping_hours() -> None:
    wrong: Any = "sometimes"
    with pytest.raises(ValueError, match="hours must be one of open, real"):
        Hours(wrong)
