from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.config import Limits
from connecttrade_async.errors import ClosedError, RequestTimeoutError
from connecttrade_async.rest.limiter import RequestLimiter
from connecttrade_async.rest.wire import Request
from manual_clock import SteppedClock

if TYPE_CHECKING:
    from collections.abc import Coroutine

ASK = Request(method="GET", path="/balances")


async def started(coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
    """Start a task and let it run until it waits."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def test_acquire_grants_slots_up_to_the_limit_and_then_in_order() -> None:
    limiter = RequestLimiter(Limits(connections=2), SteppedClock())
    await limiter.acquire(ASK, 1)
    await limiter.acquire(ASK, 1)
    served: list[int] = []

    async def caller(number: int) -> None:
        await limiter.acquire(ASK, 1)
        served.append(number)

    tasks = [await started(caller(number)) for number in range(5)]
    assert (limiter.in_flight, limiter.waiting, served) == (2, 5, [])
    for expected in range(1, 6):
        limiter.release()
        await asyncio.sleep(0)
        assert served == list(range(expected))
    await asyncio.gather(*tasks)
    limiter.release()
    limiter.release()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_acquire_does_not_overtake_waiters_when_a_slot_becomes_free() -> None:
    limiter = RequestLimiter(Limits(connections=1), SteppedClock())
    order: list[str] = []

    async def loop(name: str, rounds: int) -> None:
        for _ in range(rounds):
            await limiter.acquire(ASK, 60)
            order.append(name)
            await asyncio.sleep(0)
            limiter.release()

    await asyncio.gather(loop("a", 20), loop("b", 20), loop("c", 20))
    assert order == ["a", "b", "c"] * 20


async def test_cancelled_waiter_is_removed_from_the_queue() -> None:
    limiter = RequestLimiter(Limits(connections=1), SteppedClock())
    await limiter.acquire(ASK, 1)
    first = await started(limiter.acquire(ASK, 1))
    second = await started(limiter.acquire(ASK, 1))
    first.cancel()
    await asyncio.sleep(0)
    assert limiter.waiting == 1
    limiter.release()
    await second
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


async def test_waiter_cancelled_while_its_slot_is_granted_passes_it_on() -> None:
    limiter = RequestLimiter(Limits(connections=1), SteppedClock())
    await limiter.acquire(ASK, 1)
    first = await started(limiter.acquire(ASK, 1))
    second = await started(limiter.acquire(ASK, 1))
    limiter.release()
    first.cancel()
    await second
    assert first.cancelled()
    limiter.release()
    assert limiter.in_flight == 0


async def test_acquire_times_out_and_reports_the_load() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=1), clock)
    await limiter.acquire(ASK, 1)
    waiting = await started(limiter.acquire(ASK, 1.5))
    clock.advance(1.4)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    with pytest.raises(RequestTimeoutError, match=r"no slot within 1\.5 s: 1 requests in flight") as caught:
        await waiting
    assert caught.value.kind == "pool-timeout"
    limiter.release()
    await limiter.acquire(ASK, 1)
    assert limiter.in_flight == 1


async def test_slot_granted_at_the_deadline_counts() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=1), clock)
    await limiter.acquire(ASK, 1)
    waiting = await started(limiter.acquire(ASK, 1))
    limiter.release()
    clock.advance(2)
    await waiting
    assert limiter.in_flight == 1


async def test_close_fails_all_waiters_and_pauses() -> None:
    limiter = RequestLimiter(Limits(connections=1), SteppedClock())
    await limiter.acquire(ASK, 1)
    in_line = await started(limiter.acquire(ASK, 1))
    pausing = await started(limiter.pause(30))
    limiter.close()
    for task in (in_line, pausing):
        with pytest.raises(ClosedError):
            await task
    limiter.close()
    assert limiter.is_closed
    assert limiter.waiting == 0


async def test_acquire_respects_the_rate_limit() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=100, requests_per_second=2), clock)
    served: list[float] = []

    async def caller() -> None:
        await limiter.acquire(ASK, 60)
        served.append(clock.now())
        limiter.release()

    tasks = [await started(caller()) for _ in range(6)]
    assert served == [0, 0]
    for _ in range(4):
        clock.advance(0.5)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert served == [0, 0, 0.5, 1, 1.5, 2]


async def test_acquire_beyond_the_rate_limit_fails_at_once_and_refunds_its_token() -> None:
    limiter = RequestLimiter(Limits(connections=100, requests_per_second=1), SteppedClock())
    await limiter.acquire(ASK, 5)
    with pytest.raises(RequestTimeoutError, match="allows none within") as caught:
        await limiter.acquire(ASK, 0.5)
    assert caught.value.kind == "pool-timeout"
    assert limiter.in_flight == 1


async def test_acquire_cancelled_while_rate_limited_releases_slot_and_token() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=100, requests_per_second=1), clock)
    await limiter.acquire(ASK, 5)
    cancelled = await started(limiter.acquire(ASK, 5))
    cancelled.cancel()
    await asyncio.sleep(0)
    assert limiter.in_flight == 1
    waiting = await started(limiter.acquire(ASK, 5))
    clock.advance(1)
    await waiting
    assert limiter.in_flight == 2


async def test_one_timer_serves_all_waiters_and_each_has_its_own_deadline() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=1), clock)
    await limiter.acquire(ASK, 9)
    long = [await started(limiter.acquire(ASK, 3.0)) for _ in range(20)]
    assert len(clock.asked) == 1
    clock.advance(1.0)
    late, early = await started(limiter.acquire(ASK, 3.0)), await started(limiter.acquire(ASK, 1.0))
    assert len(clock.asked) == 2  # one more, for the shorter deadline
    clock.advance(1.0)
    await asyncio.sleep(0)
    assert (early.done(), limiter.waiting) == (True, 21)
    limiter.release()
    await long.pop(0)
    clock.advance(0.99)
    await asyncio.sleep(0)
    assert not any(task.done() for task in (*long, late))
    clock.advance(0.02)
    ended = await asyncio.gather(*long, early, return_exceptions=True)
    assert [type(each) for each in ended] == [RequestTimeoutError] * 20
    limiter.release()
    await late
    limiter.release()
    assert limiter.in_flight == 0
    clock.advance(9.0)
    asked = len(clock.asked)
    clock.advance(9.0)
    assert len(clock.asked) == asked  # no timer runs for an empty queue


async def test_close_deadlines_expire_together() -> None:
    clock = SteppedClock()
    limiter = RequestLimiter(Limits(connections=1), clock)
    await limiter.acquire(ASK, 9)
    tasks = [await started(limiter.acquire(ASK, 1.0 + number / 100_000)) for number in range(100)]
    clock.advance(1.01)
    assert len(await asyncio.gather(*tasks, return_exceptions=True)) == 100
    assert len(clock.asked) == 2
