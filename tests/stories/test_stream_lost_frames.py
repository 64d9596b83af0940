"""Frames that are lost, duplicated or late: what a stream guarantees and what it cannot.

A stream delivers each received frame once, in the order of arrival. Frames that a server loses, duplicates or delays
on a live connection cannot be detected by a client; only a snapshot shows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from connecttrade_async.models.events import Gap, OrderUpdate
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.streaming.connection import MAX_HELD
from stream_fixtures import client, client_at, end_that, nothing_left, order, publish, story, taken, until, until_state

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from websockets.asyncio.server import ServerConnection

    from connecttrade_async import BrokerageStream


async def test_frame_lost_on_a_live_connection_causes_no_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("lose", after=1))
        events = stream.subscribe()
        publish(sandbox, 1, 2, 3)
        assert story(await taken(events, 2)) == ["o1", "o3"]
        assert (stream.health().gaps, stream.health().reconnects) == (0, 0)


async def test_duplicate_and_late_frames_are_delivered_as_received() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("duplicate", after=1))
        sandbox.stream.faults.add(StreamFault("reorder", after=1))
        events, filtered = stream.subscribe(), stream.subscribe("orders", account_id="a", symbol="AAPL")
        publish(sandbox, 1, 2, 3, 4, 5)
        came = ["o1", "o2", "o2", "o4", "o3", "o5"]
        assert story(await taken(events, 6)) == came
        assert story(await taken(filtered, 6)) == came


async def test_delayed_frames_arrive_complete_and_in_order() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.delay = 0.02
        events = stream.subscribe()
        publish(sandbox, *range(100))
        assert story(await taken(events, 100)) == [f"o{number}" for number in range(100)]


async def test_frames_in_flight_during_a_drop_are_in_the_gap() -> None:
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


async def test_connection_lost_right_after_each_login() -> None:
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


@contextlib.asynccontextmanager
async def links_that_say(*sayings: list[int | str]) -> AsyncGenerator[tuple[BrokerageStream, asyncio.Event]]:
    """Open a stream on a server that answers subscriptions with orders, by number, or types, and closes.

    The first connection only confirms and is closed when the event is set; the last one is not closed.
    """
    left: deque[list[int | str]] = deque([["subscribed"], *sayings])

    async def serve(link: ServerConnection) -> None:
        is_first, saying = len(left) > len(sayings), left.popleft()
        for said in ("welcome", "authenticated"):
            await link.send(f'{{"type": "{said}"}}')
            await link.recv()
        for each in saying:
            frame = {"type": each} if isinstance(each, str) else {"type": "order", "data": order(each)}
            await link.send(json.dumps(frame))
        if is_first:
            await go.wait()
        if left:
            await link.close(1012)
        await link.wait_closed()

    go = asyncio.Event()
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        yield stream, go


async def test_updates_before_the_confirmation_are_published_after_the_gap() -> None:
    async with links_that_say([0, 1, "what?", "subscribed", 2]) as (stream, go):
        events = stream.subscribe("orders", "unknown", "lifecycle")
        go.set()
        told = story(await taken(events, 9))
        assert told == [
            "StreamLost",
            "StreamRetrying",
            "StreamConnecting",
            "Gap",
            "StreamLive",
            "o0",
            "o1",
            "UnknownMessage",
            "o2",
        ]
        assert stream.health().messages == {"orders": 3, "unknown": 1}


async def test_updates_of_a_connection_that_never_was_live_are_in_the_gap() -> None:
    async with links_that_say([0, 1], [2, "subscribed", 3]) as (stream, go):
        events = stream.subscribe("orders")
        go.set()
        told = await taken(events, 3)
        assert story(told) == ["Gap", "o2", "o3"]
        assert stream.health().gaps == 1


async def test_updates_before_the_confirmation_are_held_within_a_bound() -> None:
    async with links_that_say([*range(MAX_HELD + 5), "subscribed"]) as (stream, go):
        events = stream.subscribe("orders", capacity=MAX_HELD * 2)
        go.set()
        told = story(await taken(events, MAX_HELD + 1))
        assert told == ["Gap", *(f"o{number}" for number in range(5, MAX_HELD + 5))]


async def test_updates_before_the_first_live_connection_are_published_at_once() -> None:
    asked = asyncio.Event()

    async def serve(link: ServerConnection) -> None:
        for said in ("welcome", "authenticated"):
            await link.send(f'{{"type": "{said}"}}')
            await link.recv()
        await link.send(json.dumps({"type": "order", "data": order(7)}))
        await asked.wait()
        await link.send('{"type": "subscribed"}')
        await link.wait_closed()

    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders")
        opening = asyncio.create_task(stream.__aenter__())
        assert story(await taken(events, 1)) == ["o7"]
        asked.set()
        assert (await opening).health().gaps == 0
        await stream.aclose()
