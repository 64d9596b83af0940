"""A fan-out that knows up to which position of the log its subscriptions have received all events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.subscriptions import LatestSubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from connecttrade_async.models.events import Gap
    from connecttrade_async.relay.log import LogPosition
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["PositionedFanout"]

MIN_PRUNED = 1024  # events


class PublishedEvent(NamedTuple):
    """An event that may still be queued.

    Attributes:
        event: the event. It is kept, so that no other event can have its identity.
        before: the position before it.
        at: its own position.
    """

    event: Any
    before: LogPosition | None
    at: LogPosition | None


class PositionedFanout(Fanout):
    """Delivers events to subscriptions, and remembers the positions of those that are queued.

    Args:
        wall: returns the wall-clock time, aware, for the gaps of slow consumers.

    Attributes:
        latest: the position of the last entry that was published or needs no event.
    """

    __slots__ = ("_limit", "_published", "_unsubscribed", "latest")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        super().__init__(wall)
        self.latest: LogPosition | None = None
        # By identity, since two equal events have two positions.
        self._published: dict[int, PublishedEvent] = {}
        self._limit = MIN_PRUNED
        self._unsubscribed: dict[Subscription, LogPosition | None] = {}

    def publish_at(self, event: Any, position: LogPosition | None) -> None:  # noqa: ANN401 - an Event
        """Deliver the event of an entry; never waits."""
        self._remember(event, position)
        self.publish(event)
        self.latest = position

    def publish_gap(self, gap: Gap) -> None:
        """Deliver a gap before the next entry. A reader that resumes before it finds the gap again."""
        self._remember(gap, self.latest)
        self.publish_to_all(gap)

    @property
    def position(self) -> LogPosition | None:
        """The position up to which every subscription has received all its events, or None before the first entry.

        Events in the queue of a subscription are behind it. A subscription that ended because it was too slow holds
        it back until it is closed.
        """
        oldest = self.latest
        for subscription in tuple(self._members):
            oldest = _earlier(oldest, self._position_of(subscription, oldest))
        for subscription, last in tuple(self._unsubscribed.items()):
            if subscription.is_too_slow:
                oldest = _earlier(oldest, self._position_of(subscription, last))
            else:
                del self._unsubscribed[subscription]
        return oldest

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription; do nothing if it is removed already."""
        if subscription in self._members:
            # What a slow consumer was not given begins behind the last event in its queue.
            last = self.latest
            if not isinstance(subscription, LatestSubscription):
                for published in self._queued(subscription):
                    last = published.at
            self._unsubscribed[subscription] = last
        else:
            self._unsubscribed.pop(subscription, None)
        super().unsubscribe(subscription)

    def _position_of(self, subscription: Subscription, otherwise: LogPosition | None) -> LogPosition | None:
        oldest, has_queued = otherwise, False
        for published in self._queued(subscription):
            oldest = published.before if not has_queued else _earlier(oldest, published.before)
            has_queued = True
            if not isinstance(subscription, LatestSubscription):
                break
        return oldest

    def _queued(self, subscription: Subscription) -> Iterator[PublishedEvent]:
        for event in subscription.queued:
            published = self._published.get(id(event))
            if published is not None and published.event is event:
                yield published

    def _remember(self, event: Any, position: LogPosition | None) -> None:  # noqa: ANN401 - an Event
        self._published[id(event)] = PublishedEvent(event, self.latest, position)
        if len(self._published) > self._limit:
            self._unsubscribed = {each: last for each, last in self._unsubscribed.items() if each.is_too_slow}
            subscriptions = (*self._members, *self._unsubscribed)
            kept = {id(published.event): published for each in subscriptions for published in self._queued(each)}
            kept[id(event)] = self._published[id(event)]
            self._published = kept
            self._limit = 2 * len(kept) + MIN_PRUNED


def _earlier(one: LogPosition | None, other: LogPosition | None) -> LogPosition | None:
    return None if one is None or other is None else min(one, other)
