"""Closing a stream in every state: by its owner, by another task, or by cancelling the task of the user."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ClosedError, Timeouts
from connecttrade_async.config import Reconnect
from connecttrade_async.models.events import OrderUpdate, StreamRetrying
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamKind
from stream_fixtures import PATIENCE, client, nothing_left, publish, story, taken, until, until_state, waiting

if TYPE_CHECKING:
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream

STALLS: dict[StreamKind, str] = {
    "hang_upgrade": "upgrade",
    "no_welcome": "upgrade",
    "no_login": "authenticate",
    "no_ack": "subscribe",
}
IN_TIME = Timeouts(close=0.3)


async def closed_in_time(stream: BrokerageStream) -> None:
    """Close a stream, and hold it to its time-out."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await stream.aclose()
    assert loop.time() - began < 0.5
    assert stream.health().state == "ENDED"
    with pytest.raises(ClosedError):
        stream.subscribe()


@pytest.mark.parametrize("is_frozen", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize(("kind", "action"), STALLS.items())
async def test_stream_closed_by_another_task_while_entering(kind: StreamKind, action: str, is_frozen: bool) -> None:  # noqa: FBT001 - a parameter
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault(kind))
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        entering = asyncio.create_task(stream.__aenter__())
        await sandbox.stream.until_received(action)
        if is_frozen:
            sandbox.stream.freeze()
        await closed_in_time(stream)
        with pytest.raises(ClosedError):
            await entering
        assert [event async for event in events] == []


@pytest.mark.parametrize(("kind", "action"), STALLS.items())
async def test_entering_cancelled_by_the_user_closes_the_stream(kind: StreamKind, action: str) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault(kind))
        stream = ct.brokerage_stream()
        entering = asyncio.create_task(stream.__aenter__())
        await sandbox.stream.until_received(action)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert stream.health().state == "ENDED"


@pytest.mark.parametrize(("kind", "action"), STALLS.items())
async def test_stream_closed_while_reconnecting(kind: StreamKind, action: str) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct, nothing_left():
        stream = await ct.brokerage_stream().__aenter__()
        sandbox.stream.faults.add(StreamFault(kind))
        sandbox.stream.reset()
        await sandbox.stream.until_received(action, 2)
        await closed_in_time(stream)


async def test_stream_closed_during_backoff() -> None:
    reconnect = Reconnect(base=1000.0, cap=1000.0)
    async with Sandbox(seed=1) as sandbox, client(sandbox, reconnect=reconnect) as ct, nothing_left():
        stream = await ct.brokerage_stream().__aenter__()
        life = stream.subscribe("lifecycle")
        sandbox.stream.reset()
        await until(life, StreamRetrying)
        await closed_in_time(stream)
        assert story(waiting(life)) == ["StreamEnded"]


@pytest.mark.parametrize("is_frozen", [False, True], ids=["", "frozen"])
async def test_stream_closed_while_live_keeps_queued_events(is_frozen: bool) -> None:  # noqa: FBT001 - a parameter
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct, nothing_left():
        stream = await ct.brokerage_stream().__aenter__()
        events, first = stream.subscribe(), stream.subscribe()
        publish(sandbox, 1, 2, 3)
        await taken(first, 3)
        if is_frozen:
            sandbox.stream.freeze()
        await closed_in_time(stream)
        await stream.aclose()
        assert story([event async for event in events]) == ["o1", "o2", "o3"]


async def test_stream_closed_while_the_server_closes() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct, nothing_left():
        stream = await ct.brokerage_stream().__aenter__()
        sandbox.stream.drop(1001)
        await closed_in_time(stream)


async def test_stream_closed_before_entering_cannot_be_entered() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        await stream.aclose()
        assert [event async for event in events] == []
        with pytest.raises(ClosedError):
            await stream.__aenter__()
        assert sandbox.stream.log.received["connect"] == 0


async def test_stream_can_be_entered_once() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        async with ct.brokerage_stream() as stream:
            with pytest.raises(ClosedError):
                await stream.__aenter__()
            assert stream.health().state == "LIVE"
        with pytest.raises(ClosedError):
            await stream.__aenter__()


async def test_stream_closed_in_another_task_than_it_was_entered() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        await asyncio.create_task(stream.__aenter__())
        publish(sandbox, 1)
        assert story(await asyncio.create_task(taken(events, 1))) == ["o1"]
        await asyncio.create_task(stream.__aexit__(None, None, None))
        assert [event async for event in events] == []


@pytest.mark.parametrize("part", range(4))
async def test_cancelling_the_task_of_the_user_at_any_await_closes_the_stream(part: int) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct:
        for turns in range(part, 80, 4):
            heard: list[object] = []
            async with nothing_left():
                using = asyncio.create_task(used(ct.brokerage_stream(), heard))
                await turned(turns)
                if sandbox.stream.is_live:
                    publish(sandbox, turns)
                    await turned(part)
                using.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await using
            assert all(isinstance(event, OrderUpdate) for event in heard)
        async with asyncio.timeout(PATIENCE), ct.brokerage_stream():
            assert len([talk for talk in sandbox.stream.sessions if talk.is_live]) == 1


@pytest.mark.parametrize("part", range(4))
async def test_close_by_another_task_at_any_moment_raises_in_the_entering_task(part: int) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME) as ct:
        for turns in range(part, 60, 4):
            async with nothing_left():
                stream = ct.brokerage_stream()
                using = asyncio.create_task(used(stream, []))
                await turned(turns)
                await closed_in_time(stream)
                async with asyncio.timeout(PATIENCE):
                    with contextlib.suppress(ClosedError):
                        await using


@pytest.mark.parametrize("part", range(4))
async def test_cancelling_the_task_of_the_user_while_reconnecting_closes_the_stream(part: int) -> None:
    at_once = Reconnect(base=1e-6, cap=1e-6)  # so that a turn of the loop is all that backoff takes
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IN_TIME, reconnect=at_once) as ct:
        for turns in range(part, 80, 4):
            async with nothing_left():
                stream = ct.brokerage_stream()
                using = asyncio.create_task(used(stream, []))
                await until_state(stream, "LIVE")
                sandbox.stream.reset()
                await turned(turns)
                using.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await using
            assert stream.health().state == "ENDED"


@pytest.mark.parametrize("is_frozen", [False, True], ids=["", "frozen"])
async def test_cancelling_aclose_at_any_await_closes_the_stream(is_frozen: bool) -> None:  # noqa: FBT001 - a parameter
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=Timeouts(close=60)) as ct:
        for turns in range(1, 20):
            async with nothing_left():
                stream = await ct.brokerage_stream().__aenter__()
                if is_frozen:
                    sandbox.stream.freeze()
                closing = asyncio.create_task(stream.aclose())
                await turned(turns)
                closing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await closing
            assert stream.health().state == "ENDED"


async def used(stream: BrokerageStream, heard: list[object]) -> None:
    """Use a stream as users do."""
    async with stream, stream.subscribe() as events:
        async for event in events:
            heard.append(event)  # noqa: PERF401 - what came is kept though the rest is cancelled


async def turned(times: int) -> None:
    """Run this number of loop iterations."""
    for _ in range(times):
        await asyncio.sleep(0)
