"""A door: publish once, deliver by channel and symbol; and hand each answer to who waits for it.

A consumer of market data wants symbols that come and go, hundreds of them, so it has a place for each; what it waits on
is one bell for all of them. What a link tells of its subscriptions comes here too, as values.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from connecttrade_async.errors import ClosedError, MarketDataRefusedError
from connecttrade_async.market_data.codec import CHAIN, CHANNELS
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
from connecttrade_async.streaming.subscriptions import Capacity, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from connecttrade_async.market_data.registry import SubscriptionKey
    from connecttrade_async.streaming.filters import Predicate

__all__ = ["MarketDataFanout"]

T = TypeVar("T")
ABANDONED = "the feed was left, or the symbol removed, before the server answered"


class SharedWakeSet(SubscriberSet):
    """Where the events of one channel and symbol are delivered. Its bell is shared with all the others."""

    __slots__ = ()

    def _ring(self) -> None:
        for subscription in self._members.keys() & self._waiting:
            self._waiting.discard(subscription)
            subscription.wake()


class MarketDataFanout(Fanout):
    """Spreads market data over consumers.

    Args:
        wall: tells the time of day, for the gaps that slow consumers get.
    """

    __slots__ = ("_expected", "_items", "_passed", "_routed", "_since_look", "_waiting")

    def __init__(self, wall: Callable[[], datetime]) -> None:
        super().__init__(wall)
        self._routed: dict[str, dict[str, SubscriberSet]] = {channel: {} for channel in CHANNELS}
        self._items: dict[Subscription, set[SubscriptionKey]] = {}
        self._passed: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self._waiting: set[Subscription] = set()
        self._since_look = 0
        self._expected: dict[tuple[Hashable, Hashable], asyncio.Future[Any]] = {}

    def open(self, overflow: str, bound: Capacity) -> Subscription:
        """Add a consumer that wants nothing yet.

        Raises:
            ConfigurationError: there is no such policy, or the bound lets nothing wait.
            ConnectTradeError: the stream has ended, with why.
        """
        return self.subscribe(EventFilter(()), overflow, bound)

    def attach(self, subscription: Subscription, item: SubscriptionKey, choice: Predicate | None) -> None:
        """Deliver a symbol to a consumer from now on; with a choice if it has to be asked for each event."""
        channel = item.line.channel
        place = self._routed[channel].get(item.symbol)
        if place is None:
            # Never None, which a queue takes for nothing: a chain may have no expiration. A feed may also have chains
            # of several underlyings.
            keys = ("underlying", "expiration_text") if channel == CHAIN else ("symbol",)
            place = self._routed[channel][item.symbol] = SharedWakeSet(self._waiting, attrgetter(*keys))
        place.add(subscription, choice)
        self._items.setdefault(subscription, set()).add(item)

    def detach(self, subscription: Subscription, item: SubscriptionKey) -> None:
        """Deliver a symbol to a consumer no more; harmless where it is not delivered."""
        if item not in self._items.get(subscription, ()):
            return
        self._items[subscription].discard(item)
        channel = item.line.channel
        place = self._routed[channel][item.symbol]
        if place.remove(subscription):
            self._passed[channel] += place.count
            del self._routed[channel][item.symbol]

    def items(self, subscription: Subscription) -> frozenset[SubscriptionKey]:
        """Return what is delivered to a consumer."""
        return frozenset(self._items.get(subscription, ()))

    def publish(self, event: Any) -> None:  # noqa: ANN401 - market data, or what every stream tells
        """Deliver an event to whom it concerns; never waits."""
        places = self._routed.get(event.topic)
        if places is None:
            super().publish(event)
            return
        if len(event.raw) > self.largest:  # noqa: PLR1730 - max would cost a call for each event
            self.largest = len(event.raw)
        place = places.get(event.symbol)
        if place is None:
            self._passed[event.topic] += 1
        else:
            place.deliver(event)
        # A consumer of many symbols gets many events before one place has had its sixteen.
        self._since_look += 1
        if self._since_look >= COMPACT_INTERVAL and self._since_look >= len(self._members):
            self._since_look = 0
            for subscription in tuple(self._members):
                subscription.enforce_capacity()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a consumer; harmless when it has left."""
        super().unsubscribe(subscription)
        for item in self.items(subscription):
            self.detach(subscription, item)
        self._items.pop(subscription, None)
        self._waiting.discard(subscription)

    def check_is_open(self, subscription: Subscription) -> None:
        """Refuse a consumer that has ended: what came for it would pile up, and nobody would take it.

        Raises:
            ClosedError: it has left, or was let go.
            ConnectTradeError: the stream has ended, with why.
        """
        if self._ending is not None:
            raise self._ending.with_traceback(None)
        if subscription not in self._members:
            raise ClosedError("this feed")

    def expect(self, who: Hashable, what: Hashable) -> asyncio.Future[Any]:
        """Return the answer that somebody waits for, once it comes."""
        future = self._expected.get((who, what))
        if future is None:
            future = self._expected[who, what] = asyncio.get_running_loop().create_future()
            if self._ending is not None:
                self.answer(who, what, self._ending)
        return future

    def expect_no_more(self, who: Hashable, what: Hashable) -> None:
        """Say that somebody waits no more; harmless where nobody did."""
        self.answer(who, what, ClosedError("what was waited for", advice=ABANDONED))

    def answer(self, who: Hashable, what: Hashable, answer: object) -> None:
        """Hand an answer to whoever waits for it; harmless where nobody does."""
        future = self._expected.pop((who, what), None)
        if future is not None and not future.done():
            future.set_result(answer)

    def handle(self, news: object) -> None:
        """Hand an answer to who waits for it, and tell the others what concerns them."""
        match news:
            case SubscriptionConfirmed(items=items):
                settled = set(items)
                for who, what in [key for key in self._expected if key[1] in settled]:
                    self.answer(who, what, None)
            case DataMissed(requester=Subscription() as who, seconds=seconds, cause=cause):
                until = self.wall()
                who.put_urgent(Gap(cause=cause, since=until - timedelta(seconds=seconds), until=until))
            case SubscriptionRejected():
                self._turn_down(news)
            case ReplyReceived(number=number):
                self.answer(None, number, news)
            case _:
                super().handle(news)

    def close(self, error: Exception | None = None) -> None:
        """End every subscription and everything that is waited for, and refuse new ones."""
        super().close(error)
        for who, what in tuple(self._expected):
            self.answer(who, what, error if error is not None else ClosedError("the stream"))

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each topic there were so far, where there were any."""
        counts = super().counts
        for channel, places in self._routed.items():
            count = self._passed[channel] + sum(place.count for place in places.values())
            if count:
                counts[channel] = count
        return counts

    def _turn_down(self, news: SubscriptionRejected) -> None:
        channel, symbol = news.item.line.channel, news.item.symbol
        for who in news.requester:
            error = MarketDataRefusedError(what=channel, symbol=symbol, code=news.code, cause=news.cause)
            if (who, news.item) in self._expected:
                self.answer(who, news.item, error)
            elif isinstance(who, Subscription):
                self.detach(who, news.item)
                who.put_urgent(SymbolRefused(channel=channel, symbol=symbol, code=news.code, cause=error.cause))
                if not self.items(who):
                    self.unsubscribe(who)
                    who.close(error)
