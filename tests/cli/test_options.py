from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import click
import pytest

from connecttrade_async.cli.options import day, end_time, start_time

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Option(["--x"])


def test_an_option_that_is_not_given_stays_so() -> None:
    assert [read(CONTEXT, PARAMETER, None) for read in (day, start_time, end_time)] == [None] * 3


def test_a_day_is_a_day() -> None:
    assert day(CONTEXT, PARAMETER, " 2026-01-31 ") == date(2026, 1, 31)
    today = day(CONTEXT, PARAMETER, "today")
    assert today is not None
    assert abs(today - datetime.now(UTC).date()) <= timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00", "2026-01-31T23:59:59.999999+00:00"),
        ("2026-01-31T14:30:00Z", "2026-01-31T14:30:00+00:00", "2026-01-31T14:30:00+00:00"),
        ("2026-01-31T14:30", "2026-01-31T14:30:00+00:00", "2026-01-31T14:30:00+00:00"),
        ("2026-01-31T14:30-05:00", "2026-01-31T19:30:00+00:00", "2026-01-31T19:30:00+00:00"),
    ],
)
def test_a_time_is_in_utc_and_a_day_is_all_of_it(text: str, begins: str, ends: str) -> None:
    assert start_time(CONTEXT, PARAMETER, text) == datetime.fromisoformat(begins)
    assert end_time(CONTEXT, PARAMETER, text) == datetime.fromisoformat(ends)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "2026-13-01", "31.01.2026", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    for read in (start_time, end_time):
        with pytest.raises(click.BadParameter, match="such as 2026-01-31"):
            read(CONTEXT, PARAMETER, text)
    with pytest.raises(click.BadParameter, match="such as 2026-01-31"):
        day(CONTEXT, PARAMETER, text)
