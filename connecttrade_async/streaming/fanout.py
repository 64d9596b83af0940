"""A door: publish once, deliver to many, wait for none.

One queue class for each policy of a full queue: a deque, and one Future that is there only while its consumer waits
empty-handed. To deliver is one ``deque.append`` for each consumer; who waits is woken afterwards, and bounds are looked
at every few events, so neither is asked of each consumer for each event. Interest is indexed by key, so a consumer
costs only what it asked for.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from connecttrade_async.errors import ClosedError, ConfigurationError, SlowConsumerError
from connecttrade_async.models.events import Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime
    from types import TracebackType

    from connecttrade_async.models.events import Chosen, Event
    from connecttrade_async.models.market import MarketUpdate, SymbolRefused

    Fact = Chosen | MarketUpdate

__all__ = ["Bound", "DropOldest", "Fanout", "Interest", "Latest", "Place", "Statistics", "Subscription"]

SLOW = "this consumer was too slow"
LOOK_EVERY = 16  # often enough that little is held beyond a bound, seldom enough that looking costs little


UNKEYED = frozenset({"lifecycle"})
"""What happens to the stream itself happens to everybody who asked to hear of it, whatever else they want."""


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
    """What a consumer wants: topics, and of these only what matches every key that is not None.

    The topic ``lifecycle`` has no keys: whoever asks for it hears all of it.
    """

    topics: tuple[str, ...]
    account_id: str | None = None
    user_id: str | None = None
    symbol: str | None = None

    @property
    def keys(self) -> tuple[tuple[str, str | None], ...]:
        """Every key, the most telling first, by name and value."""
        return (("account_id", self.account_id), ("user_id", self.user_id), ("symbol", self.symbol))

    def key_of(self, topic: str) -> tuple[str, str] | None:
        """Return the most telling key there is, by name and value; None where all of a topic is wanted."""
        if topic in UNKEYED:
            return None
        return next(((name, value) for name, value in self.keys if value is not None), None)

    @property
    def has_one_key(self) -> bool:
        """Whether there is just one key."""
        return (self.account_id, self.user_id, self.symbol).count(None) == 2  # noqa: PLR2004 - of three

    def is_met_by(self, event: Fact) -> bool:
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


def _check_key(name: str, value: object) -> None:
    # Anything else would match nothing, and whoever waits for fills would wait in vain.
    if value is not None and not (isinstance(value, str) and value):
        msg = f"{name} must be a text that is not empty, not {value!r}"
        raise ConfigurationError(msg)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
        "_hub",
        "_items",
        "_max_bytes",
        "_received",
        "_waiter",
        "_weighed",
        "append",
        "bells",
    )

    def __init__(self, bound: Bound, hub: Fanout) -> None:
        self._capacity, self._max_bytes = bound
        self._hub = hub
        self._items: deque[Any] = deque()
        self.append: Callable[[Any], None] = self._items.append
        self.bells: list[set[Subscription]] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ending: Exception | None = None
        self._received = 0
        self._dropped = 0
        self._weighed = (0, 0)

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Take an event and wake the consumer; never waits."""
        self.append(event)
        self.wake()

    def tell(self, event: Event | SymbolRefused) -> None:
        """Take an event that must not be lost, whatever the bound."""
        self.enforce()
        if self._ending is None:
            self.put(event)

    def close(self, error: Exception | None = None) -> None:
        """End it: what waits can still be taken, and then the ending is met."""
        self.enforce()
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
        for bell in self.bells:
            bell.add(self)
        return waiter

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        items = self._items
        if len(items) > self._capacity:
            self.enforce()
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

    def statistics(self) -> Statistics:
        """Return what this consumer has had."""
        self.enforce()
        return Statistics(self._received, len(self._items), self._dropped, self._weight())

    def enforce(self) -> None:
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
        self._hub.leave(self)
        self._ending = SlowConsumerError(waiting=len(self._items), bytes_waiting=weight)
        self.wake()

    def _is_too_heavy(self) -> bool:
        largest, waiting = self._hub.largest, len(self._items)
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
        self._hub.leave(self)
        self._items.clear()
        self.close()

    def __repr__(self) -> str:
        state = "ENDED" if self._ending is not None else "OPEN"
        return f"<{type(self).__name__} {state} {len(self._items)} waiting {self._dropped} dropped>"


class DropOldest(Subscription):
    """When it is full the oldest goes, and a ``Gap`` in its place tells how many did."""

    __slots__ = ("_idle_at",)

    def __init__(self, bound: Bound, hub: Fanout) -> None:
        super().__init__(bound, hub)
        self._idle_at = hub.wall()

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        event = super().receive_nowait()
        if event is None:
            self._idle_at = self._hub.wall()
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
                Gap(cause=SLOW, since=since, until=self._hub.wall(), dropped=dropped, could_send=could_send)
            )


