"""Two processes and a single session: each policy, with a server that closes the older or the newer session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.config import Reconnect
from connecttrade_async.errors import SessionTakenError
from connecttrade_async.models.events import Gap, StreamLive, StreamRetrying
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.streaming.protocol import CloseReason
from manual_clock import SteppedClock
from stream_fixtures import client, client_at, end_that, nothing_left, publish, story, taken, until, until_state

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from connecttrade_async.streaming.config import OnTaken

SLOWLY = Reconnect(base=0.01, cap=0.02, standby=60.0)


async def test_stop_ends_the_older_stream_if_the_server_closes_the_older() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as one, client(sandbox) as two, nothing_left():
        async with one.brokerage_stream() as older, two.brokerage_stream() as newer:
            with pytest.raises(SessionTakenError, match="409: There is another session"):
                await older.subscribe().receive()
            events = newer.subscribe()
            publish(sandbox, 1)
            assert story(await taken(events, 1)) == ["o1"]
            assert (older.health().state, newer.health().state) == ("ENDED", "LIVE")
        assert sandbox.stream.log.received["authenticate"] == 2


@pytest.mark.parametrize("policy", ["stop", "retake"])
async def test_stop_and_retake_raise_on_entering_if_the_server_closes_the_newer(policy: OnTaken) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as one, client(sandbox) as two, nothing_left():
        sandbox.stream.displaces = "newer"
        async with one.brokerage_stream() as older:
            events = older.subscribe()
            with pytest.raises(SessionTakenError):
                await two.brokerage_stream(on_taken=policy).__aenter__()
            publish(sandbox, 1)
            assert story(await taken(events, 1)) == ["o1"]
        assert sandbox.stream.log.received["authenticate"] == {"stop": 2, "retake": 5}[policy]


async def test_standby_enters_once_the_older_stream_closes() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox) as one,
        client(sandbox, clock=clock, reconnect=SLOWLY) as two,
        nothing_left(),
    ):
        sandbox.stream.displaces = "newer"
        older = one.brokerage_stream()
        await older.__aenter__()
        newer = two.brokerage_stream(on_taken="standby")
        life = newer.subscribe("lifecycle")
        entering = asyncio.create_task(newer.__aenter__())
        for _ in range(3):
            assert 30 <= (await until(life, StreamRetrying)).delay <= 60
            clock.advance(60)
        await until(life, StreamRetrying)
        await older.aclose()
        assert not entering.done()
        clock.advance(60)
        assert await entering is newer
        await until(life, StreamLive)
        assert newer.health().gaps == 0  # nothing can have been missed before the first time
        await newer.aclose()


async def test_standby_retakes_the_session_after_a_delay() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, reconnect=SLOWLY) as one,
        client(sandbox) as two,
        nothing_left(),
        one.brokerage_stream(on_taken="standby") as older,
    ):
        events = older.subscribe("orders", "lifecycle")
        async with two.brokerage_stream() as newer:
            assert 30 <= (await until(events, StreamRetrying)).delay <= 60
            clock.advance(29)
            assert (older.health().state, newer.health().state) == ("RETRYING", "LIVE")
            clock.advance(31)
            gap = await until(events, Gap)
            assert gap.cause.startswith("the server sent error 409")
            with pytest.raises(SessionTakenError):
                await newer.subscribe().receive()


async def test_two_standby_streams_never_displace_each_other_quickly() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, reconnect=SLOWLY) as one,
        client(sandbox, clock=clock, reconnect=SLOWLY) as two,
        nothing_left(),
        one.brokerage_stream(on_taken="standby") as first,
    ):
        waits = first.subscribe("lifecycle")
        async with two.brokerage_stream(on_taken="standby") as second:
            others = second.subscribe("lifecycle")
            for _ in range(5):
                assert (await until(waits, StreamRetrying)).delay >= 30
                clock.advance(60)
                await until(waits, StreamLive)
                assert (await until(others, StreamRetrying)).delay >= 30
                clock.advance(60)
                await until(others, StreamLive)
        assert sandbox.stream.log.received["authenticate"] == 12  # in ten minutes


async def test_retake_retakes_at_most_three_times_in_ten_minutes() -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock) as ct,
        nothing_left(),
        ct.brokerage_stream(on_taken="retake") as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")

        async def displaced() -> None:
            sandbox.stream.displace()
            await until(events, StreamRetrying)
            clock.advance(0.02)
            await until(events, StreamLive)

        for _ in range(3):
            await displaced()
        clock.advance(601)
        for _ in range(3):
            await displaced()
        clock.advance(590)
        sandbox.stream.displace()
        with pytest.raises(SessionTakenError):
            await until(events, StreamLive)
        assert sandbox.stream.log.received["authenticate"] == 7


async def test_two_retaking_streams_end_with_one_session() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as one, client(sandbox) as two, nothing_left():
        async with one.brokerage_stream(on_taken="retake") as first, two.brokerage_stream(on_taken="retake") as second:
            ended = [asyncio.create_task(until_state(stream, "ENDED")) for stream in (first, second)]
            done, still = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert (len(done), len(still)) == (1, 1)
            left = second if ended[0] in done else first
            await until_state(left, "LIVE")
            for task in still:
                task.cancel()
        assert sandbox.stream.log.received["authenticate"] <= 9


@pytest.mark.parametrize("policy", ["stop", "standby", "retake"])
async def test_codes_of_the_caller_replace_the_table(policy: OnTaken) -> None:
    lives = 0

    async def serve(link: ServerConnection) -> None:
        nonlocal lives
        lives += 1
        for word in ("welcome", "authenticated", "subscribed"):
            await link.send(f'{{"type": "{word}"}}')
            if word != "subscribed":
                await link.recv()
        await link.close(4321, "one at a time") if lives == 1 else await link.wait_closed()

    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream(on_taken=policy, codes={"4321": CloseReason.TAKEN})
        async with stream:
            if policy == "stop":
                with pytest.raises(SessionTakenError, match="one at a time"):
                    await stream.subscribe().receive()
            else:
                await until(stream.subscribe(), Gap)
    assert lives == (1 if policy == "stop" else 2)
