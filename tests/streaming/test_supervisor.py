from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import Timeouts
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import (
    ClosedError,
    ConfigurationError,
    ConnectTradeError,
    HandshakeError,
    RateLimitedError,
)
from connecttrade_async.models.events import (
    Gap,
    OrderUpdate,
    StreamConnecting,
    StreamEnded,
    StreamLive,
    StreamLost,
    StreamRetrying,
    UnknownMessage,
)
from connecttrade_async.pacing import MAX_RETRY_AFTER
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.config import StreamConfig
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.protocol import StreamProtocol, TopicSync
from connecttrade_async.streaming.subscriptions import QueueCapacity
from connecttrade_async.streaming.supervisor import Supervisor
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, nothing_left, publish, story, taken, until, waiting

if TYPE_CHECKING:
    from connecttrade_async.streaming.subscriptions import Subscription


class Watched:
    """A supervisor by itself, with one consumer of everything."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        clock = settings.get("clock", SystemClock())
        timeouts = settings.get("timeouts", Timeouts(login=0.5, close=0.2))
        self.fanout = Fanout(clock.wall)
        self.events: Subscription = self.fanout.subscribe(
            EventFilter(("orders", "lifecycle", "unknown")),
            "close",
            QueueCapacity(1000, 1 << 20),
        )

        def make_life(now: float) -> StreamProtocol:
            dialect = settings.get("dialect", BrokerageCodec)(sandbox.client_id, Secret(sandbox.client_secret))
            topics = TopicSync(dialect, ("orders",))
            return StreamProtocol(dialect, topics, now=now, login=timeouts.login, silence=timeouts.silence)

        reconnect = settings.get("reconnect", Reconnect(base=0.001, cap=0.002))
        plan = StreamConfig(
            sandbox.stream.url, make_life, self.fanout, clock, timeouts, reconnect, "stop", settings.get("login")
        )
        self.supervisor = Supervisor(plan)


async def test_run_never_raises() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_login"))
        watched = Watched(sandbox)
        await watched.supervisor.run()
        assert story(waiting(watched.events)) == ["StreamConnecting", "StreamLost", "StreamEnded"]
        with pytest.raises(ConnectTradeError):
            await watched.supervisor.is_live


async def test_error_without_a_waiting_task_is_not_reported_by_the_loop() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
        await Watched(sandbox).supervisor.run()


async def test_unexpected_exception_ends_the_stream_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(BrokerageCodec):
        def read(self, raw: bytes) -> Any:
            message = super().read(raw)
            if isinstance(message, OrderUpdate):
                raise ZeroDivisionError
            return message

    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, dialect=Broken)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        publish(sandbox, 1)
        await asyncio.wait([running])
        assert "unexpected ZeroDivisionError" in (await until(watched.events, StreamEnded)).error
        with pytest.raises(ConnectTradeError, match="unexpected ZeroDivisionError") as caught:
            await watched.events.receive()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert record.getMessage() == f"stream ended: {caught.value}"
        assert record.__dict__["kind"] == "ConnectTradeError"
        assert record.exc_info is not None
        assert record.exc_info[0] is ZeroDivisionError


async def test_cancelling_run_closes_the_connection() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        running.cancel()
        await asyncio.wait([running])
        assert waiting(watched.events) == [StreamEnded(error="")]
        with pytest.raises(ClosedError):
            await watched.events.receive()
        await sandbox.stream.until_received("close")


async def test_supervisor_does_not_go_live_after_end() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamConnecting)
        watched.supervisor.end(ClosedError())
        await sandbox.stream.until_received("subscribe")
        publish(sandbox, 1)
        while "orders" not in watched.fanout.counts:  # noqa: ASYNC110 - nobody is told any more
            await asyncio.sleep(0.001)
        assert (watched.supervisor.counters.state, watched.supervisor.counters.live_since) == ("ENDED", None)
        running.cancel()
        await asyncio.wait([running])
        with pytest.raises(ClosedError, match="this client"):
            await watched.supervisor.is_live


async def test_end_is_published_once_even_without_run() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        running.cancel()
        await asyncio.wait([running])
        for _ in range(2):
            watched.supervisor.end()
        assert waiting(watched.events) == [StreamEnded(error="")]
        with pytest.raises(ClosedError):
            await watched.supervisor.is_live


async def test_gap_spans_from_the_last_frame_to_the_next_live_connection() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, clock=clock, reconnect=Reconnect(base=1.0, cap=1.0))
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
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
        assert watched.supervisor.counters.gaps == 1
        running.cancel()
        await asyncio.wait([running])


async def test_event_before_the_confirmation_is_published_after_the_gap() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        sandbox.stream.faults.add(StreamFault("no_ack"))
        sandbox.stream.reset()
        await sandbox.stream.until_live(2)
        publish(sandbox, 1)
        sandbox.stream.send('{"type": "subscribed"}')
        told = await taken(watched.events, 6)
        assert story(told) == ["StreamLost", "StreamRetrying", "StreamConnecting", "Gap", "StreamLive", "o1"]
        running.cancel()
        await asyncio.wait([running])


async def test_reconnect_logs_a_warning_and_then_an_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "connecttrade_async.streaming")
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=2))
        sandbox.stream.reset()
        await until(watched.events, Gap)
        running.cancel()
        await asyncio.wait([running])
    levels = [record.levelname for record in caplog.records if record.name == "connecttrade_async.streaming"]
    assert levels == ["WARNING", "DEBUG", "DEBUG", "INFO"]


async def test_login_deadline_uses_the_given_clock() -> None:
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
        with pytest.raises(HandshakeError, match="no answer while authenticating"):
            await watched.supervisor.is_live


class Pass:
    """A login provider with a renewal that hangs until a test completes it."""

    def __init__(self) -> None:
        self.fetch_count = 0
        self.renewals = 0
        self.renew_in: float | None = 10.0
        self.pending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = asyncio.Event()
        self.failure: ConnectTradeError | None = None

    async def ensure(self, *, is_renewal: bool) -> None:
        if self.failure is not None:
            raise self.failure
        if is_renewal:
            self.renewals += 1
            self.asked.set()
            await self.pending
        self.fetch_count += 1

    def mark_accepted(self) -> None:
        pass

    def refused_error(self, cause: str) -> ConnectTradeError | None:
        return ConnectTradeError(cause)

    def taken_error(self, cause: str) -> ConnectTradeError:
        return ConnectTradeError(cause)


async def renewing(sandbox: Sandbox, clock: SteppedClock) -> tuple[Watched, Pass, asyncio.Task[None]]:
    """Run a supervisor up to a renewal that hangs while its connection is live."""
    login = Pass()
    watched = Watched(sandbox, clock=clock, login=login)
    running = asyncio.create_task(watched.supervisor.run())
    await until(watched.events, StreamLive)
    login.renew_in = 0.0
    clock.advance(10)
    async with asyncio.timeout(PATIENCE):
        await login.asked.wait()
    return watched, login, running


async def test_supervisor_with_a_failed_renewal_after_a_lost_connection_reconnects_with_the_old_login() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched, login, running = await renewing(sandbox, clock)
        sandbox.stream.reset()
        await until(watched.events, StreamLost)
        login.renew_in = 10.0
        login.pending.set_exception(ConfigurationError("the token source is gone"))
        clock.advance((await until(watched.events, StreamRetrying)).delay)
        await until(watched.events, StreamLive)
        assert (watched.supervisor.counters.connects, login.fetch_count) == (2, 2)
        running.cancel()
        await asyncio.wait([running])


async def test_supervisor_with_a_renewal_after_a_lost_connection_reconnects_at_once() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched, login, running = await renewing(sandbox, clock)
        sandbox.stream.reset()
        await until(watched.events, StreamLost)
        login.renew_in = None
        login.pending.set_result(None)
        assert (await until(watched.events, Gap)).cause == "token renewed"
        await until(watched.events, StreamLive)
        assert (watched.supervisor.counters.gaps, login.fetch_count) == (1, 2)
        running.cancel()
        await asyncio.wait([running])


async def test_supervisor_with_a_renewal_publishes_one_gap_and_reconnects_at_once() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched, login, running = await renewing(sandbox, clock)
        login.renew_in = None
        login.pending.set_result(None)
        assert (await until(watched.events, StreamLost)).cause == "token renewed"
        assert (await until(watched.events, Gap)).cause == "token renewed"
        await until(watched.events, StreamLive)
        publish(sandbox, 1)
        await until(watched.events, OrderUpdate)
        counters = watched.supervisor.counters
        assert (counters.connects, counters.gaps, counters.state, login.fetch_count) == (2, 1, "LIVE", 2)
        running.cancel()
        await asyncio.wait([running])


async def test_supervisor_with_a_failed_renewal_keeps_the_live_connection() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched, login, running = await renewing(sandbox, clock)
        login.renew_in = 10.0
        login.pending.set_exception(ConfigurationError("the token source is gone"))
        async with asyncio.timeout(PATIENCE):
            while watched.supervisor._renewal is not None:  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(0)
        publish(sandbox, 1)
        await until(watched.events, OrderUpdate)
        assert (watched.supervisor.counters.connects, watched.supervisor.counters.state) == (1, "LIVE")
        assert 10.0 in clock.waiting()  # the renewal is tried again
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("way", ["closed", "lost"])
@pytest.mark.parametrize("kind", [None, "no_login", "no_ack"])
async def test_closed_connection_leaves_no_timer(way: str, kind: Any) -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        if kind is not None:
            sandbox.stream.faults.add(StreamFault(kind))
        watched = Watched(sandbox, clock=clock, timeouts=Timeouts(login=100.0, silence=50.0, close=0.2))
        running = asyncio.create_task(watched.supervisor.run())
        await sandbox.stream.until_received({None: "subscribe", "no_login": "authenticate"}.get(kind, "subscribe"))
        if kind is None:
            await until(watched.events, StreamLive)
        if way == "closed":
            running.cancel()
            await asyncio.wait([running])
        else:
            sandbox.stream.reset()
            await until(watched.events, StreamLost)
        assert [when for when in clock.waiting() if when > 5.0] == []  # but for the pause before the next connection
        running.cancel()
        await asyncio.wait([running])
        assert clock.waiting() == []


async def test_cancelling_run_cancels_a_hanging_renewal() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched, login, running = await renewing(sandbox, clock)
        running.cancel()
        await asyncio.wait([running])
        assert login.pending.cancelled()
        assert watched.supervisor.connection is None
        assert clock.waiting() == []


async def test_delays_grow_with_failures_and_restart_after_a_settled_connection() -> None:
    clock = SteppedClock()
    reconnect = Reconnect(base=1.0, cap=8.0, settled=10.0)
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, clock=clock, reconnect=reconnect)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        for is_settled in (True, False):
            clock.advance(10.0 if is_settled else 9.9)
            sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=4))
            sandbox.stream.reset()
            attempts: list[int] = []
            for bound in (1.0, 2.0, 4.0, 8.0, 8.0) if is_settled else (8.0,) * 5:
                retrying = await until(watched.events, StreamRetrying)
                assert 0 <= retrying.delay <= bound
                clock.advance(retrying.delay)
                attempts.append((await until(watched.events, StreamConnecting)).attempt)
            assert attempts == ([2, 3, 4, 5, 6] if is_settled else [7, 8, 9, 10, 11])
            await until(watched.events, StreamLive)
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(0.0, 0.0, 1.0), (30.0, 30.0, 30.0), (1e9, MAX_RETRY_AFTER, MAX_RETRY_AFTER)]
)
async def test_retry_after_of_a_token_server_is_used_within_bounds(asked: float, least: float, most: float) -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        login = Pass()
        watched = Watched(sandbox, clock=clock, login=login, reconnect=Reconnect(base=1.0, cap=1.0))
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        login.failure = RateLimitedError(status=429, message="slow", method="GET", path="/token", retry_after=asked)
        sandbox.stream.reset()
        clock.advance((await until(watched.events, StreamRetrying)).delay)
        assert least <= (await until(watched.events, StreamRetrying)).delay <= most
        running.cancel()
        await asyncio.wait([running])


async def test_counters_count_connections_gaps_and_unknown_frames() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, clock=clock)
        tally = watched.supervisor.counters
        assert (tally.state, tally.connects, tally.live_since, tally.last_message) == ("CONNECTING", 0, None, None)
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        assert (tally.state, tally.connects, tally.live_since, tally.fast_path) == ("LIVE", 1, clock.wall(), True)
        clock.advance(3)
        sandbox.stream.send('{"type": "weather"}')
        await until(watched.events, UnknownMessage)
        assert (tally.unknown, tally.last_message) == (1, clock.now())
        clock.advance(4)
        sandbox.stream.reset()
        retrying = await until(watched.events, StreamRetrying)
        assert (tally.state, tally.live_since, tally.last_message) == ("RETRYING", None, 3.0)
        clock.advance(retrying.delay)
        await until(watched.events, StreamLive)
        assert (tally.connects, tally.gaps, tally.live_since) == (2, 1, clock.wall())
        running.cancel()
        await asyncio.wait([running])
        assert (tally.state, tally.live_since, tally.connects, tally.gaps, tally.unknown) == ("ENDED", None, 2, 1, 1)


async def test_cancelling_run_before_a_renewal_leaves_no_timer() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, nothing_left():
        watched = Watched(sandbox, clock=clock, login=Pass())
        running = asyncio.create_task(watched.supervisor.run())
        await until(watched.events, StreamLive)
        assert clock.waiting() == [10.0]
        running.cancel()
        await asyncio.wait([running])
        assert clock.waiting() == []
