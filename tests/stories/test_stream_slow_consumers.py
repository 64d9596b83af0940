"""Consumers that are slower than the events: each one is affected alone, and no other one waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connecttrade_async.errors import SlowConsumerError
from connecttrade_async.models.events import Gap, OrderUpdate
from connecttrade_async.sandbox import Sandbox
from stream_fixtures import client, nothing_left, publish, story, taken, waiting

MANY = 100_000
BURST = 50_000


@pytest.fixture
def anyio_backend() -> Any:
    """Without asyncio's debugging, which is what would be slow here."""
    return "asyncio"


async def test_slow_and_fast_consumer_with_a_hundred_thousand_events() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        fast = stream.subscribe("orders")
        slow = stream.subscribe("orders", capacity=1000)
        lossy = stream.subscribe("orders", capacity=1000, overflow="drop_oldest")
        heavy = stream.subscribe("orders", capacity=MANY, max_bytes=100_000)
        latest = stream.subscribe("orders", capacity=1, overflow="latest")
        bursting = asyncio.create_task(sandbox.stream.burst(MANY))
        async with asyncio.timeout(30):
            for number in range(1, MANY + 1):
                event = await fast.receive()
                assert type(event) is OrderUpdate
                assert event.order.order_id == f"burst-{number}"
        assert await bursting == MANY
        assert story(waiting(slow)) == [f"burst-{number}" for number in range(1, 1001)]
        for events in (slow, heavy):
            while events.statistics().waiting:
                events.receive_nowait()
            with pytest.raises(SlowConsumerError):
                await events.receive()
        gap, *rest = [await lossy.receive() for _ in range(1001)]
        assert isinstance(gap, Gap)
        assert gap.dropped == MANY - 1000
        assert story(rest) == [f"burst-{number}" for number in range(MANY - 999, MANY + 1)]
        assert story(waiting(latest)) == [f"burst-{MANY}"]
        # The stream itself has noticed nothing.
        assert (stream.health().state, stream.health().reconnects, stream.health().gaps) == ("LIVE", 0, 0)
        assert [each.received for each in stream.health().consumers] == [MANY, 1001, 1]
        publish(sandbox, 1)
        assert story(await taken(fast, 1)) == ["o1"]


async def test_burst_of_fifty_thousand_events() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        consumers = [stream.subscribe("orders", user_id="burst"), stream.subscribe("orders", symbol="AAPL")]
        nobody_s = stream.subscribe("orders", account_id="elsewhere")
        bursting = asyncio.create_task(sandbox.stream.burst(BURST))
        counting = [asyncio.create_task(count_in_order(events, BURST)) for events in consumers]
        async with asyncio.timeout(30):
            assert all(await asyncio.gather(*counting))
        await bursting
        assert nobody_s.statistics().waiting == 0
        assert stream.health().reconnects == 0


async def test_burst_with_a_drop_in_the_middle() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe("orders", capacity=BURST)
        bursting = asyncio.create_task(sandbox.stream.burst(BURST))
        await taken(events, BURST // 4)
        sandbox.stream.reset()
        await bursting
        await sandbox.stream.until_live(2)
        publish(sandbox, 1)
        told: list[str] = []
        async with asyncio.timeout(30):
            while not told or told[-1] != "o1":
                told += story([await events.receive()])
        assert told.count("Gap") == 1
        before, after = told[: told.index("Gap")], told[told.index("Gap") + 1 : -1]
        first = BURST // 4 + 1
        assert before == [f"burst-{number}" for number in range(first, first + len(before))]
        assert after == [f"burst-{number}" for number in range(BURST - len(after) + 1, BURST + 1)]


async def count_in_order(events: Any, count: int) -> bool:
    return all([(await events.receive()).order.order_id == f"burst-{number}" for number in range(1, count + 1)])
