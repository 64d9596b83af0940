"""Publish changes to subscribers, and wake the callers that wait for one. No call here blocks."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from connecttrade_async.books.changes import Change, OrderChanged
from connecttrade_async.clock import Clock
from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.futures import fail, resolve
from connecttrade_async.models.events import Gap
from connecttrade_async.models.orders import Order, has_ended
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import TOPICS, EventFilter
from connecttrade_async.streaming.subscriptions import CAPACITY, QueueCapacity, SubscriptionStatistics

__all__ = ["CAPACITY", "TOPICS", "ChangeFeed", "ChangeSubscription", "filter_for"]

T = TypeVar("T")
UNSIZED = 1 << 62
UNFOLLOWED = "its user is not followed any more; add the user again to follow it"


class ChangeSubscription(Protocol):
    """The type of ``LiveAccounts.changes``: a ``Subscription`` that yields changes, and gaps among them."""

    async def receive(self) -> Change | Gap:
        """Return the next change; see ``Subscription.receive``.

        Raises:
            SlowConsumerError: the queue of this subscription was full.
            ConnectTradeError: the stream has ended, with the reason.
            ClosedError: the live accounts, their client or this subscription were closed.
            ConfigurationError: another task waits on this subscription already.

        Cancelling loses no change.
        """
        ...

    def receive_nowait(self) -> Change | Gap | None:
        """Return the next change, or None where none is queued; see ``Subscription.receive_nowait``."""
        ...

    def statistics(self) -> SubscriptionStatistics:
        """Return the counters of this subscription."""
        ...

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Change | Gap: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ChangeFeed:
    """Publishes changes to subscriptions, and resolves the waiters of orders and conditions.

    Args:
        clock: time.

    Attributes:
        published: the number of changes that were published.
    """

    __slots__ = ("_clock", "_conditions", "_ending", "_fanout", "_orders", "_publish", "published")

    def __init__(self, clock: Clock) -> None:
        self.published = 0
        self._clock = clock
        self._fanout = Fanout(clock.wall)
        # A change has every attribute that a fan-out reads of an event.
        self._publish = cast("Callable[[Change], None]", self._fanout.publish)
        self._orders: dict[str, list[asyncio.Future[Order]]] = {}
        self._conditions: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._ending: Exception | None = None

    @property
    def consumers(self) -> tuple[SubscriptionStatistics, ...]:
        """The counters of each subscription."""
        return tuple(member.statistics() for member in self._fanout.members)

    def subscribe(self, event_filter: EventFilter, overflow: str, capacity: int) -> ChangeSubscription:
        """Add a subscription.

        Args:
            event_filter: the filter of the changes.
            overflow: the policy for a full queue; see ``LiveAccounts.changes``.
            capacity: the number of changes that the queue holds.

        Raises:
            ConfigurationError: the policy is unknown, or would lose fills, or the capacity is below 1.
            ConnectTradeError: the stream has ended, with the reason.
        """
        if overflow == "latest" and "orders" in event_filter.topics:
            raise ConfigurationError(
                "overflow must not be 'latest' where orders are among the topics: each of their changes counts"
            )
        bounds = QueueCapacity(capacity, UNSIZED)
        return cast("ChangeSubscription", self._fanout.subscribe(event_filter, overflow, bounds))

    def publish(self, changes: Sequence[Change]) -> None:
        """Publish changes to the subscriptions that match, then check all waiters."""
        if self._fanout.has_subscriber:
            publish = self._publish
            for change in changes:
                publish(change)
        if self._orders:
            for change in changes:
                self._end(change)
        self.published += len(changes)
        if self._conditions:
            self.recheck()

    def wake_order_waiters(self, changes: Sequence[Change]) -> None:
        """Resolve the waiters of changed orders without publishing, as after a first snapshot."""
        if self._orders:
            for change in changes:
                self._end(change)
        self.recheck()

    def _end(self, change: Change) -> None:
        if type(change) is OrderChanged and has_ended(change.after):
            for waiter in self._orders.pop(change.after.order_id, ()):
                resolve(waiter, change.after)

    def recheck(self) -> None:
        """Evaluate the condition of every waiter, and resolve those that hold."""
        for is_true, waiter in tuple(self._conditions):
            try:
                if is_true():
                    resolve(waiter, None)
            except Exception as exc:  # noqa: BLE001 - raised in the call that waits for the condition
                fail(waiter, exc)

    async def wait_order_done(self, order_id: str, timeout: float | None) -> Order:
        """Wait until an order has ended; see ``LiveAccounts.order_done``."""
        waiter: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        self._orders.setdefault(order_id, []).append(waiter)
        try:
            return await self._within(waiter, timeout, f"order {order_id} did not end")
        finally:
            waiters = self._orders.get(order_id, [])
            if waiter in waiters:
                waiters.remove(waiter)
            if not waiters:
                self._orders.pop(order_id, None)

    async def wait_until(self, is_true: Callable[[], bool], timeout: float | None) -> None:
        """Wait until a condition holds; see ``LiveAccounts.wait``."""
        if is_true():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (is_true, waiter)
        self._conditions.append(entry)
        try:
            await self._within(waiter, timeout, "the condition did not hold")
        finally:
            self._conditions.remove(entry)

    async def _within(self, waiter: asyncio.Future[T], timeout: float | None, what: str) -> T:
        if self._ending is not None:
            raise self._ending.with_traceback(None)
        if timeout is None:
            return await waiter
        late = TimeoutError(f"{what} within {timeout:.3g} s")
        timer = self._clock.call_later(timeout, partial(fail, waiter, late))
        try:
            return await waiter
        finally:
            timer.cancel()

    def fail_waiters(self, is_meant: Callable[[str], bool]) -> None:
        """Fail the waiters of orders that are not followed any more.

        Args:
            is_meant: returns whether an order id is one of these.
        """
        for order_id in [order_id for order_id in self._orders if is_meant(order_id)]:
            for waiter in self._orders.pop(order_id):
                fail(waiter, ClosedError("the book of that order", hint=UNFOLLOWED))

    def close(self, error: Exception | None = None) -> None:
        """Close every subscription and fail every waiter, with an error if given. A second call has no effect."""
        if self._ending is not None:
            return
        self._ending = error if error is not None else ClosedError("this set of live accounts")
        self._fanout.close(self._ending)
        for waiting in self._orders.values():
            for waiter in waiting:
                fail(waiter, self._ending)
        for _, hoping in self._conditions:
            fail(hoping, self._ending)


def filter_for(topics: tuple[str, ...], account_id: str | None, user_id: str | None, symbol: str | None) -> EventFilter:
    """Return the filter for a subscription to changes; no topic means all.

    Raises:
        ConfigurationError: a topic is unknown.
    """
    selected = topics or TOPICS
    if not set(selected) <= set(TOPICS):
        raise ConfigurationError(f"topics must be some of {', '.join(TOPICS)}, got {', '.join(map(str, topics))}")
    return EventFilter(selected, account_id, user_id, symbol)
