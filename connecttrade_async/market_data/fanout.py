"""Market data fan-out: deliver each event by channel and symbol, and each reply to the call that awaits it.

A feed subscribes to hundreds of symbols, which change while it is open. So each symbol has a subscriber set of its own,
and all sets share one set of waiting subscriptions: a feed that waits is in one place, however many symbols it has.
"""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from connecttrade_async.errors import ClosedError, MarketDataRefusedError
from connecttrade_async.market_data.names import CHAIN, CHANNELS
from connecttrade_async.market_data.replies import PendingReplies
from connecttrade_async.market_data.sync_events import (
    DataMissed,
    ReplyReceived,
    SubscriptionConfirmed,
    SubscriptionRejected,
)
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import SymbolRefused
from connecttrade_async.streaming.fanout import COMPACT_INTERVAL, Fanout, SubscriberSet
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connecttrade_async.market_data.registry import SubscriptionKey
    from connecttrade_async.streaming.filters import Predicate

__all__ = ["MarketDataFanout"]


class SymbolSubscribers(SubscriberSet):
    """Subscribers of one channel and symbol, which share the set of waiting subscriptions with all other symbols."""

    __slots__ = ()

    def _wake_all(self) -> None:
        # Only the members: the shared set also holds subscriptions that wait for other symbols.
        for subscription in self._members.keys() & self._waiting:
            self._waiting.discard(subscription)
            subscription.wake()


class MarketDataFanout(Fanout):
    """Delivers market data to feeds, and replies to calls.

    Args:
        wall: returns the time of day, which dates the gaps of slow subscriptions.

    Attributes:
        replies: the replies that calls await.
    """

    __slots__ = ("_by_symbol", "_keys", "_other_counts", "_since_compact", "_waiting", "replies")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        super().__init__(wall)
        self.replies = PendingReplies()
        self._by_symbol: dict[str, dict[str, SubscriberSet]] = {channel: {} for channel in CHANNELS}
        self._keys: dict[Subscription, set[SubscriptionKey]] = {}
        self._other_counts: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self._waiting: set[Subscription] = set()
        self._since_compact = 0

    def open(self, overflow: str, capacity: QueueCapacity) -> Subscription:
        """Add a subscription that has no symbols yet.

        Raises:
            ConfigurationError: the policy is unknown, or the capacity is not positive.
            ConnectTradeError: the stream has ended, with its cause.
        """
        return self.subscribe(EventFilter(()), overflow, capacity)

    def attach(self, subscription: Subscription, key: SubscriptionKey, predicate: Predicate | None) -> None:
        """Deliver a symbol to a subscription from now on; with a predicate, only the events that match it."""
        subscribers = self._by_symbol[key.channel].get(key.symbol)
        if subscribers is None:
            # Always tuples: a queue takes the key None for "not replaceable", and a chain may have no expiration.
            # The underlying is in the key because a feed may hold chains of several underlyings.
            names = ("underlying", "expiration_text") if key.channel == CHAIN else ("symbol",)
            subscribers = self._by_symbol[key.channel][key.symbol] = SymbolSubscribers(
                self._waiting, attrgetter(*names)
            )
        subscribers.add(subscription, predicate)
        self._keys.setdefault(subscription, set()).add(key)

    def detach(self, subscription: Subscription, key: SubscriptionKey) -> None:
        """Stop delivering a symbol to a subscription; ignored where it is not attached."""
        if key not in self._keys.get(subscription, ()):
            return
        self._keys[subscription].discard(key)
        subscribers = self._by_symbol[key.channel][key.symbol]
        if subscribers.remove(subscription):
            self._other_counts[key.channel] += subscribers.count
            del self._by_symbol[key.channel][key.symbol]

    def keys_of(self, subscription: Subscription) -> frozenset[SubscriptionKey]:
        """Return the keys that are delivered to a subscription."""
        return frozenset(self._keys.get(subscription, ()))

    def publish(self, event: Any) -> None:  # noqa: ANN401 - market data, or an event of any stream
        """Deliver an event to its subscribers, without waiting."""
        by_symbol = self._by_symbol.get(event.topic)
        if by_symbol is None:
            super().publish(event)
            return
        if len(event.raw) > self.largest:  # noqa: PLR1730 - max would cost a call for each event
            self.largest = len(event.raw)
        subscribers = by_symbol.get(event.symbol)
        if subscribers is None:
            self._other_counts[event.topic] += 1
        else:
            subscribers.deliver(event)
        # Each set enforces capacities after every sixteenth of its own events. A feed of many symbols receives far more
        # than sixteen events before any of its sets does, so all events are counted here as well.
        self._since_compact += 1
        if self._since_compact >= COMPACT_INTERVAL and self._since_compact >= len(self._members):
            self._since_compact = 0
            for subscription in tuple(self._members):
                subscription.enforce_capacity()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription with all its symbols; ignored where it was removed before."""
        super().unsubscribe(subscription)
        for key in self.keys_of(subscription):
            self.detach(subscription, key)
        self._keys.pop(subscription, None)
        self._waiting.discard(subscription)

    def check_is_open(self, subscription: Subscription) -> None:
        """Raise where a subscription has ended: its queue would fill, and no task would take from it.

        Raises:
            ClosedError: the subscription was closed, or ended because its consumer was too slow.
            ConnectTradeError: the stream has ended, with its cause.
        """
        if self._ending is not None:
            raise self._ending.with_traceback(None)
        if subscription not in self._members:
            raise ClosedError("this feed")

    def handle(self, sync_event: object) -> None:
        """Apply a result of subscription syncing: resolve replies, and deliver gaps and rejections."""
        match sync_event:
            case SubscriptionConfirmed(keys=keys):
                self.replies.confirm(keys)
            case DataMissed(requester=Subscription() as subscription, seconds=seconds, cause=cause):
                until = self.wall()
                subscription.put_urgent(Gap(cause=cause, since=until - timedelta(seconds=seconds), until=until))
            case SubscriptionRejected():
                self._reject(sync_event)
            case ReplyReceived(request_id=request_id):
                self.replies.resolve(None, request_id, sync_event)
            case _:
                super().handle(sync_event)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription, resolve every awaited reply with the error, and reject new subscriptions."""
        super().close(error)
        self.replies.close(error if error is not None else ClosedError("the stream"))

    @property
    def counts(self) -> dict[str, int]:
        """Number of events so far, by topic; topics without events are left out."""
        counts = super().counts
        for channel, by_symbol in self._by_symbol.items():
            count = self._other_counts[channel] + sum(subscribers.count for subscribers in by_symbol.values())
            if count:
                counts[channel] = count
        return counts

    def _reject(self, event: SubscriptionRejected) -> None:
        channel, symbol = event.key.channel, event.key.symbol
        for requester in event.requesters:
            error = MarketDataRefusedError(what=channel, symbol=symbol, code=event.code, cause=event.cause)
            if self.replies.is_expected(requester, event.key):
                self.replies.resolve(requester, event.key, error)
            elif isinstance(requester, Subscription):
                self.detach(requester, event.key)
                requester.put_urgent(SymbolRefused(channel=channel, symbol=symbol, code=event.code, cause=error.cause))
                if not self.keys_of(requester):
                    self.unsubscribe(requester)
                    requester.close(error)
