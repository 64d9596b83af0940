from __future__ import annotations

import asyncio

import pytest

from connecttrade_async.rest.rate_limiter import RateLimiter
from manual_clock import SteppedClock


def test_rate_limiter_without_a_rate_never_delays() -> None:
    limiter = RateLimiter(None, None, SteppedClock())
    assert limiter.is_free
    assert [limiter.delay("u") for _ in range(1000)] == [0.0] * 1000
    limiter.forget("u")


def test_rate_limiter_with_an_overall_rate_delays_after_a_burst() -> None:
    limiter = RateLimiter(2.0, None, SteppedClock())
    assert not limiter.is_free
    assert [limiter.delay(f"u{number}") for number in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]


def test_rate_limiter_with_a_user_rate_spaces_requests_of_each_user() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(None, 0.5, clock)
    assert [limiter.delay("u") for _ in range(3)] == [0.0, 2.0, 4.0]
    assert limiter.delay("other") == 0.0
    clock.advance(7.0)
    assert limiter.delay("u") == 0.0
    limiter.forget("u")
    assert limiter.delay("u") == 0.0


def test_rate_limiter_on_hold_delays_until_its_end() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(1000.0, 1000.0, clock)
    limiter.hold(5.0)
    clock.advance(2.0)
    assert limiter.delay("u") == 3.0
    clock.advance(4.0)
    assert limiter.delay("other") == 0.0
    free = RateLimiter(None, None, clock)
    free.hold(7.0)
    assert (free.is_free, free.delay("u")) == (False, 1.0)


async def test_wait_ends_after_its_seconds_on_the_clock() -> None:
    clock = SteppedClock()
    waiting = asyncio.create_task(RateLimiter(None, None, clock).wait(2.0))
    await asyncio.sleep(0)
    clock.advance(1.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.1)
    await waiting
    assert clock.waiting() == []


@pytest.mark.parametrize(("rate", "after"), [(2.0, 1.5), (None, 0.0)])
async def test_cancelled_wait_returns_its_reservation(rate: float | None, after: float) -> None:
    clock = SteppedClock()
    limiter = RateLimiter(rate, None, clock)
    delays = [limiter.delay("u") for _ in range(5)]
    waiting = asyncio.create_task(limiter.wait(delays[-1] or 1.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.waiting() == []
    assert limiter.delay("u") == after
