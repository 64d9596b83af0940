"""A door: publish once, deliver to many, wait for none.

To deliver is one ``deque.append`` for each consumer; who waits is woken afterwards, and bounds are looked at every few
events, so neither is asked of each consumer for each event. Interest is indexed by key, so a consumer costs only what
it asked for.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.streaming.filters import check_filter
from connecttrade_async.streaming.subscriptions import POLICIES, LatestSubscription, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from connecttrade_async.models.events import Chosen, Event
    from connecttrade_async.models.market import MarketUpdate
    from connecttrade_async.streaming.filters import EventFilter, Predicate
    from connecttrade_async.streaming.subscriptions import Capacity, Subscription

    Fact = Chosen | MarketUpdate

__all__ = ["COMPACT_INTERVAL", "Fanout", "SubscriberSet"]

COMPACT_INTERVAL = 16  # often enough that little is held beyond a bound, seldom enough that looking costs little


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class SubscriberSet:
    """Where one kind of event is delivered: to everybody who wants it as it is, and to those who look closer.

    Args:
        waiting: where those are who wait empty-handed, if that is shared with other places.
        key: of what an event is the latest, if not what ``key_of`` says.

    Attributes:
        count: events that came here.
        is_empty: whether nobody is here.
    """

    __slots__ = ("_appends", "_filtered", "_has_others", "_key", "_latest", "_members", "_waiting", "count", "is_empty")

    def __init__(
        self,
        waiting: set[Subscription] | None = None,
        key: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self._members: dict[Subscription, Predicate | None] = {}
        self._key = key_of if key is None else key
        # Tuples, made anew when somebody comes or goes: a queue that is full leaves while it is asked.
        self._appends: tuple[Callable[[Any], None], ...] = ()
        self._latest: tuple[LatestSubscription, ...] = ()
        self._filtered: tuple[tuple[Subscription, Predicate], ...] = ()
        self._waiting: set[Subscription] = set() if waiting is None else waiting
        self.count = 0
        self.is_empty = True
        self._has_others = False

    def add(self, subscription: Subscription, interest: Predicate | None) -> None:
        """Add a consumer; with an interest if it has to be asked for each event."""
        self._members[subscription] = interest
        if interest is None and not any(bell is self._waiting for bell in subscription.waiter_sets):
            subscription.waiter_sets.append(self._waiting)
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
            self._deliver_filtered(event)
        if self._waiting:
            self._wake_all()
        self.count = count = self.count + 1
        if not count % COMPACT_INTERVAL:
            self._compact()

    def _compact(self) -> None:
        for subscription in tuple(self._members):
            subscription.enforce_capacity()

    def _deliver_filtered(self, event: Fact) -> None:
        key = self._key(event)
        for subscription in self._latest:
            subscription.keep(key, event)
        for chooser, interest in self._filtered:
            if not interest.matches(event):
                continue
            if isinstance(chooser, LatestSubscription):
                chooser.keep(key, event)
                chooser.wake()
            else:
                chooser.put(event)

    def _wake_all(self) -> None:
        while self._waiting:
            self._waiting.pop().wake()

    def _arrange(self) -> None:
        self.is_empty = not self._members
        plain = [member for member, interest in self._members.items() if interest is None]
        self._latest = tuple(member for member in plain if isinstance(member, LatestSubscription))
        self._appends = tuple(member.append for member in plain if not isinstance(member, LatestSubscription))
        self._filtered = tuple((member, interest) for member, interest in self._members.items() if interest is not None)
        self._has_others = bool(self._latest or self._filtered)


class TopicSubscribers(SubscriberSet):
    """Where the events of one topic are delivered: its own members want all of it, and whoever wants a part has a key.

    Attributes:
        by_account: by account id, where those are who want only that account.
        by_user: the same by user id.
        by_symbol: the same by symbol.
    """

    __slots__ = ("by_account", "by_symbol", "by_user")

    def __init__(self) -> None:
        super().__init__()
        self.by_account: dict[str | None, SubscriberSet] = {}
        self.by_user: dict[str | None, SubscriberSet] = {}
        self.by_symbol: dict[str | None, SubscriberSet] = {}

    def add_for(self, key: tuple[str, str], subscription: Subscription, interest: Predicate | None) -> None:
        """Add a consumer that wants only what has this key, a name and a value."""
        self._sets(key[0]).setdefault(key[1], SubscriberSet()).add(subscription, interest)

    def remove_for(self, key: tuple[str, str], subscription: Subscription) -> None:
        """Remove a consumer that wants only what has this key."""
        places = self._sets(key[0])
        if places[key[1]].remove(subscription):
            del places[key[1]]

    def deliver_by_user_or_symbol(self, event: Fact) -> None:
        """Deliver an event to those who know it by its user or its symbol; never waits."""
        for place in (self.by_user.get(event.user_id), self.by_symbol.get(event.symbol)):
            if place is not None:
                place.deliver(event)

    def _sets(self, name: str) -> dict[str | None, SubscriberSet]:
        return {"account_id": self.by_account, "user_id": self.by_user, "symbol": self.by_symbol}[name]


class Fanout:
    """Spreads events over subscriptions.

    Args:
        wall: tells the time of day, for the gaps that slow consumers get.

    Attributes:
        largest: bytes of the largest frame so far.
    """

    __slots__ = ("_ending", "_members", "_topics", "_wall", "largest")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self._wall = wall
        self.largest = 0
        self._members: dict[Subscription, EventFilter] = {}
        self._topics: dict[str, TopicSubscribers] = defaultdict(TopicSubscribers)
        self._ending: Exception | None = None

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return self._wall()

    def subscribe(self, interest: EventFilter, overflow: str, bound: Capacity) -> Subscription:
        """Add a consumer.

        Raises:
            ConfigurationError: there is no such policy, the bound lets nothing wait, or a key is no text.
            ConnectTradeError: the stream has ended, with why.
        """
        if overflow not in tuple(POLICIES) or not all(map(_is_count, bound)):
            msg = f"overflow must be one of {', '.join(POLICIES)}, and what may wait a whole number from 1 on"
            raise ConfigurationError(msg)
        for name, value in interest.keys:
            check_filter(name, value)
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

    def unsubscribe(self, subscription: Subscription) -> None:
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
            topic.deliver_by_user_or_symbol(event)

    def handle(self, news: object) -> None:
        """Take what a link tells that is no event; here nobody waits for any."""

    def publish_to_all(self, event: Event) -> None:
        """Deliver what concerns everybody, whatever is in the way."""
        for subscription in tuple(self._members):
            subscription.put_urgent(event)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription, and refuse new ones."""
        self._ending = error if error is not None else ClosedError("the stream")
        for subscription in tuple(self._members):
            self.unsubscribe(subscription)
            subscription.close(error)

    @property
    def has_subscriber(self) -> bool:
        """Whether there is any consumer."""
        return bool(self._members)

    @property
    def members(self) -> tuple[Subscription, ...]:
        """The consumers there are."""
        for subscription in tuple(self._members):
            subscription.enforce_capacity()
        return tuple(self._members)

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each topic there were so far, where there were any."""
        return {name: topic.count for name, topic in self._topics.items() if topic.count}
