from __future__ import annotations

import asyncio

import pytest

from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.polling.result_queue import ResultQueue


async def test_receive_returns_items_in_order_and_waits_for_the_next() -> None:
    queue: ResultQueue[int] = ResultQueue("the poller")
    for number in range(3):
        queue.put(number)
    assert [await queue.receive() for _ in range(3)] == [0, 1, 2]
    waiting = asyncio.create_task(queue.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.put(3)
    assert await waiting == 3
    assert len(queue) == 0


async def test_closed_queue_returns_its_items_and_then_raises() -> None:
    for error, kind in ((None, ClosedError), (KeyError("mine"), KeyError)):
        queue: ResultQueue[int] = ResultQueue("the poller")
        queue.put(1)
        queue.close(error)
        queue.close(ValueError("too late"))
        queue.put(2)
        assert await queue.receive() == 1
        for _ in range(2):
            with pytest.raises(kind):
                await queue.receive()


async def test_close_wakes_a_waiting_consumer() -> None:
    queue: ResultQueue[int] = ResultQueue("the poller")
    waiting = asyncio.create_task(queue.receive())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(ClosedError, match="the poller"):
        await waiting


async def test_second_consumer_raises_and_the_first_still_receives() -> None:
    queue: ResultQueue[int] = ResultQueue("the poller")
    first = asyncio.create_task(queue.receive())
    await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="the poller has one consumer"):
        await queue.receive()
    queue.put(1)
    assert await first == 1


async def test_cancelled_receive_loses_no_item() -> None:
    queue: ResultQueue[int] = ResultQueue("the poller")
    waiting = asyncio.create_task(queue.receive())
    await asyncio.sleep(0)
    queue.put(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await queue.receive() == 1


def test_keep_drop_oldest_and_clear_remove_items() -> None:
    queue: ResultQueue[int] = ResultQueue("the poller")
    for number in range(6):
        queue.put(number)
    queue.keep(lambda number: number % 2 == 0)
    queue.drop_oldest()
    assert list(queue.items) == [2, 4]
    queue.clear()
    assert len(queue) == 0
