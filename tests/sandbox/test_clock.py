"""The clock runs, stands and steps, and never goes back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connecttrade_async.sandbox import Clock

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_it_runs_with_the_machine() -> None:
    clock = Clock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    clock.advance(3600)
    assert timedelta(minutes=59) < clock.now() - datetime.now(UTC) < timedelta(minutes=61)
    assert clock.hold() == clock.now() == clock.now()


def test_it_stands_and_steps() -> None:
    clock = Clock()
    assert clock.hold(NOON.astimezone(timezone(timedelta(hours=5)))) == NOON
    assert clock.advance(1.5) == clock.now() == NOON + timedelta(seconds=1.5)
    assert (clock.is_held, repr(clock)) == (True, "<Clock 2026-07-01T12:00:01.500000+00:00 held>")


def test_it_runs_on_from_where_it_stood() -> None:
    clock = Clock()
    clock.hold(NOON)
    clock.release()
    assert NOON <= clock.release() < NOON + timedelta(seconds=5)
    assert "running" in repr(clock)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_it_does_not_go_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        Clock().advance(seconds)


def test_it_wants_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Clock().hold(datetime(2026, 7, 1))  # noqa: DTZ001  that is the point
