"""What users hold of a stream: open it, subscribe to it, look at it, close it."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from connecttrade_async.clock import Clock, Timer
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.streaming.brokerage_codec import TOPICS, BrokerageCodec
from connecttrade_async.streaming.config import Lifetime, OnTaken, StreamConfig, StreamCounters
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.protocol import CODES, CloseReason, StreamProtocol, TopicSync
from connecttrade_async.streaming.subscriptions import Capacity, Subscription, SubscriptionStatistics
from connecttrade_async.streaming.supervisor import Supervisor
from connecttrade_async.streaming.watchdog import Watchdog
from connecttrade_async.streaming.websocket import ConnectOptions

__all__ = ["BrokerageStream", "Stream", "StreamHealth"]

SIDE_TOPICS = ("unknown", "lifecycle")
CAPACITY = 10_000
MAX_BYTES = 64 << 20
log = logging.getLogger("connecttrade_async.streaming")


class StreamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream is doing, as plain values.

    Attributes:
        state: ``CONNECTING``, ``LIVE``, ``LOST``, ``RETRYING`` or ``ENDED``.
        live_since: since when it is live, aware, or None.
        last_message: when the last frame came, aware, or None.
        reconnects: links that were opened after the first.
        gaps: times that it was away and came back.
        messages: updates that came so far, by topic; ``unknown`` are those that were set aside.
        set_aside: frames that were not understood.
        fast_path: whether the latest link cuts its messages out of the chunks as they come. False before the first
            link, and where the installed websockets does not allow it: then a message costs several times as much.
        consumers: what each consumer has had.
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


class Stream:
    """One stream, as whoever opened it holds it: opened once, looked at, closed.

    Args:
        plan: what its supervisor needs.
        watchdog: warn when the event loop was blocked for more than so many seconds; None for not.
        owner: with what it ends.
    """

    def __init__(self, plan: StreamConfig, watchdog: float | None, owner: Lifetime) -> None:
        if watchdog is not None and not watchdog > 0:
            msg = f"watchdog must be a number of seconds above zero, not {watchdog!r}"
            raise ConfigurationError(msg)
        self._plan = plan
        self._fanout = plan.fanout
        self._watchdog = watchdog
        self._owner = owner
        self._reminder: Timer | None = None
        self._supervisor: Supervisor | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def health(self) -> StreamHealth:
        """Return how the stream is doing, at once."""
        tally = (
            self._supervisor.counters
            if self._supervisor is not None
            else StreamCounters("ENDED" if self._is_closed else "CONNECTING")
        )
        return StreamHealth(
            state=tally.state,
            live_since=tally.live_since,
            last_message=self._moment(tally.last_message),
            reconnects=max(tally.connects - 1, 0),
            gaps=tally.gaps,
            messages={topic: count for topic, count in self._fanout.counts.items() if topic != "lifecycle"},
            set_aside=tally.unknown,
            fast_path=tally.fast_path,
            consumers=tuple(member.statistics() for member in self._fanout.members),
        )

    def _moment(self, heard: float | None) -> datetime | None:
        clock = self._plan.clock
        return None if heard is None else clock.wall() - timedelta(seconds=clock.now() - heard)

    async def aclose(self) -> None:
        """Close, within ``timeouts.close`` seconds from every state. Closing twice is harmless.

        What waits for consumers can still be taken; then they end. Cancelling drops the link at once.
        """
        self._is_closed = True
        self._stop_reminder()
        task, supervisor = self._task, self._supervisor
        if task is None or supervisor is None:
            self._fanout.close()
            return
        # Whatever it is doing can be cancelled, but for the closing of a link, which keeps to its own time-out.
        if not task.done():
            task.cancel()
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()  # whoever will not wait drops the link without a word
                raise
        supervisor.end()  # a task that is cancelled before its first step does not get to say so

    async def __aenter__(self) -> Self:
        self._check_is_new()
        self._supervisor = Supervisor(self._plan)
        self._opening(self._supervisor)
        self._task = asyncio.create_task(self._run(self._supervisor), name="connecttrade stream")
        call_off = self._owner.on_close(partial(self._close_with_client, self._supervisor, self._task))
        self._task.add_done_callback(lambda _: call_off())
        try:
            await asyncio.shield(self._supervisor.is_live)
        except BaseException:
            await self.aclose()
            raise
        return self

    def _check_is_new(self) -> None:
        if self._supervisor is not None or self._is_closed:
            raise ClosedError("the stream")
        self._stop_reminder()
        try:
            self._owner.check_open()
        except ClosedError as exc:
            self._is_closed = True
            self._fanout.close(exc)  # whoever subscribed before meets it as well
            raise

    def _close_with_client(self, supervisor: Supervisor, task: asyncio.Task[None], error: ClosedError) -> None:
        supervisor.end(error)  # now, and not when the link has closed: nobody may take it for live meanwhile
        task.cancel()

    def _subscribe(self, interest: EventFilter, overflow: str, bound: Capacity) -> Subscription:
        subscription = self._fanout.subscribe(interest, overflow, bound)
        if self._supervisor is None and self._reminder is None:
            with suppress(RuntimeError):  # no loop runs yet
                self._reminder = self._plan.clock.call_later(self._plan.timeouts.connect, self._warn_if_never_entered)
        return subscription

    def _warn_if_never_entered(self) -> None:
        if self._fanout.has_subscriber:
            log.warning(
                "consumers have subscribed to a stream that nobody opened, and hear nothing: "
                "use it as `async with`, around them",
            )

    def _stop_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()

    def _opening(self, supervisor: Supervisor) -> None:
        """What a stream does beside, before it dials."""

    async def _run(self, supervisor: Supervisor) -> None:
        with Watchdog(self._watchdog) if self._watchdog is not None else nullcontext():
            await supervisor.run()

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


class BrokerageStream(Stream):
    """Orders, positions and balances of all users of a client, over one link that heals.

    Use it as ``async with``: inside, it is connected, logged in and subscribed, or it raised.
    """

    def __init__(
        self,
        url: str,
        dialect: BrokerageCodec,
        *,
        topics: tuple[str, ...],
        timeouts: Timeouts,
        reconnect: Reconnect,
        clock: Clock,
        on_taken: OnTaken,
        codes: Mapping[str, CloseReason],
        owner: Lifetime,
        watchdog: float | None = None,
        dialing: ConnectOptions | None = None,
    ) -> None:
        if not topics or not set(topics) <= set(TOPICS):
            msg = f"topics must be some of {', '.join(TOPICS)}"
            raise ConfigurationError(msg)
        if on_taken not in {"stop", "standby", "retake"}:
            msg = f"on_taken must be stop, standby or fight, not {on_taken!r}"
            raise ConfigurationError(msg)
        self.topics = topics
        known = {**CODES, **codes}

        def make_life(now: float) -> StreamProtocol:
            talk = TopicSync(dialect, topics)
            return StreamProtocol(dialect, talk, now=now, login=timeouts.login, silence=timeouts.silence, codes=known)

        plan = StreamConfig(url, make_life, Fanout(clock.wall), clock, timeouts, reconnect, on_taken, None, dialing)
        super().__init__(plan, watchdog, owner)

    def subscribe(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str | None = None,
    ) -> Subscription:
        """Add a consumer: an async context manager and an async iterator.

        It may be added before the stream is entered, and hears then what happens while it opens. Until somebody enters
        the stream it waits without end; after ``timeouts.connect`` seconds, a warning is logged that nobody did.

        Args:
            topics: some of the stream's topics, ``unknown`` for frames that were not understood, ``lifecycle`` for
                what happens to the stream; none means the stream's own and ``unknown``.
            account_id: only that account's; what the stream itself tells as ``lifecycle`` is told all the same.
            user_id: only that user's, likewise.
            symbol: only that symbol's, likewise.
            capacity: events that may wait.
            max_bytes: how large their frames may be together.
            overflow: what happens when more would wait: ``close`` ends this consumer with ``SlowConsumerError``,
                ``drop_oldest`` drops and tells a ``Gap``, ``latest`` keeps the latest of each key. By default
                ``latest`` where nothing but positions or balances is wanted, else ``close``.

        Raises:
            ConfigurationError: a topic, a filter, the bound or the policy cannot be one.
            ConnectTradeError: the stream has ended, with why.
        """
        wanted = topics or (*self.topics, "unknown")
        if not set(wanted) <= {*self.topics, *SIDE_TOPICS}:
            msg = f"topics must be some of {', '.join((*self.topics, *SIDE_TOPICS))}"
            raise ConfigurationError(msg)
        if overflow is None:
            overflow = "latest" if set(wanted) <= {"positions", "balances"} else "close"
        interest = EventFilter(wanted, account_id, user_id, symbol)
        return self._subscribe(interest, overflow, Capacity(capacity, max_bytes))