class Latest(Subscription):
    """Keeps the latest of each key: a later event takes the place of an earlier one that still waits.

    Its bound is the number of keys; a key too many closes it like any other.
    """

    __slots__ = ("_latest",)

    def __init__(self, bound: Bound, hub: Fanout) -> None:
        super().__init__(bound, hub)
        self._latest: dict[Hashable, Any] = {}

    def put(self, event: Event | Fact | SymbolRefused) -> None:
        """Take an event and wake the consumer; never waits."""
        self.keep(key_of(event), event)
        self.wake()

    def keep(self, key: Hashable, event: Event | Fact | SymbolRefused) -> None:
        """Take an event of this key, without waking anybody."""
        latest = self._latest
        if key in latest:
            self._dropped += 1
        elif len(latest) >= self._capacity and type(event) is not Gap:
            self._dropped += 1
            self._fail(self._weight())
            return
        else:
            self.append(key)
        latest[key] = event

    def receive_nowait(self) -> Event | None:
        """Return the next event, or None where none waits.

        Raises:
            ConnectTradeError: as ``receive``, once nothing waits.
        """
        key = super().receive_nowait()
        return None if key is None else self._latest.pop(key)

    def discard(self, is_unwanted: Callable[[Any], bool]) -> None:
        """Take out of the queue what is wanted no more, as if it had never come."""
        latest = self._latest
        super().discard(lambda key: is_unwanted(latest[key]))
        self._latest = {key: latest[key] for key in self._items}

    def enforce(self) -> None:
        """See to it that the bound is kept: it is, since nothing is taken that would break it."""

    def _weight(self) -> int:
        return sum(len(event.raw) for event in self._latest.values())

    async def __anext__(self) -> Event:
        if self._items:
            self._received += 1
            event: Event = self._latest.pop(self._items.popleft())
            return event
        return await super().__anext__()


def key_of(event: Event | Fact | SymbolRefused) -> Hashable:
    """Return what an event is the latest of."""
    return (type(event), event.account_id, event.symbol) if not isinstance(event, Gap) else id(event)


POLICIES: dict[str, type[Subscription]] = {"close": Subscription, "drop_oldest": DropOldest, "latest": Latest}


class Choice(Protocol):
    """What a consumer that looks closer wants."""

    def is_met_by(self, event: Any, /) -> bool:  # noqa: ANN401 - whatever comes to the place where it looks
        """Whether an event is wanted."""
        ...


