from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import Timeouts
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import ClosedError, ConnectTradeError, HandshakeError
from connecttrade_async.models.events import Connecting, Ended, Gap, Live, OrderUpdate, UnknownMessage
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.streamfault import StreamFault
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage import Brokerage
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.interests import Interest
from connecttrade_async.streaming.plan import Plan
from connecttrade_async.streaming.protocol import LinkLife, Topics
from connecttrade_async.streaming.subscriptions import Bound
from connecttrade_async.streaming.supervisor import Supervisor
from onstream import PATIENCE, nothing_left, publish, story, taken, until, waiting
from stepped import SteppedClock

if TYPE_CHECKING:
    from connecttrade_async.streaming.brokerage import Message
    from connecttrade_async.streaming.subscriptions import Subscription


class Watched:
    """A supervisor by itself, with one consumer of everything."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        clock = settings.get("clock", SystemClock())
        timeouts = settings.get("timeouts", Timeouts(login=0.5, close=0.2))
        self.fanout = Fanout(clock.wall)
        self.events: Subscription = self.fanout.subscribe(
            Interest(("orders", "lifecycle", "unknown")),
            "close",
            Bound(1000, 1 << 20),
        )

        def make_life(now: float) -> LinkLife:
            dialect = settings.get("dialect", Brokerage)(sandbox.client_id, Secret(sandbox.client_secret))
            topics = Topics(dialect, ("orders",))
            return LinkLife(dialect, topics, now=now, login=timeouts.login, silence=timeouts.silence)

        reconnect = settings.get("reconnect", Reconnect(base=0.001, cap=0.002))
        plan = Plan(sandbox.stream.url, make_life, self.fanout, clock, timeouts, reconnect, "stop")
        self.supervisor = Supervisor(plan)


async def test_it_never_raises_into_anybody_s_task() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_login"))
        watched = Watched(sandbox)
        await watched.supervisor.run()
        assert story(waiting(watched.events)) == ["Connecting", "Lost", "Ended"]
        with pytest.raises(ConnectTradeError):
            await watched.supervisor.is_live


async def test_the_error_that_nobody_waits_for_is_no_complaint() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
        await Watched(sandbox).supervisor.run()


async def test_what_nobody_foresaw_ends_it_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Brokerage):
        def read(self, raw: bytes) -> Message | UnknownMessage:
            message = super().read(raw)
            if isinstance(message, OrderUpdate):
                raise ZeroDivisionError
            return message

    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, dialect=Broken)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Live)
        publish(sandbox, 1)
        await asyncio.wait([running])
        assert "unforeseen ZeroDivisionError" in (await until(watched.events, Ended)).error
        with pytest.raises(ConnectTradeError, match="unforeseen ZeroDivisionError") as caught:
            await watched.events.receive()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "nobody foresaw" in caplog.text


async def test_cancelling_it_closes_it() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Live)
        running.cancel()
        await asyncio.wait([running])
        assert waiting(watched.events) == [Ended(error="")]
        with pytest.raises(ClosedError):
            await watched.events.receive()
        await sandbox.stream.until_received("close")


async def test_what_is_ended_from_outside_goes_live_no_more() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Connecting)
        watched.supervisor.end(ClosedError())
        await sandbox.stream.until_received("subscribe")
        publish(sandbox, 1)
        while "orders" not in watched.fanout.counts:  # noqa: ASYNC110 - nobody is told any more
            await asyncio.sleep(0.001)
        assert (watched.supervisor.tally.state, watched.supervisor.tally.live_since) == ("ENDED", None)
        running.cancel()
        await asyncio.wait([running])
        with pytest.raises(ClosedError, match="this client"):
            await watched.supervisor.is_live


async def test_its_end_is_told_once_also_when_it_never_ran() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        running.cancel()
        await asyncio.wait([running])
        for _ in range(2):
            watched.supervisor.end()
        assert waiting(watched.events) == [Ended(error="")]
        with pytest.raises(ClosedError):
            await watched.supervisor.is_live


async def test_a_gap_reaches_from_the_last_frame_that_was_heard_to_the_moment_it_is_live_again() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, clock=clock, reconnect=Reconnect(base=1.0, cap=1.0))
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Live)
        clock.advance(10)
        publish(sandbox, 1)
        await until(watched.events, OrderUpdate)
        heard = clock.wall()
        clock.advance(20)
        for _ in range(3):
            sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
        sandbox.stream.reset()
        asked = len(clock.asked)
        for time in range(1, 5):
            await clock.until_asked(asked + time)
            clock.advance(1.0)
        gap = await until(watched.events, Gap)
        assert (gap.since, gap.until) == (heard, clock.wall())
        assert watched.supervisor.tally.gaps == 1
        running.cancel()
        await asyncio.wait([running])


async def test_an_event_before_the_server_says_that_it_is_subscribed_is_told_behind_the_gap() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Live)
        sandbox.stream.faults.add(StreamFault("no_ack"))
        sandbox.stream.reset()
        await sandbox.stream.until_live(2)
        publish(sandbox, 1)
        sandbox.stream.send('{"type": "subscribed"}')
        told = await taken(watched.events, 6)
        assert story(told) == ["Lost", "Retrying", "Connecting", "Gap", "Live", "o1"]
        running.cancel()
        await asyncio.wait([running])


async def test_a_cycle_begins_with_a_warning_and_ends_with_good_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "connecttrade_async.streaming")
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, Live)
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=2))
        sandbox.stream.reset()
        await until(watched.events, Gap)
        running.cancel()
        await asyncio.wait([running])
    levels = [record.levelname for record in caplog.records if record.name == "connecttrade_async.streaming"]
    assert levels == ["WARNING", "DEBUG", "DEBUG", "INFO"]


async def test_the_deadline_of_a_login_is_kept_by_the_clock_it_was_given() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        sandbox.stream.faults.add(StreamFault("no_login"))
        watched = Watched(sandbox, clock=clock, timeouts=Timeouts(login=1000.0, close=0.2))
        running = asyncio.create_task(watched.supervisor.run())
        await sandbox.stream.until_received("authenticate")
        clock.advance(999)
        assert not running.done()
        clock.advance(1)
        async with asyncio.timeout(PATIENCE):
            await running
        with pytest.raises(HandshakeError, match="no answer in time while authenticating"):
            await watched.supervisor.is_live
