from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connecttrade_async.market_data.quiet_hours import seconds_until_quiet


@pytest.mark.parametrize(
    ("moment", "hours"),
    [
        ("2026-03-02T14:30", 10.5),  # Monday, in the regular session
        ("2026-03-03T00:59", 1 / 60),  # Monday evening in New York
        ("2026-03-03T01:00", 0),
        ("2026-03-03T07:59", 0),
        ("2026-03-03T08:00", 17),
        ("2026-03-07T00:30", 0.5),  # Friday evening in New York
        ("2026-03-07T01:00", 0),
        ("2026-03-08T12:00", 0),  # Sunday
        ("2026-03-09T07:30", 0),  # Monday before the extended session
        ("2026-03-09T08:30", 16.5),
    ],
)
def test_seconds_until_quiet_returns_the_time_until_the_markets_close(moment: str, hours: float) -> None:
    assert seconds_until_quiet(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == hours * 3600


def test_seconds_until_quiet_accepts_any_time_zone() -> None:
    evening = datetime(2026, 3, 2, 19, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert seconds_until_quiet(evening) == 1800
