from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import click
import pytest

from connecttrade_async.cli.options import day, end_time, start_time

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Option(["--x"])


def test_day_and_time_of_none_are_none() -> None:
    assert [read(CONTEXT, PARAMETER, None) for read in (day, start_time, end_time)] == [None] * 3


def test_day_reads_a_date_or_today() -> None:
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
def test_start_and_end_time_read_utc_and_the_bounds_of_a_day(text: str, begins: str, ends: str) -> None:
    assert start_time(CONTEXT, PARAMETER, text) == datetime.fromisoformat(begins)
    assert end_time(CONTEXT, PARAMETER, text) == datetime.fromisoformat(ends)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "2026-13-01", "31.01.2026", "0001-01-01T00:00+14:00"])
def test_day_and_time_with_a_malformed_text_are_refused_with_an_example(text: str) -> None:
    for read in (start_time, end_time):
        with pytest.raises(click.BadParameter, match="such as 2026-01-31"):
            read(CONTEXT, PARAMETER, text)
    with pytest.raises(click.BadParameter, match="such as 2026-01-31"):
        day(CONTEXT, PARAMETER, text)
