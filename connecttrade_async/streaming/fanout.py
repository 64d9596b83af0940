"""Publish/subscribe: delivers each event to all matching subscriptions and never waits.

Delivering costs one ``deque.append`` for each subscription. Waiting consumers are woken afterwards, and capacities are
enforced every ``COMPACT_INTERVAL`` events, so neither costs a call for each event and subscription. Subscriptions are
indexed by the keys of their filters, so a subscription costs nothing for events that do not match.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

from connecttrade_async.errors import ClosedError
from connecttrade_async.streaming.filters import check_filter
from connecttrade_async.streaming.subscriptions import POLICIES, LatestSubscription, key_of
from connecttrade_async.validation import one_of, positive_int

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from connecttrade_async.models.events import Chosen, Event
    from connecttrade_async.models.market import MarketUpdate
    from connecttrade_async.streaming.filters import EventFilter, Predicate
    from connecttrade_async.streaming.subscriptions import Publisher, QueueCapacity, Subscription

    Fact = Chosen | MarketUpdate

__all__ = ["COMPACT_INTERVAL", "Fanout", "SubscriberSet"]

COMPACT_INTERVAL = 16  # events: a queue exceeds its capacity by 15 at most, and checking costs little


class SubscriberSet:
    """The subscriptions to one kind of event: those that receive all of it, and those with a predicate.

    Args:
        waiting: the set of subscriptions with a waiting consumer, if it is shared with other sets; else None.
        key: returns the key of an event for ``LatestSubscription``, or None for ``key_of``.

    Attributes:
        count: events delivered to this set so far.
        is_empty: whether the set has no subscription.
    """

    __slots__ = ("_appends", "_filtered", "_has_others", "_key", "_latest", "_members", "_waiting", "count", "is_empty")

    def __init__(
        self,
        waiting: set[Subscription] | None = None,
        key: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self._members: dict[Subscription, Predicate | None] = {}
        self._key = key_of if key is None else key
        # Tuples that are rebuilt when a subscription is added or removed: a full queue removes itself during delivery.
        self._appends: tuple[Callable[[Any], None], ...] = ()
        self._latest: tuple[LatestSubscription, ...] = ()
        self._filtered: tuple[tuple[Subscription, Predicate], ...] = ()
        self._waiting: set[Subscription] = set() if waiting is None else waiting
        self.count = 0
        self.is_empty = True
        self._has_others = False

    def add(self, subscription: Subscription, predicate: Predicate | None) -> None:
        """Add a subscription, with a predicate if each event has to pass one."""
        self._members[subscription] = predicate
        if predicate is None and not any(waiters is self._waiting for waiters in subscription.waiter_sets):
            subscription.waiter_sets.append(self._waiting)
        self._rebuild()

    def remove(self, subscription: Subscription) -> bool:
        """Remove a subscription; return whether the set is empty now."""
        del self._members[subscription]
        self._waiting.discard(subscription)
        self._rebuild()
        return not self._members

    def deliver(self, event: Fact) -> None:
        """Deliver an event to the subscriptions of this set; never waits."""
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
        for latest in self._latest:
            latest.keep(key, event)
        for subscription, predicate in self._filtered:
            if not predicate.matches(event):
                continue
            if isinstance(subscription, LatestSubscription):
                subscription.keep(key, event)
                subscription.wake()
            else:
                subscription.put(event)

    def _wake_all(self) -> None:
        while self._waiting:
            self._waiting.pop().wake()

    def _rebuild(self) -> None:
        self.is_empty = not self._members
        plain = [member for member, predicate in self._members.items() if predicate is None]
        self._latest = tuple(member for member in plain if isinstance(member, LatestSubscription))
        self._appends = tuple(member.append for member in plain if not isinstance(member, LatestSubscription))
        filtered = ((member, predicate) for member, predicate in self._members.items() if predicate is not None)
        self._filtered = tuple(filtered)
        self._has_others = bool(self._latest or self._filtered)


class TopicSubscribers(SubscriberSet):
    """The subscriptions to one topic: to all of it as members of this set, to a part of it by key.

    Attributes:
        by_account: the subscriptions to one account only, by account id.
        by_user: the subscriptions to one user only, by user id.
        by_symbol: the subscriptions to one symbol only, by symbol.
    """

    __slots__ = ("by_account", "by_symbol", "by_user")

    def __init__(self) -> None:
        super().__init__()
        self.by_account: dict[str | None, SubscriberSet] = {}
        self.by_user: dict[str | None, SubscriberSet] = {}
        self.by_symbol: dict[str | None, SubscriberSet] = {}

    def add_for(self, key: tuple[str, str], subscription: Subscription, predicate: Predicate | None) -> None:
        """Add a subscription to the events with this key, a name and a value."""
        self._sets_by(key[0]).setdefault(key[1], SubscriberSet()).add(subscription, predicate)

    def remove_for(self, key: tuple[str, str], subscription: Subscription) -> None:
        """Remove a subscription to the events with this key."""
        sets = self._sets_by(key[0])
        if sets[key[1]].remove(subscription):
            del sets[key[1]]

    def deliver_by_user_or_symbol(self, event: Fact) -> None:
        """Deliver an event to the subscriptions to its user or its symbol; never waits."""
        for subscribers in (self.by_user.get(event.user_id), self.by_symbol.get(event.symbol)):
            if subscribers is not None:
                subscribers.deliver(event)

    def _sets_by(self, name: str) -> dict[str | None, SubscriberSet]:
        return {"account_id": self.by_account, "user_id": self.by_user, "symbol": self.by_symbol}[name]


class Fanout:
    """Delivers events to subscriptions.

    Args:
        wall: returns the wall-clock time, aware, for the gaps of slow consumers.

    Attributes:
        wall: the same.
        largest: the size of the largest frame so far, in bytes.
    """

    __slots__ = ("_ending", "_members", "_topics", "largest", "wall")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        self.wall: Callable[[], datetime] = wall
        self.largest = 0
        self._members: dict[Subscription, EventFilter] = {}
        self._topics: dict[str, TopicSubscribers] = defaultdict(TopicSubscribers)
        self._ending: Exception | None = None

    def subscribe(self, event_filter: EventFilter, overflow: str, capacity: QueueCapacity) -> Subscription:
        """Add a subscription.

        Args:
            event_filter: the filter of its events.
            overflow: the overflow policy, a key of ``POLICIES``.
            capacity: the capacity of its queue.

        Returns:
            The subscription, which receives events from now on.

        Raises:
            ConfigurationError: the overflow policy, the capacity or a key of the filter is invalid.
            ConnectTradeError: the stream has ended, with the reason.
        """
        one_of("overflow", overflow, POLICIES)
        positive_int("capacity", capacity.events)
        positive_int("max_bytes", capacity.bytes)
        for name, value in event_filter.keys:
            check_filter(name, value)
        if self._ending is not None:
            raise self._ending.with_traceback(None)  # every late subscriber gets the same error object
        # pyright takes a callable in a slot for a method without ``self``.
        subscription = POLICIES[overflow](capacity, cast("Publisher", self))
        self._members[subscription] = event_filter
        for topic in dict.fromkeys(event_filter.topics):
            key = event_filter.key_of(topic)
            if key is None:
                self._topics[topic].add(subscription, None)
            else:
                self._topics[topic].add_for(key, subscription, None if event_filter.has_one_key else event_filter)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription; do nothing if it is removed already."""
        event_filter = self._members.pop(subscription, None)
        if event_filter is None:
            return
        for topic in dict.fromkeys(event_filter.topics):
            key = event_filter.key_of(topic)
            if key is None:
                self._topics[topic].remove(subscription)
            else:
                self._topics[topic].remove_for(key, subscription)

    def publish(self, event: Fact) -> None:
        """Deliver an event to all matching subscriptions; never waits."""
        topic = self._topics[event.topic]
        if len(event.raw) > self.largest:  # noqa: PLR1730 - max would cost a call for each event
            self.largest = len(event.raw)
        if topic.is_empty:
            topic.count += 1
        else:
            topic.deliver(event)
        if topic.by_account:
            subscribers = topic.by_account.get(event.account_id)
            if subscribers is not None:
                subscribers.deliver(event)
        if topic.by_user or topic.by_symbol:
            topic.deliver_by_user_or_symbol(event)

    def handle(self, sync_event: object) -> None:
        """Process a sync event of a connection; the brokerage stream has none, so this does nothing."""

    def publish_to_all(self, event: Event) -> None:
        """Deliver an event to every subscription, whatever its filter and capacity."""
        for subscription in tuple(self._members):
            subscription.put_urgent(event)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription and refuse new ones.

        Args:
            error: the error that subscriptions raise, or None for ``ClosedError``.
        """
        self._ending = error if error is not None else ClosedError("the stream")
        for subscription in tuple(self._members):
            self.unsubscribe(subscription)
            subscription.close(error)

    @property
    def has_subscriber(self) -> bool:
        """Whether there is any subscription."""
        return bool(self._members)

    @property
    def members(self) -> tuple[Subscription, ...]:
        """All subscriptions, with their capacities enforced."""
        for subscription in tuple(self._members):
            subscription.enforce_capacity()
        return tuple(self._members)

    @property
    def counts(self) -> dict[str, int]:
        """The number of events published so far, by topic."""
        return {name: topic.count for name, topic in self._topics.items() if topic.count}
