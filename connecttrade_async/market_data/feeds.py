"""Market data feeds: events of chosen symbols of one channel, as an async context manager."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar, cast

from connecttrade_async.errors import ClosedError
from connecttrade_async.market_data.registry import ChannelKey, Detail, SubscriptionKey
from connecttrade_async.market_data.requests import MarketDataRequests
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Depth, SymbolRefused
from connecttrade_async.streaming.filters import Predicate
from connecttrade_async.streaming.subscriptions import QueueCapacity, Subscription, SubscriptionStatistics

__all__ = ["DepthFeed", "Feed", "FeedConfig", "FilteringFeed"]

T = TypeVar("T")


class FeedConfig(NamedTuple):
    """Settings of a feed.

    Attributes:
        channel_key: the channel, with the options that its messages carry.
        detail: the requested detail.
        predicate: selects events, or None for all.
        parse_symbol: returns a symbol as it is sent, or raises ``SymbolError``.
        overflow: the policy of a full queue.
        capacity: the limits of the queue.
    """

    channel_key: ChannelKey
    detail: Detail
    predicate: Predicate | None
    parse_symbol: Callable[[str], str]
    overflow: str
    capacity: QueueCapacity


class Feed(Generic[T]):
    """Events of chosen symbols of one channel: an async context manager and an async iterator.

    Entering waits until the server has acknowledged every symbol. Besides values, a feed yields a ``Gap`` where events
    may be missing: the connection was lost, the queue was full, another feed requested more detail of a symbol, or the
    server had lost a subscription. It yields ``SymbolRefused`` where the server stops sending a symbol.
    """

    def __init__(self, requests: MarketDataRequests, config: FeedConfig, symbols: Iterable[str]) -> None:
        self._requests = requests
        self._config = config
        self._initial_symbols = tuple(dict.fromkeys(config.parse_symbol(symbol) for symbol in symbols))
        self._queue: Subscription | None = None

    @property
    def symbols(self) -> frozenset[str]:
        """The current symbols."""
        if self._queue is None:
            return frozenset(self._initial_symbols)
        return frozenset(key.symbol for key in self._requests.fanout.keys_of(self._queue))

    async def add(self, *symbols: str) -> None:
        """Subscribe to more symbols, and wait until the server has acknowledged them.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            MarketDataRefusedError: the server rejected one of them; then none of these is added.
            ClosedError: this feed is not open, or has ended.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling adds none of them.
        """
        await self._add(self._open_queue(), [self._config.parse_symbol(symbol) for symbol in symbols])

    async def remove(self, *symbols: str) -> None:
        """Unsubscribe from some symbols; no more of their events are yielded, including queued ones.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            ClosedError: this feed is not open.

        It does not wait for the server, so cancelling has no effect.
        """
        self._requests.unsubscribe(
            self._open_queue(), self._keys(self._config.parse_symbol(symbol) for symbol in symbols)
        )

    async def receive(self) -> T | Gap | SymbolRefused:
        """Return the next event, as iterating does; at the end, raise ``ClosedError``.

        Raises:
            SlowConsumerError: this consumer was too slow for its capacity.
            MarketDataRefusedError: the server no longer sends any of its symbols.
            ConnectTradeError: the stream has ended, with its cause.
            ConfigurationError: another task waits on this feed already.

        Cancelling loses no event.
        """
        return cast("T | Gap | SymbolRefused", await self._open_queue().receive())

    def statistics(self) -> SubscriptionStatistics:
        """Return the counters of this feed's queue."""
        return self._open_queue().statistics()

    def __aiter__(self) -> AsyncIterator[T | Gap | SymbolRefused]:
        # The queue itself is the iterator: a step between would cost a coroutine for each event.
        return cast("AsyncIterator[T | Gap | SymbolRefused]", self._open_queue())

    async def __aenter__(self) -> Self:
        if self._queue is not None:
            raise ClosedError("this feed")
        queue = self._requests.fanout.open(self._config.overflow, self._config.capacity)
        self._queue = queue
        try:
            await self._add(queue, self._initial_symbols)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Unsubscribe from every symbol and end this feed; repeated calls have no effect.

        It does not wait for the server, so cancelling has no effect.
        """
        if self._queue is not None:
            self._requests.unsubscribe_all(self._queue)
            await self._queue.aclose()

    def _add(self, queue: Subscription, symbols: Iterable[str]) -> Coroutine[None, None, object]:
        return self._requests.subscribe(queue, self._keys(symbols), self._config.detail, self._config.predicate)

    def _keys(self, symbols: Iterable[str]) -> tuple[SubscriptionKey, ...]:
        return tuple(SubscriptionKey(self._config.channel_key, symbol) for symbol in symbols)

    def _open_queue(self) -> Subscription:
        if self._queue is None:
            raise ClosedError("this feed")
        return self._queue

    def __repr__(self) -> str:
        state = "UNOPENED" if self._queue is None else repr(self._queue)[1:-1]
        return f"<{self._config.channel_key.channel} of {len(self.symbols)} symbols: {state}>"


class FilteringFeed(Feed[T]):
    """A feed that examines each event in ``receive`` before it yields it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | Gap | SymbolRefused:
        try:
            return await self.receive()
        except ClosedError:
            raise StopAsyncIteration from None


class DepthFeed(FilteringFeed[Depth]):
    """Market depth, cut to the requested number of levels: the server may send more for another feed."""

    async def receive(self) -> Depth | Gap | SymbolRefused:
        """Return the next event; raises as every feed does.

        Cancelling loses no event.
        """
        event = await super().receive()
        return event.top(cast("int", self._config.detail)) if isinstance(event, Depth) else event
