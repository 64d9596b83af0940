"""A door: who hears of changes, and who waits for one. It never waits for any of them."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast

from connecttrade_async.books.changes import Change, OrderChanged
from connecttrade_async.books.merge import has_ended
from connecttrade_async.clock import Clock
from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.models.events import Gap
from connecttrade_async.models.orders import Order
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import Capacity, SubscriptionStatistics

__all__ = ["CAPACITY", "TOPICS", "ChangeFeed", "ChangeSubscription", "filter_for"]

T = TypeVar("T")
UNSIZED = 1 << 62
CAPACITY = 10_000
TOPICS = ("orders", "positions", "balances")
UNFOLLOWED = "its user is followed no more, so add the user again to follow it"


class ChangeSubscription(Protocol):
    """What ``LiveAccounts.changes`` returns: a ``Subscription`` whose events are changes, and gaps among them."""

    async def receive(self) -> Change | Gap:
        """Return the next change; see ``Subscription.receive``.

        Raises:
            SlowConsumerError: this consumer was too slow for its bound.
            ConnectTradeError: the stream has ended, with why.
            ClosedError: the live accounts, their client or this consumer were closed.
            ConfigurationError: another task waits on this consumer already.

        Cancelling loses nothing.
        """
        ...

    def receive_nowait(self) -> Change | Gap | None:
        """Return the next change, or None where none waits; see ``Subscription.receive_nowait``."""
        ...

    def statistics(self) -> SubscriptionStatistics:
        """Return what this consumer has had."""
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
    """Tells changes.

    Args:
        clock: time.
    """

    __slots__ = ("_clock", "_conditions", "_ending", "_fanout", "_orders", "_publish", "published")

    def __init__(self, clock: Clock) -> None:
        self.published = 0
        self._clock = clock
        self._fanout = Fanout(clock.wall)
        # A change has all that a fan-out asks of an event.
        self._publish = cast("Callable[[Change], None]", self._fanout.publish)
        self._orders: dict[str, list[asyncio.Future[Order]]] = {}
        self._conditions: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._ending: Exception | None = None

    @property
    def consumers(self) -> tuple[SubscriptionStatistics, ...]:
        """What each consumer of changes has had."""
        return tuple(member.statistics() for member in self._fanout.members)

    def subscribe(self, interest: EventFilter, overflow: str, capacity: int) -> ChangeSubscription:
        """Add a consumer.

        Raises:
            ConfigurationError: there is no such policy, or it would lose fills, or the bound lets nothing wait.
            ConnectTradeError: the stream has ended, with why.
        """
        if overflow == "latest" and "orders" in interest.topics:
            raise ConfigurationError("of changes of orders each counts, so the latest alone will not do")
        return cast("ChangeSubscription", self._fanout.subscribe(interest, overflow, Capacity(capacity, UNSIZED)))

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell changes to whom they concern."""
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
        """Tell changes that are no news, as those of a first snapshot, to those alone who wait for one of them."""
        if self._orders:
            for change in changes:
                self._end(change)
        self.recheck()

    def _end(self, change: Change) -> None:
        if type(change) is OrderChanged and has_ended(change.after):
            for waiter in self._orders.pop(change.after.order_id, ()):
                _resolve(waiter, change.after)

    def recheck(self) -> None:
        """See whose condition has come true."""
        for is_true, waiter in tuple(self._conditions):
            try:
                if is_true():
                    _resolve(waiter, None)
            except Exception as exc:  # noqa: BLE001 - it is the caller's own, and is raised where the caller waits
                _fail(waiter, exc)

    async def wait_order_done(self, order_id: str, timeout: float | None) -> Order:
        """Wait until an order is told to have ended; see ``LiveAccounts.order_done``."""
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
            await self._within(waiter, timeout, "what was waited for did not come true")
        finally:
            self._conditions.remove(entry)

    async def _within(self, waiter: asyncio.Future[T], timeout: float | None, what: str) -> T:
        if self._ending is not None:
            raise self._ending.with_traceback(None)
        if timeout is None:
            return await waiter
        late = TimeoutError(f"{what} within {timeout:.3g} s")
        timer = self._clock.call_later(timeout, partial(_fail, waiter, late))
        try:
            return await waiter
        finally:
            timer.cancel()

    def fail_waiters(self, is_meant: Callable[[str], bool]) -> None:
        """Send those home who wait for orders that are followed no more."""
        for order_id in [order_id for order_id in self._orders if is_meant(order_id)]:
            for waiter in self._orders.pop(order_id):
                _fail(waiter, ClosedError("the book of that order", advice=UNFOLLOWED))

    def close(self, error: Exception | None = None) -> None:
        """End everybody: with why, or because it was closed. Twice is once."""
        if self._ending is not None:
            return
        self._ending = error if error is not None else ClosedError("this set of live accounts")
        self._fanout.close(self._ending)
        for waiting in self._orders.values():
            for waiter in waiting:
                _fail(waiter, self._ending)
        for _, hoping in self._conditions:
            _fail(hoping, self._ending)


def filter_for(topics: tuple[str, ...], account_id: str | None, user_id: str | None, symbol: str | None) -> EventFilter:
    """Return what a consumer of changes wants; no topic means all.

    Raises:
        ConfigurationError: there is no such topic.
    """
    wanted = topics or TOPICS
    if not set(wanted) <= set(TOPICS):
        raise ConfigurationError(f"topics must be some of {', '.join(TOPICS)}")
    return EventFilter(wanted, account_id, user_id, symbol)


def _resolve(waiter: asyncio.Future[T], value: T) -> None:
    if not waiter.done():
        waiter.set_result(value)


def _fail(waiter: asyncio.Future[Any], error: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(error)
