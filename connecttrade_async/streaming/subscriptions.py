"""Subscriptions: the queue of one consumer, one class for each overflow policy.

A subscription is a deque, and a Future that exists only while the consumer waits on an empty queue.
"""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

from connecttrade_async.errors import ClosedError, ConfigurationError, SlowConsumerError
from connecttrade_async.models.events import (
    BalanceUpdate,
    Chosen,
    Event,
    Gap,
    OrderUpdate,
    PositionUpdate,
    UnknownMessage,
)
from connecttrade_async.models.market import MarketUpdate, SymbolRefused

__all__ = [
    "CAPACITY",
    "MAX_BYTES",
    "POLICIES",
    "DropOldestSubscription",
    "LatestSubscription",
    "QueueCapacity",
    "Subscription",
    "SubscriptionStatistics",
    "key_of",
]

Fact: TypeAlias = Chosen | MarketUpdate

CAPACITY = 10_000  # events in one queue, by default
MAX_BYTES = 64 << 20  # of their frames, by default
NEVER_REPLACED = frozenset({Gap, UnknownMessage})
UPDATES = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
TOO_SLOW = "this consumer was too slow"


class Publisher(Protocol):
    """The part of a fan-out that a subscription uses.

    Attributes:
        largest: the size of the largest frame so far, in bytes.
        wall: returns the wall-clock time, aware, in UTC.
    """

    largest: int

    wall: Callable[[], datetime]

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription."""


class SubscriptionStatistics(NamedTuple):
    """Counters of one subscription.

    Attributes:
        received: events that the consumer has received.
        waiting: events in the queue.
        dropped: events that the queue dropped, or replaced by a later event of the same key.
        bytes_waiting: the size of the frames in the queue, in bytes.
    """

    received: int
    waiting: int
    dropped: int
    bytes_waiting: int


class QueueCapacity(NamedTuple):
    """The capacity of one queue.

    Attributes:
        events: the greatest number of events.
        bytes: the greatest size of their frames together, in bytes.
    """

    events: int
    bytes: int


class Subscription:
    """The queue of one consumer: an async context manager and an async iterator over events.

    A full queue is closed with ``SlowConsumerError``, so no event is lost without an error.

    The capacity is enforced at each access to the queue, and after every sixteenth event. Every observable number is
    therefore exact; between two checks the queue may hold fifteen events more.

    Attributes:
        append: adds an event without waking the consumer.
        waiter_sets: the sets of waiting subscriptions, one for each ``SubscriberSet`` that delivers to this one.
    """

    __slots__ = (
        "_capacity",
        "_dropped",
        "_ending",
        "_fanout",
        "_items",
        "_max_bytes",
        "_received",
        "_waiter",
        "_weighed",
        "append",
        "waiter_sets",
    )

    def __init__(self, capacity: QueueCapacity, fanout: Publisher) -> None:
        self._capacity, self._max_bytes = capacity
        self._fanout = fanout
        self._items: deque[Any] = deque()
        self.append: Callable[[Any], None] = self._items.append
        self.waiter_sets: list[set[Subscription]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ending: Exception | None = None
        self._received = 0
        self._dropped = 0
        self._weighed = (0, 0)

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Add an event and wake the consumer; never waits."""
        self.append(event)
        self.wake()

    def put_urgent(self, event: Event | SymbolRefused) -> None:
        """Add an event that must not be lost, even beyond the capacity."""
        self.enforce_capacity()
        if self._ending is None:
            self.put(event)

    def close(self, error: Exception | None = None) -> None:
        """End the subscription: queued events can still be received, then ``receive`` raises.

        Args:
            error: the error to raise, or None for ``ClosedError``.
        """
        self.enforce_capacity()
        if self._ending is None:
            self._ending = error if error is not None else ClosedError("the stream")
            self.wake()

    async def receive(self) -> Event:
        """Return the next event.

        Raises:
            SlowConsumerError: the queue exceeded its capacity.
            StreamRefusedError: the server ended the stream permanently.
            ConnectTradeError: the stream gave up.
            ClosedError: the stream or this subscription was closed.
            ConfigurationError: another task is already waiting on this subscription.

        Cancelling loses no event.
        """
        while (event := self.receive_nowait()) is None:
            await self.woken()
        return event

    def woken(self) -> asyncio.Future[None]:
        """Return a future that is done when an event was added or ``wake`` was called.

        Call it only while the queue is empty.

        Raises:
            ConfigurationError: another task is already waiting on this subscription.

        Cancelling loses no event.
        """
        if self._waiter is not None and not self._waiter.done():
            msg = "only one task may wait on a subscription: create one subscription for each task"
            raise ConfigurationError(msg)
        # Half the time of ``loop.create_future``, for consumers that wait again after every few events.
        waiter: asyncio.Future[None] = asyncio.Future(loop=asyncio.get_running_loop())
        self._waiter = waiter
        for waiters in self.waiter_sets:
            waiters.add(self)
        return waiter

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        items = self._items
        if len(items) > self._capacity:
            self.enforce_capacity()
        if items:
            self._received += 1
            event: Event = items.popleft()
            return event
        if self._ending is not None:
            raise self._ending.with_traceback(None)  # all consumers get the same error object
        return None

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Remove the queued events for which ``is_unwanted`` returns true; they do not count as dropped."""
        kept = [event for event in self._items if not is_unwanted(event)]
        self._items.clear()  # keep the same deque: subscriber sets hold its ``append``
        self._items.extend(kept)
        self._weighed = (0, 0)  # the last weighing included the removed events

    def statistics(self) -> SubscriptionStatistics:
        """Return the counters of this subscription."""
        self.enforce_capacity()
        return SubscriptionStatistics(self._received, len(self._items), self._dropped, self._weight())

    @property
    def queued(self) -> Iterator[Any]:
        """The events in the queue, the oldest first."""
        return iter(self._items)

    @property
    def is_too_slow(self) -> bool:
        """Whether the subscription ended because its queue exceeded its capacity."""
        return isinstance(self._ending, SlowConsumerError)

    def enforce_capacity(self) -> None:
        """Apply the overflow policy if the queue exceeds its capacity."""
        if self._ending is None and (len(self._items) > self._capacity or self._is_too_heavy()):
            self._overflow()

    def wake(self) -> None:
        """Wake the consumer if it is waiting."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _overflow(self) -> None:
        items, before = self._items, len(self._items)
        events, weight = self._count(), self._weight()
        while events > self._capacity or weight > self._max_bytes:
            last = items.pop()
            events -= type(last) is not Gap
            weight -= len(last.raw)
        if len(items) < before:
            self._dropped += before - len(items)
            self._fail(weight)

    def _fail(self, weight: int) -> None:
        self._fanout.unsubscribe(self)
        self._ending = SlowConsumerError(waiting=len(self._items), bytes_waiting=weight)
        self.wake()

    def _is_too_heavy(self) -> bool:
        largest, waiting = self._fanout.largest, len(self._items)
        if waiting * largest <= self._max_bytes:
            return False
        # Weighing visits every queued event. It is repeated only when the events since the last weighing could have
        # used up the spare bytes, each counted as large as the largest frame.
        so_far = self._received + self._dropped + waiting
        weighed_at, spare = self._weighed
        if (so_far - weighed_at) * largest <= spare:
            return False
        spare = self._max_bytes - self._weight()
        self._weighed = (so_far, spare)
        return spare < 0

    def _count(self) -> int:
        # A gap is added regardless of the capacity, so it does not count.
        return sum(type(event) is not Gap for event in self._items)

    def _weight(self) -> int:
        return sum(len(event.raw) for event in self._items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        # The fast path of ``receive_nowait`` inline, which saves a call for each event.
        items = self._items
        if items and len(items) <= self._capacity:
            self._received += 1
            event: Event = items.popleft()
            return event
        try:
            while (received := self.receive_nowait()) is None:
                await self.woken()
        except ClosedError:
            raise StopAsyncIteration from None
        return received

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Unsubscribe, and drop the queued events; ``async with`` calls this. It does not wait."""
        self._fanout.unsubscribe(self)
        self._items.clear()
        self.close()

    def __repr__(self) -> str:
        state = "ENDED" if self._ending is not None else "OPEN"
        return f"<{type(self).__name__} {state} {len(self._items)} waiting {self._dropped} dropped>"


class DropOldestSubscription(Subscription):
    """A full queue drops its oldest events and puts a ``Gap`` with their number in their place."""

    __slots__ = ("_idle_at",)

    def __init__(self, capacity: QueueCapacity, fanout: Publisher) -> None:
        super().__init__(capacity, fanout)
        self._idle_at = fanout.wall()  # when the queue was empty last: dropped events are later

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        event = super().receive_nowait()
        if event is None:
            self._idle_at = self._fanout.wall()
        return event

    def _overflow(self) -> None:
        items, dropped, since, could_send = self._items, 0, self._idle_at, True
        events, weight = self._count(), self._weight()
        while events > self._capacity or (weight > self._max_bytes and events > 1):
            first = items.popleft()
            if type(first) is Gap:  # the new gap includes the dropped one
                dropped, since = dropped + first.dropped, min(since, first.since)
                could_send = could_send and first.could_send
            else:
                dropped, events = dropped + 1, events - 1
                self._dropped += 1
            weight -= len(first.raw)
        if dropped:
            items.appendleft(
                Gap(cause=TOO_SLOW, since=since, until=self._fanout.wall(), dropped=dropped, could_send=could_send)
            )


class LatestSubscription(Subscription):
    """Keeps the latest event of each key: a later event replaces an earlier one that is still queued.

    The capacity bounds the number of keys and the size of their frames. An event that exceeds either closes the
    subscription with ``SlowConsumerError``.
    """

    __slots__ = ("_bytes", "_latest")

    def __init__(self, capacity: QueueCapacity, fanout: Publisher) -> None:
        super().__init__(capacity, fanout)
        self._latest: dict[Hashable, Any] = {}
        self._bytes = 0  # the size of the frames in ``_latest``, maintained so that no event costs a pass over all

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Add an event and wake the consumer; never waits."""
        self.keep(key_of(event), event)
        self.wake()

    def keep(self, key: Hashable, event: Event | Fact | SymbolRefused) -> None:
        """Add an event of this key, or replace the queued one, without waking the consumer."""
        latest = self._latest
        earlier = latest.get(key)
        weight = self._bytes + len(event.raw) - (len(earlier.raw) if earlier is not None else 0)
        is_full = earlier is None and len(latest) >= self._capacity
        if (is_full or weight > self._max_bytes) and type(event) is not Gap:
            self._dropped += 1
            self._fail(self._bytes)
            return
        if earlier is None:
            self.append(key)
        else:
            self._dropped += 1
        latest[key] = event
        self._bytes = weight

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        is_waiting = bool(self._items)  # any hashable value may be a key, None included
        key = super().receive_nowait()
        if not is_waiting:
            return None
        event: Event = self._latest.pop(key)
        self._bytes -= len(event.raw)
        return event

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Remove the queued events for which ``is_unwanted`` returns true; they do not count as dropped."""
        latest = self._latest
        super().discard(lambda key: is_unwanted(latest[key]))
        self._latest = {key: latest[key] for key in self._items}
        self._bytes = sum(len(event.raw) for event in self._latest.values())

    @property
    def queued(self) -> Iterator[Any]:
        """The latest event of each key, in the order of the keys' first events."""
        return iter(self._latest.values())

    def enforce_capacity(self) -> None:
        """Do nothing: ``keep`` never exceeds the capacity."""

    def _weight(self) -> int:
        return self._bytes

    async def __anext__(self) -> Event:
        if self._items:
            self._received += 1
            event: Event = self._latest.pop(self._items.popleft())
            self._bytes -= len(event.raw)
            return event
        return await super().__anext__()


def key_of(event: Any) -> Hashable:  # noqa: ANN401 - an Event, market data or a SymbolRefused
    """Return the key of an event: ``LatestSubscription`` keeps the latest event of each key.

    Two updates have the same key if class, user, account and symbol are equal, and the currency of a balance.
    An update without an account has a key of its own, and so has an ``UnknownMessage``.
    """
    kind: Any = event.__class__
    if kind in NEVER_REPLACED or (kind in UPDATES and event.account_id is None):
        return id(event)
    if kind is BalanceUpdate:
        return kind, event.user_id, event.account_id, event.balance.currency
    return kind, event.user_id, event.account_id, event.symbol


POLICIES: dict[str, type[Subscription]] = {
    "close": Subscription,
    "drop_oldest": DropOldestSubscription,
    "latest": LatestSubscription,
}