class Place:
    """Where one kind of event is delivered: to everybody who wants it as it is, and to those who look closer.

    Args:
        waiting: where those are who wait empty-handed, if that is shared with other places.
        key: of what an event is the latest, if not what ``key_of`` says.

    Attributes:
        count: events that came here.
        is_empty: whether nobody is here.
    """

    __slots__ = ("_appends", "_choosy", "_has_others", "_key", "_latest", "_members", "_waiting", "count", "is_empty")

    def __init__(
        self,
        waiting: set[Subscription] | None = None,
        key: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self._members: dict[Subscription, Choice | None] = {}
        self._key = key_of if key is None else key
        # Tuples, made anew when somebody comes or goes: a queue that is full leaves while it is asked.
        self._appends: tuple[Callable[[Any], None], ...] = ()
        self._latest: tuple[Latest, ...] = ()
        self._choosy: tuple[tuple[Subscription, Choice], ...] = ()
        self._waiting: set[Subscription] = set() if waiting is None else waiting
        self.count = 0
        self.is_empty = True
        self._has_others = False

    def add(self, subscription: Subscription, interest: Choice | None) -> None:
        """Add a consumer; with an interest if it has to be asked for each event."""
        self._members[subscription] = interest
        if interest is None and not any(bell is self._waiting for bell in subscription.bells):
            subscription.bells.append(self._waiting)
        self._arrange()

    def remove(self, subscription: Subscription) -> bool:
        """Remove a consumer; returns whether nobody is left."""
        del self._members[subscription]
        self._waiting.discard(subscription)
        self._arrange()
        return not self._members

    def deliver(self, event: Fact) -> None:
        """Deliver an event to whom it concerns; never waits."""
        for append in self._appends:
            append(event)
        if self._has_others:
            self._deliver_otherwise(event)
        if self._waiting:
            self._ring()
        self.count = count = self.count + 1
        if not count % LOOK_EVERY:
            self._look()

    def _look(self) -> None:
        for subscription in tuple(self._members):
            subscription.enforce()

    def _deliver_otherwise(self, event: Fact) -> None:
        key = self._key(event)
        for subscription in self._latest:
            subscription.keep(key, event)
        for chooser, interest in self._choosy:
            if not interest.is_met_by(event):
                continue
            if isinstance(chooser, Latest):
                chooser.keep(key, event)
                chooser.wake()
            else:
                chooser.put(event)

    def _ring(self) -> None:
        while self._waiting:
            self._waiting.pop().wake()

    def _arrange(self) -> None:
        self.is_empty = not self._members
        plain = [member for member, interest in self._members.items() if interest is None]
        self._latest = tuple(member for member in plain if isinstance(member, Latest))
        self._appends = tuple(member.append for member in plain if not isinstance(member, Latest))
        self._choosy = tuple((member, interest) for member, interest in self._members.items() if interest is not None)
        self._has_others = bool(self._latest or self._choosy)


class Topic(Place):
    """Where the events of one topic are delivered: its own members want all of it, and whoever wants a part has a key.

    Attributes:
        by_account: by account id, where those are who want only that account.
        by_user: the same by user id.
        by_symbol: the same by symbol.
    """

    __slots__ = ("by_account", "by_symbol", "by_user")

    def __init__(self) -> None:
        super().__init__()
        self.by_account: dict[str | None, Place] = {}
        self.by_user: dict[str | None, Place] = {}
        self.by_symbol: dict[str | None, Place] = {}

    def add_for(self, key: tuple[str, str], subscription: Subscription, interest: Choice | None) -> None:
        """Add a consumer that wants only what has this key, a name and a value."""
        self._places(key[0]).setdefault(key[1], Place()).add(subscription, interest)

    def remove_for(self, key: tuple[str, str], subscription: Subscription) -> None:
        """Remove a consumer that wants only what has this key."""
        places = self._places(key[0])
        if places[key[1]].remove(subscription):
            del places[key[1]]

    def deliver_by_the_rest(self, event: Fact) -> None:
        """Deliver an event to those who know it by its user or its symbol; never waits."""
        for place in (self.by_user.get(event.user_id), self.by_symbol.get(event.symbol)):
            if place is not None:
                place.deliver(event)

    def _places(self, name: str) -> dict[str | None, Place]:
        return {"account_id": self.by_account, "user_id": self.by_user, "symbol": self.by_symbol}[name]


class Fanout:
    """Spreads events over subscriptions.

    Args:
        wall: tells the time of day, for the gaps that slow consumers get.

    Attributes:
        wall: the same.
        largest: bytes of the largest frame so far.
    """

    __slots__ = ("_ending", "_members", "_topics", "largest", "wall")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self.wall = wall
        self.largest = 0
        self._members: dict[Subscription, Interest] = {}
        self._topics: dict[str, Topic] = defaultdict(Topic)
        self._ending: Exception | None = None

    def subscribe(self, interest: Interest, overflow: str, bound: Bound) -> Subscription:
        """Add a consumer.

        Raises:
            ConfigurationError: there is no such policy, the bound lets nothing wait, or a key is no text.
            ConnectTradeError: the stream has ended, with why.
        """
        if overflow not in tuple(POLICIES) or not all(map(_is_count, bound)):
            msg = f"overflow must be one of {', '.join(POLICIES)}, and what may wait a whole number from 1 on"
            raise ConfigurationError(msg)
        for name, value in interest.keys:
            _check_key(name, value)
        if self._ending is not None:
            raise self._ending.with_traceback(None)  # everybody who comes too late meets the same ending
        subscription = POLICIES[overflow](bound, self)
        self._members[subscription] = interest
        for topic in dict.fromkeys(interest.topics):
            key = interest.key_of(topic)
            if key is None:
                self._topics[topic].add(subscription, None)
            else:
                self._topics[topic].add_for(key, subscription, None if interest.has_one_key else interest)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Remove a consumer; harmless when it has left."""
        interest = self._members.pop(subscription, None)
        if interest is None:
            return
        for topic in dict.fromkeys(interest.topics):
            key = interest.key_of(topic)
            if key is None:
                self._topics[topic].remove(subscription)
            else:
                self._topics[topic].remove_for(key, subscription)

    def publish(self, event: Fact) -> None:
        """Deliver an event to whom it concerns; never waits."""
        topic = self._topics[event.topic]
        if len(event.raw) > self.largest:  # noqa: PLR1730 - max would cost a call for each event
            self.largest = len(event.raw)
        if topic.is_empty:
            topic.count += 1
        else:
            topic.deliver(event)
        if topic.by_account:
            place = topic.by_account.get(event.account_id)
            if place is not None:
                place.deliver(event)
        if topic.by_user or topic.by_symbol:
            topic.deliver_by_the_rest(event)

    def take(self, news: object) -> None:
        """Take what a link tells that is no event; here nobody waits for any."""

    def tell_all(self, event: Event) -> None:
        """Deliver what concerns everybody, whatever is in the way."""
        for subscription in tuple(self._members):
            subscription.tell(event)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription, and refuse new ones."""
        self._ending = error if error is not None else ClosedError("the stream")
        for subscription in tuple(self._members):
            self.leave(subscription)
            subscription.close(error)

    @property
    def is_heard(self) -> bool:
        """Whether there is any consumer."""
        return bool(self._members)

    @property
    def members(self) -> tuple[Subscription, ...]:
        """The consumers there are."""
        for subscription in tuple(self._members):
            subscription.enforce()
        return tuple(self._members)

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each topic there were so far, where there were any."""
        return {name: topic.count for name, topic in self._topics.items() if topic.count}
