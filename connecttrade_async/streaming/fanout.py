"""A door: publish once, deliver to many, wait for none.

One queue class for each policy of a full queue, so that nothing is asked on the way of an event: a deque, and one
Future that is there only while its consumer waits empty-handed. Interest is indexed by key, so a consumer costs only
what it asked for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from connecttrade_async.errors import ClosedError, ConfigurationError, SlowConsumerError
from connecttrade_async.models.events import Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime
    from types import TracebackType

    from connecttrade_async.models.events import Chosen, Event

    Put = Callable[[Event, int], None]

__all__ = ["Bound", "DropOldest", "Fanout", "Interest", "Latest", "Statistics", "Subscription"]


class Statistics(NamedTuple):
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


class Interest(NamedTuple):
    """What a consumer wants: topics, and of these only what matches every key that is not None."""

    topics: tuple[str, ...]
    account_id: str | None = None
    user_id: str | None = None
    symbol: str | None = None

    @property
    def key(self) -> tuple[str, str] | None:
        """The most telling key there is, by name and value; None where everything is wanted."""
        keys = (("account_id", self.account_id), ("user_id", self.user_id), ("symbol", self.symbol))
        return next(((name, value) for name, value in keys if value is not None), None)

    def is_met_by(self, event: Chosen) -> bool:
        """Whether an event has every key."""
        return (
            self.account_id in {None, event.account_id}
            and self.user_id in {None, event.user_id}
            and self.symbol in {None, event.symbol}
        )


class Bound(NamedTuple):
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
    """

    __slots__ = (
        "_bytes",
        "_capacity",
        "_dropped",
        "_ending",
        "_items",
        "_leave",
        "_max_bytes",
        "_received",
        "_waiter",
        "_wall",
    )

    def __init__(self, bound: Bound, leave: Callable[[Subscription], None], wall: Callable[[], datetime]) -> None:
        self._capacity, self._max_bytes = bound
        self._leave = leave
        self._wall = wall
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ending: Exception | None = None
        self._received = 0
        self._dropped = 0
        self._bytes = 0

    def put(self, event: Event, size: int) -> None:
        """Take an event whose frame has so many bytes; never waits."""
        items = self._items
        if len(items) < self._capacity and (together := self._bytes + size) <= self._max_bytes:
            items.append(event)
            self._bytes = together
            if self._waiter is not None:
                self._wake()
        else:
            self._overflow(event)

    def tell(self, event: Event) -> None:
        """Take an event that must not be lost, whatever the bound."""
        self._items.append(event)
        self._bytes += len(event.raw)
        self._wake()

    def close(self, error: Exception | None = None) -> None:
        """End it: what waits can still be taken, and then the ending is met."""
        if self._ending is None:
            self._ending = error if error is not None else ClosedError("the stream")
            self._wake()

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
        while not self._items:
            if self._ending is not None:
                raise self._ending.with_traceback(None)
            if self._waiter is not None:
                msg = "two tasks wait on one subscription: give each a subscription of its own"
                raise ConfigurationError(msg)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        if self._items:
            return self._take()
        if self._ending is not None:
            raise self._ending.with_traceback(None)  # every consumer meets the same ending
        return None

    def statistics(self) -> Statistics:
        """Return what this consumer has had."""
        return Statistics(self._received, len(self._items), self._dropped, self._bytes)

    def _take(self) -> Event:
        event: Event = self._items.popleft()
        self._received += 1
        self._bytes -= len(event.raw)
        return event

    def _overflow(self, event: Event) -> None:
        del event
        self._dropped += 1
        self._leave(self)
        self.close(SlowConsumerError(waiting=len(self._items), bytes_waiting=self._bytes))

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._items:
            return self._take()
        try:
            return await self.receive()
        except ClosedError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(self)
        self._items.clear()
        self._bytes = 0
        self.close()

    def __repr__(self) -> str:
        state = "ENDED" if self._ending is not None else "OPEN"
        return f"<{type(self).__name__} {state} {len(self._items)} waiting {self._dropped} dropped>"


class DropOldest(Subscription):
    """When it is full the oldest goes, and a ``Gap`` in its place tells how many did."""

    __slots__ = ("_gap_since",)

    def __init__(self, bound: Bound, leave: Callable[[Subscription], None], wall: Callable[[], datetime]) -> None:
        super().__init__(bound, leave, wall)
        self._gap_since: tuple[datetime, int] | None = None

    def _overflow(self, event: Event) -> None:
        self._items.append(event)
        self._bytes += len(event.raw)
        since, dropped = self._gap_since or (self._wall(), 0)
        while len(self._items) > self._capacity or (self._bytes > self._max_bytes and len(self._items) > 1):
            self._bytes -= len(self._items.popleft().raw)
            dropped += 1
            self._dropped += 1
        self._gap_since = (since, dropped)

    def _take(self) -> Event:
        if self._gap_since is not None:
            since, dropped = self._gap_since
            self._gap_since = None
            return Gap(cause="this consumer was too slow", since=since, until=self._wall(), dropped=dropped)
        return super()._take()


