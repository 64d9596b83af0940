"""Frames come to grief on the way: what the stream promises then, and what it cannot.

It hands on what comes, once for each time that it came, in the order in which it came. What a server loses, sends twice
or sends late while the link stands, nobody can see from here: whoever needs the whole truth takes a snapshot.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from connecttrade_async.models.events import Gap, OrderUpdate
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.streamfault import StreamFault
from onstream import client, nothing_left, publish, story, taken, until, until_state


async def test_what_is_lost_on_a_link_that_stands_is_not_told_as_a_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("lose", after=1))
        events = stream.subscribe()
        publish(sandbox, 1, 2, 3)
        assert story(await taken(events, 2)) == ["o1", "o3"]
        assert (stream.health().gaps, stream.health().reconnects) == (0, 0)


async def test_what_comes_twice_is_told_twice_and_what_comes_late_late() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("duplicate", after=1))
        sandbox.stream.faults.add(StreamFault("reorder", after=1))
        events, filtered = stream.subscribe(), stream.subscribe("orders", account_id="a", symbol="AAPL")
        publish(sandbox, 1, 2, 3, 4, 5)
        came = ["o1", "o2", "o2", "o4", "o3", "o5"]
        assert story(await taken(events, 6)) == came
        assert story(await taken(filtered, 6)) == came


async def test_what_is_delayed_comes_whole_and_in_order() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.delay = 0.02
        events = stream.subscribe()
        publish(sandbox, *range(100))
        assert story(await taken(events, 100)) == [f"o{number}" for number in range(100)]


async def test_what_was_on_its_way_when_the_link_was_lost_lies_in_the_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        publish(sandbox, 1)
        await taken(events, 1)
        sandbox.stream.delay = 60
        publish(sandbox, 2, 3)
        sent_at = datetime.now(UTC)
        sandbox.stream.delay = 0
        sandbox.stream.reset()
        gap = await until(events, Gap)
        assert gap.since <= sent_at <= gap.until
        publish(sandbox, 4)
        assert story(await taken(events, 1)) == ["o4"]


async def test_the_link_is_lost_as_soon_as_it_stands_again_and_again() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe("orders")
        for life in range(2, 8):
            sandbox.stream.reset()
            # The server has just subscribed it; its answer may still be on the way.
            await sandbox.stream.until_live(life)
        sandbox.stream.drop(None)
        await sandbox.stream.until_live(8)
        await until_state(stream, "LIVE")
        publish(sandbox, 9)
        async with asyncio.timeout(5):
            told = [await events.receive()]
            while not isinstance(told[-1], OrderUpdate):
                told.append(await events.receive())
        assert set(story(told[:-1])) == {"Gap"}
        assert len(told) - 1 == stream.health().gaps
