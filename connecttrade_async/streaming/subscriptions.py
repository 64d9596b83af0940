"""A door: one consumer's queue, in one class for each policy of a full queue.

A deque, and one Future that is there only while the consumer waits empty-handed.
"""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
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
    "POLICIES",
    "Capacity",
    "DropOldestSubscription",
    "LatestSubscription",
    "Subscription",
    "SubscriptionStatistics",
    "key_of",
]

Fact: TypeAlias = Chosen | MarketUpdate

SINGLE = frozenset({Gap, UnknownMessage})
UPDATES = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
SLOW = "this consumer was too slow"


class Hub(Protocol):
    """The fan-out that fills a queue, as the queue uses it."""

    largest: int

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a queue."""


class SubscriptionStatistics(NamedTuple):
    """What one consumer has had.

    Attributes:
        received: events that it took.
        waiting: events in its queue.
        dropped: events that its queue dropped, or replaced by later ones of the same key.
        bytes_waiting: the size of the frames in its queue.
    """

    received: int
    waiting: int
    dropped: int
    bytes_waiting: int


class Capacity(NamedTuple):
    """How much may wait for one consumer.

    Attributes:
        events: how many events.
        bytes: how large their frames may be together.
    """

    events: int
    bytes: int


class Subscription:
    """One consumer's queue: an async context manager and an async iterator over events.

    When it is full it is closed with ``SlowConsumerError``: nothing is lost without a word.

    Its bound is looked at whenever somebody looks at the queue, and after every sixteenth event: what can be seen of it
    is exact, and between two looks it may hold fifteen events more.

    Attributes:
        append: takes an event, without waking anybody.
        bells: for each place where this consumer gets its events, the set of those who wait there.
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

    def __init__(self, bound: Capacity, hub: Hub) -> None:
        self._capacity, self._max_bytes = bound
        self._fanout = hub
        self._items: deque[Any] = deque()
        self.append: Callable[[Any], None] = self._items.append
        self.waiter_sets: list[set[Subscription]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ending: Exception | None = None
        self._received = 0
        self._dropped = 0
        self._weighed = (0, 0)

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Take an event and wake the consumer; never waits."""
        self.append(event)
        self.wake()

    def put_urgent(self, event: Event | SymbolRefused) -> None:
        """Take an event that must not be lost, whatever the bound."""
        self.enforce_capacity()
        if self._ending is None:
            self.put(event)

    def close(self, error: Exception | None = None) -> None:
        """End it: what waits can still be taken, and then the ending is met."""
        self.enforce_capacity()
        if self._ending is None:
            self._ending = error if error is not None else ClosedError("the stream")
            self.wake()

    async def receive(self) -> Event:
        """Return the next event.

        Raises:
            SlowConsumerError: this consumer was too slow for its bound.
            StreamRefusedError: the server ended the stream for good.
            ConnectTradeError: the stream gave up.
            ClosedError: the stream or this subscription was closed.
            ConfigurationError: another task waits on this subscription already.

        Cancelling loses nothing.
        """
        while (event := self.receive_nowait()) is None:
            await self.woken()
        return event

    def woken(self) -> asyncio.Future[None]:
        """Return what to wait for until something came, or somebody woke it; call it only when nothing waits.

        Raises:
            ConfigurationError: another task waits on this subscription already.

        Cancelling loses nothing.
        """
        if self._waiter is not None and not self._waiter.done():
            msg = "two tasks wait on one subscription: give each a subscription of its own"
            raise ConfigurationError(msg)
        # As ``create_future`` does, in half the time: many wait again after every few events.
        waiter: asyncio.Future[None] = asyncio.Future(loop=asyncio.get_running_loop())
        self._waiter = waiter
        for bell in self.waiter_sets:
            bell.add(self)
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
            raise self._ending.with_traceback(None)  # every consumer meets the same ending
        return None

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Take out of the queue what is wanted no more, as if it had never come."""
        kept = [event for event in self._items if not is_unwanted(event)]
        self._items.clear()  # the same deque: places hold its ``append``
        self._items.extend(kept)
        self._weighed = (0, 0)  # what it was weighed by counted these

    def statistics(self) -> SubscriptionStatistics:
        """Return what this consumer has had."""
        self.enforce_capacity()
        return SubscriptionStatistics(self._received, len(self._items), self._dropped, self._weight())

    def enforce_capacity(self) -> None:
        """See to it that the bound is kept."""
        if self._ending is None and (len(self._items) > self._capacity or self._is_too_heavy()):
            self._overflow()

    def wake(self) -> None:
        """Wake the consumer, if it waits."""
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
        # To weigh is to go through all that waits. Not again before what came since could have used up what was spare.
        so_far = self._received + self._dropped + waiting
        weighed_at, spare = self._weighed
        if (so_far - weighed_at) * largest <= spare:
            return False
        spare = self._max_bytes - self._weight()
        self._weighed = (so_far, spare)
        return spare < 0

    def _count(self) -> int:
        # What was told whatever the bound does not count.
        return sum(type(event) is not Gap for event in self._items)

    def _weight(self) -> int:
        return sum(len(event.raw) for event in self._items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        # As in ``receive_nowait``, spelled out to spare a call for each event.
        items = self._items
        if items and len(items) <= self._capacity:
            self._received += 1
            event: Event = items.popleft()
            return event
        try:
            while (came := self.receive_nowait()) is None:
                await self.woken()
        except ClosedError:
            raise StopAsyncIteration from None
        return came

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._fanout.unsubscribe(self)
        self._items.clear()
        self.close()

    def __repr__(self) -> str:
        state = "ENDED" if self._ending is not None else "OPEN"
        return f"<{type(self).__name__} {state} {len(self._items)} waiting {self._dropped} dropped>"


class DropOldestSubscription(Subscription):
    """When it is full the oldest goes, and a ``Gap`` in its place tells how many did."""

    __slots__ = ("_idle_at",)

    def __init__(self, bound: Capacity, hub: Hub) -> None:
        super().__init__(bound, hub)
        self._idle_at = hub.wall()

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
            if type(first) is Gap:  # what it told of goes into the gap that takes its place
                dropped, since = dropped + first.dropped, min(since, first.since)
                could_send = could_send and first.could_send
            else:
                dropped, events = dropped + 1, events - 1
                self._dropped += 1
            weight -= len(first.raw)
        if dropped:
            items.appendleft(
                Gap(cause=SLOW, since=since, until=self._fanout.wall(), dropped=dropped, could_send=could_send)
            )


class LatestSubscription(Subscription):
    """Keeps the latest of each key: a later event takes the place of an earlier one that still waits.

    Its bound is the number of keys and the size of their frames; an event that exceeds either closes it like any other.
    """

    __slots__ = ("_bytes", "_latest")

    def __init__(self, bound: Capacity, hub: Hub) -> None:
        super().__init__(bound, hub)
        self._latest: dict[Hashable, Any] = {}
        self._bytes = 0  # the size of the frames in ``_latest``, kept up to date so that no event costs a pass over all

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Take an event and wake the consumer; never waits."""
        self.keep(key_of(event), event)
        self.wake()

    def keep(self, key: Hashable, event: Event | Fact | SymbolRefused) -> None:
        """Take an event of this key, without waking anybody."""
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
        is_waiting = bool(self._items)  # a key may be anything, None as well
        key = super().receive_nowait()
        return self._taken(key) if is_waiting else None

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Take out of the queue what is wanted no more, as if it had never come."""
        latest = self._latest
        super().discard(lambda key: is_unwanted(latest[key]))
        self._latest = {key: latest[key] for key in self._items}
        self._bytes = sum(len(event.raw) for event in self._latest.values())

    def enforce_capacity(self) -> None:
        """See to it that the bound is kept: it is, since nothing is taken that would break it."""

    def _weight(self) -> int:
        return self._bytes

    def _taken(self, key: Hashable) -> Any:  # noqa: ANN401 - an Event; its kind is not looked at
        event = self._latest.pop(key)
        self._bytes -= len(event.raw)
        return event

    async def __anext__(self) -> Event:
        if self._items:
            self._received += 1
            event: Event = self._taken(self._items.popleft())
            return event
        return await super().__anext__()


def key_of(event: Any) -> Hashable:  # noqa: ANN401 - an Event, market data or a SymbolRefused
    """Return the key of which an event is the latest, in a queue that keeps the latest of each key.

    Two updates have one key where kind, user, account and symbol are the same, and the currency of a balance.
    An update whose account is unknown has a key of its own, and so has a frame that was not understood.
    """
    kind: Any = event.__class__
    if kind in SINGLE or (kind in UPDATES and event.account_id is None):
        return id(event)
    if kind is BalanceUpdate:
        return kind, event.user_id, event.account_id, event.balance.currency
    return kind, event.user_id, event.account_id, event.symbol


POLICIES: dict[str, type[Subscription]] = {
    "close": Subscription,
    "drop_oldest": DropOldestSubscription,
    "latest": LatestSubscription,
}