class Latest(Subscription):
    """Keeps the latest of each key: a later event takes the place of an earlier one that still waits.

    Its bound is the number of keys; a key too many closes it like any other.
    """

    __slots__ = ("_latest",)

    def __init__(self, bound: Bound, leave: Callable[[Subscription], None], wall: Callable[[], datetime]) -> None:
        super().__init__(bound, leave, wall)
        self._latest: dict[Hashable, Event] = {}

    def put(self, event: Event, size: int) -> None:
        """Take an event whose frame has so many bytes; never waits."""
        key = _key(event)
        before = self._latest.get(key)
        if before is None and len(self._items) >= self._capacity:
            self._overflow(event)
            return
        if before is None:
            self._items.append(key)
        else:
            self._dropped += 1
            self._bytes -= len(before.raw)
        self._latest[key] = event
        self._bytes += size
        self._wake()

    def tell(self, event: Event) -> None:
        """Take an event that must not be lost, whatever the bound."""
        self._items.append(id(event))
        self._latest[id(event)] = event
        self._bytes += len(event.raw)
        self._wake()

    def _take(self) -> Event:
        event = self._latest.pop(self._items.popleft())
        self._received += 1
        self._bytes -= len(event.raw)
        return event


def _key(event: Event) -> Hashable:
    return (type(event), event.account_id, event.symbol) if not isinstance(event, Gap) else id(event)


POLICIES: dict[str, type[Subscription]] = {"close": Subscription, "drop_oldest": DropOldest, "latest": Latest}


class Fanout:
    """Spreads events over subscriptions.

    Args:
        wall: tells the time of day, for the gaps that slow consumers get.
    """

    __slots__ = ("_all", "_ending", "_keyed", "_members", "_wall")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self._wall = wall
        self._members: dict[Subscription, Interest] = {}
        # Those who want all of a topic, and those who want only what has one key, by its most telling key.
        self._all: dict[str, tuple[Put, ...]] = {}
        self._keyed: dict[tuple[str, str, str], tuple[tuple[Subscription, Interest], ...]] = {}
        self._ending: Exception | None = None

    def subscribe(self, interest: Interest, overflow: str, bound: Bound) -> Subscription:
        """Add a consumer.

        Raises:
            ConfigurationError: there is no such policy, or the bound lets nothing wait.
            ConnectTradeError: the stream has ended, with why.
        """
        if overflow not in POLICIES or min(bound) < 1:
            msg = f"overflow must be one of {', '.join(POLICIES)}, and what may wait at least 1"
            raise ConfigurationError(msg)
        if self._ending is not None:
            raise self._ending
        subscription = POLICIES[overflow](bound, self.leave, self._wall)
        self._members[subscription] = interest
        self._index()
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a consumer; harmless when it has left."""
        if self._members.pop(subscription, None) is not None:
            self._index()

    def publish(self, event: Chosen) -> None:
        """Deliver an event to whom it concerns; never waits."""
        topic, size = event.topic, len(event.raw)
        # A tuple, made anew when somebody comes or goes: a queue that is full leaves while it is asked.
        for put in self._all.get(topic, ()):
            put(event, size)
        if self._keyed:
            self._publish_keyed(topic, event, size)

    def _publish_keyed(self, topic: str, event: Chosen, size: int) -> None:
        for name, value in (("account_id", event.account_id), ("user_id", event.user_id), ("symbol", event.symbol)):
            if value is not None and (place := self._keyed.get((topic, name, value))):
                for subscription, interest in place:
                    if interest.is_met_by(event):
                        subscription.put(event, size)

    def tell_all(self, event: Event) -> None:
        """Deliver what concerns everybody, whatever is in the way."""
        for subscription in tuple(self._members):
            subscription.tell(event)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription, and refuse new ones."""
        self._ending = error if error is not None else ClosedError("the stream")
        members = tuple(self._members)
        self._members.clear()
        self._all.clear()
        self._keyed.clear()
        for subscription in members:
            subscription.close(error)

    @property
    def members(self) -> tuple[Subscription, ...]:
        """The consumers there are."""
        return tuple(self._members)

    def _index(self) -> None:
        everything: dict[str, list[Put]] = {}
        keyed: dict[tuple[str, str, str], list[tuple[Subscription, Interest]]] = {}
        for subscription, interest in self._members.items():
            for topic in interest.topics:
                key = interest.key
                if key is None:
                    everything.setdefault(topic, []).append(subscription.put)
                else:
                    keyed.setdefault((topic, *key), []).append((subscription, interest))
        self._all = {topic: tuple(puts) for topic, puts in everything.items()}
        self._keyed = {key: tuple(place) for key, place in keyed.items()}
