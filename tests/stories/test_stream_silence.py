"""A connection that looks alive and is not: silence, half-open connections, and a server that reads nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ClosedError, HandshakeError, Timeouts
from connecttrade_async.models.events import Gap, StreamLive, StreamLost
from connecttrade_async.sandbox import Sandbox
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, client, client_at, end_that, nothing_left, publish, story, taken, until

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from connecttrade_async.streaming.brokerage_stream import BrokerageStream


def pinging(sandbox: Sandbox, ping: float, **timeouts: float) -> BrokerageStream:
    """Make a stream that pings often."""
    return client(sandbox, timeouts=Timeouts(**{"close": 0.2, "ping": ping, **timeouts})).brokerage_stream(["orders"])


async def test_stream_with_silence_limit_reconnects_from_a_silent_server() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, timeouts=Timeouts(silence=60.0, login=300.0, close=0.5)) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")
        for number in range(3):
            clock.advance(59.0)
            publish(sandbox, number)
            assert story(await taken(events, 1)) == [f"o{number}"]
        clock.advance(59.9)
        assert stream.health().state == "LIVE"
        clock.advance(0.2)
        assert (await until(events, StreamLost)).cause.startswith("no frame was received within ")
        while stream.health().state != "LIVE":
            clock.advance(0.02)
            await asyncio.sleep(0)
        gap = await until(events, Gap)
        assert (gap.until - gap.since).total_seconds() >= 60


async def test_silence_limit_counts_from_going_live() -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, timeouts=Timeouts(silence=0.05, login=30.0, close=0.5)) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        async with asyncio.timeout(2):
            await until(stream.subscribe(), Gap)


async def test_stream_without_silence_limit_keeps_a_silent_server() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe()
        clock.advance(1e6)
        publish(sandbox, 1)
        assert story(await taken(events, 1)) == ["o1"]
        assert stream.health().reconnects == 0


async def test_pings_detect_a_half_open_connection() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left(), pinging(sandbox, 0.05) as stream:
        events = stream.subscribe("orders", "lifecycle")
        publish(sandbox, 1)
        assert story(await taken(events, 1)) == ["o1"]
        sandbox.stream.freeze()
        publish(sandbox, 2)
        assert "the client closed the connection" in (await until(events, StreamLost)).cause
        await until(events, Gap)
        publish(sandbox, 3)
        await until(events, StreamLive)
        assert story(await taken(events, 1)) == ["o3"]


async def test_stream_keeps_a_connection_that_only_answers_pings() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left(), pinging(sandbox, 0.02) as stream:
        await sandbox.stream.until_received("ping", 5)
        assert (stream.health().state, stream.health().reconnects) == ("LIVE", 0)


async def test_close_is_bounded_when_the_server_reads_nothing() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=Timeouts(close=0.2)) as ct, nothing_left():
        async with ct.brokerage_stream() as stream:
            sandbox.stream.freeze()
            began = asyncio.get_running_loop().time()
            await stream.aclose()
            assert asyncio.get_running_loop().time() - began < 0.4
        assert stream.health().state == "ENDED"


async def test_server_that_freezes_during_the_login_times_out() -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, timeouts=Timeouts(login=0.1, close=0.2)) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")
        sandbox.stream.reset()
        await sandbox.stream.until_received("authenticate", 2)
        sandbox.stream.freeze()
        causes = [(await until(events, StreamLost)).cause for _ in range(2)]
        assert causes[1].startswith("no answer while ")
        await until(events, Gap)


LARGE = "s" * 8_000_000


@pytest.mark.parametrize("ending", ["reset", "deadline", "close", "cancel"])
async def test_blocked_write_does_not_block_the_stream(ending: str) -> None:
    welcomed = asyncio.Event()

    async def welcome(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await link.send('{"type": "welcome"}')
        welcomed.set()
        if ending == "reset":
            await asyncio.sleep(0.05)
            link.transport.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(left.wait(), PATIENCE)
        link.transport.abort()

    left = asyncio.Event()
    timeouts = Timeouts(login=0.2 if ending == "deadline" else 60.0, close=0.2)
    async with nothing_left(), end_that(welcome) as url, client_at(url, LARGE, timeouts=timeouts) as ct:
        stream = ct.brokerage_stream()
        async with asyncio.timeout(PATIENCE):
            entering = asyncio.create_task(stream.__aenter__())
            await welcomed.wait()
            await asyncio.sleep(0.05)  # more than the sockets' buffers hold is on its way, and stands still
            if ending == "close":
                await stream.aclose()
            elif ending == "cancel":
                entering.cancel()
            foreseen = {"close": ClosedError, "cancel": asyncio.CancelledError}.get(ending, HandshakeError)
            with pytest.raises(foreseen):
                await entering
        left.set()
        assert stream.health().state == "ENDED"
