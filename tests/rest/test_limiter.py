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


async def test_places_are_taken_up_to_the_limit_and_handed_on_in_order() -> None:
    gate = RequestLimiter(Limits(connections=2), SteppedClock())
    await gate.acquire(ASK, 1)
    await gate.acquire(ASK, 1)
    served: list[int] = []

    async def caller(number: int) -> None:
        await gate.acquire(ASK, 1)
        served.append(number)

    tasks = [await started(caller(number)) for number in range(5)]
    assert (gate.in_flight, gate.waiting, served) == (2, 5, [])
    for expected in range(1, 6):
        gate.release()
        await asyncio.sleep(0)
        assert served == list(range(expected))
    await asyncio.gather(*tasks)
    gate.release()
    gate.release()
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_nobody_overtakes_the_line_when_a_place_becomes_free() -> None:
    gate = RequestLimiter(Limits(connections=1), SteppedClock())
    order: list[str] = []

    async def loop(name: str, rounds: int) -> None:
        for _ in range(rounds):
            await gate.acquire(ASK, 60)
            order.append(name)
            await asyncio.sleep(0)
            gate.release()

    await asyncio.gather(loop("a", 20), loop("b", 20), loop("c", 20))
    assert order == ["a", "b", "c"] * 20


async def test_who_is_cancelled_in_line_leaves_it() -> None:
    gate = RequestLimiter(Limits(connections=1), SteppedClock())
    await gate.acquire(ASK, 1)
    first = await started(gate.acquire(ASK, 1))
    second = await started(gate.acquire(ASK, 1))
    first.cancel()
    await asyncio.sleep(0)
    assert gate.waiting == 1
    gate.release()
    await second
    assert (gate.in_flight, gate.waiting) == (1, 0)


async def test_who_is_cancelled_while_a_place_is_handed_over_passes_it_on() -> None:
    gate = RequestLimiter(Limits(connections=1), SteppedClock())
    await gate.acquire(ASK, 1)
    first = await started(gate.acquire(ASK, 1))
    second = await started(gate.acquire(ASK, 1))
    gate.release()
    first.cancel()
    await second
    assert first.cancelled()
    gate.release()
    assert gate.in_flight == 0


async def test_the_line_has_an_end_and_says_what_it_waited_for() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=1), clock)
    await gate.acquire(ASK, 1)
    waiting = await started(gate.acquire(ASK, 1.5))
    clock.advance(1.4)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    with pytest.raises(RequestTimeoutError, match=r"no slot within 1\.5 s: 1 requests in flight") as caught:
        await waiting
    assert caught.value.kind == "pool-timeout"
    gate.release()
    await gate.acquire(ASK, 1)
    assert gate.in_flight == 1


async def test_a_place_handed_over_at_the_last_moment_counts() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=1), clock)
    await gate.acquire(ASK, 1)
    waiting = await started(gate.acquire(ASK, 1))
    gate.release()
    clock.advance(2)
    await waiting
    assert gate.in_flight == 1


async def test_closing_sends_everybody_home() -> None:
    gate = RequestLimiter(Limits(connections=1), SteppedClock())
    await gate.acquire(ASK, 1)
    in_line = await started(gate.acquire(ASK, 1))
    pausing = await started(gate.pause(30))
    gate.close()
    for task in (in_line, pausing):
        with pytest.raises(ClosedError):
            await task
    gate.close()
    assert gate.is_closed
    assert gate.waiting == 0


async def test_so_many_a_second_and_no_more() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=100, requests_per_second=2), clock)
    served: list[float] = []

    async def caller() -> None:
        await gate.acquire(ASK, 60)
        served.append(clock.now())
        gate.release()

    tasks = [await started(caller()) for _ in range(6)]
    assert served == [0, 0]
    for _ in range(4):
        clock.advance(0.5)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert served == [0, 0, 0.5, 1, 1.5, 2]


async def test_a_turn_that_would_come_too_late_is_refused_at_once_and_given_back() -> None:
    gate = RequestLimiter(Limits(connections=100, requests_per_second=1), SteppedClock())
    await gate.acquire(ASK, 5)
    with pytest.raises(RequestTimeoutError, match="allows none within") as caught:
        await gate.acquire(ASK, 0.5)
    assert caught.value.kind == "pool-timeout"
    assert gate.in_flight == 1


async def test_who_is_cancelled_while_waiting_for_a_turn_gives_everything_back() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=100, requests_per_second=1), clock)
    await gate.acquire(ASK, 5)
    cancelled = await started(gate.acquire(ASK, 5))
    cancelled.cancel()
    await asyncio.sleep(0)
    assert gate.in_flight == 1
    waiting = await started(gate.acquire(ASK, 5))
    clock.advance(1)
    await waiting
    assert gate.in_flight == 2


async def test_one_timer_serves_the_whole_line_and_each_wait_has_its_own_end() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=1), clock)
    await gate.acquire(ASK, 9)
    long = [await started(gate.acquire(ASK, 3.0)) for _ in range(20)]
    assert len(clock.asked) == 1
    clock.advance(1.0)
    patient, hasty = await started(gate.acquire(ASK, 3.0)), await started(gate.acquire(ASK, 1.0))
    assert len(clock.asked) == 2  # for the hasty one, who gives up before those who came before
    clock.advance(1.0)
    await asyncio.sleep(0)
    assert (hasty.done(), gate.waiting) == (True, 21)
    gate.release()
    await long.pop(0)
    clock.advance(0.99)
    await asyncio.sleep(0)
    assert not any(task.done() for task in (*long, patient))
    clock.advance(0.02)
    ended = await asyncio.gather(*long, hasty, return_exceptions=True)
    assert [type(each) for each in ended] == [RequestTimeoutError] * 20
    gate.release()
    await patient
    gate.release()
    assert gate.in_flight == 0
    clock.advance(9.0)
    asked = len(clock.asked)
    clock.advance(9.0)
    assert len(clock.asked) == asked  # a line of nobody is not watched


async def test_waits_that_end_one_after_another_are_ended_together() -> None:
    clock = SteppedClock()
    gate = RequestLimiter(Limits(connections=1), clock)
    await gate.acquire(ASK, 9)
    tasks = [await started(gate.acquire(ASK, 1.0 + number / 100_000)) for number in range(100)]
    clock.advance(1.01)
    assert len(await asyncio.gather(*tasks, return_exceptions=True)) == 100
    assert len(clock.asked) == 2
