"""The base of the streams: open, subscribe, inspect, close."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

import msgspec
from anyio import CancelScope

from connecttrade_async.clock import Timer
from connecttrade_async.errors import ClosedError
from connecttrade_async.streaming.config import Engine, Lifetime, StreamConfig, StreamCounters, StreamLag
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity, Subscription, SubscriptionStatistics
from connecttrade_async.streaming.supervisor import Supervisor
from connecttrade_async.streaming.watchdog import Watchdog
from connecttrade_async.validation import positive_number

__all__ = ["Stream", "StreamHealth"]

log = logging.getLogger("connecttrade_async.streaming")


class StreamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a stream and its counters, as plain values.

    Attributes:
        state: ``CONNECTING``, ``LIVE``, ``LOST``, ``RETRYING`` or ``ENDED``.
        live_since: the time since which the stream is live, aware, or None.
        last_message: when the last frame was received, aware, or None.
        reconnects: connections opened after the first.
        gaps: gaps published so far, one for each reconnect.
        messages: updates received so far, by topic; ``unknown`` counts the ``UnknownMessage`` events.
        set_aside: frames that could not be decoded or belong to no request.
        fast_path: whether the latest connection splits messages out of the chunks that the socket delivers. False
            before the first connection, and if the installed ``websockets`` does not allow it: then a message costs
            several times as much.
        consumers: the counters of each subscription.
        role: ``ALONE`` for a stream with a session of its own; on a relay ``LEADER`` or ``FOLLOWER``.
        leader: the worker that has the session, on a relay; None if it is unknown or there is none.
        epoch: the epoch of the latest entry that was read from the relay's log, or None.
        lag: how far the stream is behind the log, on a relay, or None.
        unread: names that frames had and that are not read, by kind; from the first frame of each kind on a connection.
    """

    state: str
    live_since: datetime | None
    last_message: datetime | None
    reconnects: int
    gaps: int
    messages: dict[str, int]
    set_aside: int
    fast_path: bool
    consumers: tuple[SubscriptionStatistics, ...]
    role: str = "ALONE"
    leader: str | None = None
    epoch: int | None = None
    lag: StreamLag | None = None
    unread: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])


class Stream:
    """The base of the streams: an async context manager that can be entered once.

    Args:
        config: the configuration of the stream.
        watchdog: the time in seconds that the event loop may be blocked before a warning is logged; None for never.
        owner: the owner of the stream, with which it closes.
    """

    def __init__(self, config: StreamConfig, watchdog: float | None, owner: Lifetime) -> None:
        if watchdog is not None:
            positive_number("watchdog", watchdog, "seconds", alternative="None")
        self._config = config
        self._fanout = config.fanout
        self._watchdog = watchdog
        self._owner = owner
        self._reminder: Timer | None = None
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def health(self) -> StreamHealth:
        """Return the state of the stream and its counters, without waiting."""
        counters = (
            self._engine.counters
            if self._engine is not None
            else StreamCounters("ENDED" if self._is_closed else "CONNECTING")
        )
        return StreamHealth(
            state=counters.state,
            live_since=counters.live_since,
            last_message=self._wall_time_of(counters.last_message),
            reconnects=max(counters.connects - 1, 0),
            gaps=counters.gaps,
            messages={topic: count for topic, count in self._fanout.counts.items() if topic != "lifecycle"},
            set_aside=counters.unknown,
            fast_path=counters.fast_path,
            consumers=tuple(member.statistics() for member in self._fanout.members),
            role=counters.role,
            leader=counters.leader,
            epoch=counters.epoch,
            lag=counters.lag,
            unread=dict(counters.unread),
        )

    def _wall_time_of(self, moment: float | None) -> datetime | None:
        """Return the wall-clock time of a moment of the clock."""
        clock = self._config.clock
        return None if moment is None else clock.wall() - timedelta(seconds=clock.now() - moment)

    async def aclose(self) -> None:
        """Close the stream, within ``timeouts.close`` seconds. Closing it twice does nothing more.

        Consumers can still receive the queued events; then their subscriptions end. Cancelling the task drops the
        connection at once. A cancel scope of anyio does not interrupt the close.
        """
        self._is_closed = True
        self._stop_reminder()
        task, engine = self._task, self._engine
        if task is None or engine is None:
            self._fanout.close()
            return
        # The task can be cancelled in any state. Only closing a WebSocket continues, within its own timeout.
        if not task.done():
            task.cancel()
            try:
                # A cancelled scope of anyio cancels every await in it, so without the shield its end would leave a
                # stream that still closes. The close is bounded by its own timeout.
                with CancelScope(shield=True):
                    await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()  # a second cancel drops the connection without a close frame
                raise
        engine.end()  # a task that is cancelled before its first step does not reach its own call of ``end``

    async def open(self) -> None:
        """Connect, log in and subscribe; ``async with`` calls this. A stream can be opened once.

        Raises:
            ConnectTradeError: the stream could not be opened, with the reason.
            ClosedError: the stream is or was open, or its owner is closed.

        Cancelling closes the stream.
        """
        self._check_is_new()
        self._engine = self._make_engine()
        self._task = asyncio.create_task(self._run(self._engine), name="connecttrade stream")
        unregister = self._owner.on_close(partial(self._close_with_client, self._engine, self._task))
        self._task.add_done_callback(lambda _: unregister())
        try:
            await asyncio.shield(self._engine.is_live)
        except BaseException:
            await self.aclose()
            raise

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    def _check_is_new(self) -> None:
        if self._engine is not None or self._is_closed:
            raise ClosedError("the stream")
        self._stop_reminder()
        try:
            self._owner.check_open()
        except ClosedError as exc:
            self._is_closed = True
            self._fanout.close(exc)  # subscriptions added before end with the same error
            raise

    def _close_with_client(self, engine: Engine, task: asyncio.Task[None], error: ClosedError) -> None:
        engine.end(error)  # now, not after the WebSocket has closed: the stream must not look live meanwhile
        task.cancel()

    def _subscribe(self, event_filter: EventFilter, overflow: str, capacity: QueueCapacity) -> Subscription:
        subscription = self._fanout.subscribe(event_filter, overflow, capacity)
        if self._engine is None and self._reminder is None:
            with suppress(RuntimeError):  # no event loop is running yet
                connect = self._config.timeouts.connect
                self._reminder = self._config.clock.call_later(connect, self._warn_if_not_entered)
        return subscription

    def _warn_if_not_entered(self) -> None:
        if self._fanout.has_subscriber:
            log.warning(
                "a stream has subscriptions but was never entered, so they receive nothing: "
                "enter it with `async with` around the consumers",
            )

    def _stop_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()

    def _make_engine(self) -> Engine:
        """Return the engine that runs the stream; a subclass overrides it."""
        return Supervisor(self._config)

    async def _run(self, engine: Engine) -> None:
        with Watchdog(self._watchdog) if self._watchdog is not None else nullcontext():
            await engine.run()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        health = self.health()
        return f"<{type(self).__name__} {health.state} {len(health.consumers)} subscriptions {health.gaps} gaps>"
