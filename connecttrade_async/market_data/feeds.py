"""What users hold of market data: some symbols of one channel, for as long as a block lasts."""

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
from connecttrade_async.streaming.subscriptions import Capacity, Subscription, SubscriptionStatistics

__all__ = ["DepthFeed", "Feed", "FeedConfig", "FilteringFeed"]

T = TypeVar("T")


class FeedConfig(NamedTuple):
    """What a feed is of.

    Attributes:
        line: what is asked for.
        width: in which form.
        choice: what it takes of what comes, or None for all.
        read: reads a symbol, or raises ``SymbolError``.
        overflow: what happens when its queue is full.
        bound: how much may wait.
    """

    line: ChannelKey
    width: Detail
    choice: Predicate | None
    read: Callable[[str], str]
    overflow: str
    bound: Capacity


class Feed(Generic[T]):
    """Some symbols of one channel: an async context manager and an async iterator.

    Inside the block the server has acknowledged them. Beside its values it tells a ``Gap`` where something may have
    been missed: where the link was lost, the queue was full, or a symbol had to be asked for anew, since another feed
    wants more of it or the server had lost it. It tells ``SymbolRefused`` where the server gives a symbol no more.
    """

    def __init__(self, desk: MarketDataRequests, wish: FeedConfig, symbols: Iterable[str]) -> None:
        self._desk = desk
        self._wish = wish
        self._first = tuple(dict.fromkeys(wish.read(symbol) for symbol in symbols))
        self._queue: Subscription | None = None

    @property
    def symbols(self) -> frozenset[str]:
        """What it is of at present."""
        if self._queue is None:
            return frozenset(self._first)
        return frozenset(item.symbol for item in self._desk.routes.items(self._queue))

    async def add(self, *symbols: str) -> None:
        """Ask for more symbols; returns when the server has acknowledged them.

        Raises:
            SymbolError: one of them is empty or not a text, or it has control characters.
            MarketDataRefusedError: the server refuses one of them; then none of these is added.
            ClosedError: this feed is not open, or has ended.
            ConnectTradeError: the stream has ended, with why.

        Cancelling adds none.
        """
        await self._add(self._opened(), [self._wish.read(symbol) for symbol in symbols])

    async def remove(self, *symbols: str) -> None:
        """Ask for some symbols no more; what waits of them, or is on its way, is not told.

        Raises:
            SymbolError: one of them is empty or not a text, or it has control characters.
            ClosedError: this feed is not open.

        It does not wait for the server, so there is nothing to cancel.
        """
        self._desk.unsubscribe(self._opened(), self._items(self._wish.read(symbol) for symbol in symbols))

    async def receive(self) -> T | Gap | SymbolRefused:
        """Return what comes next; raises as iterating does, and ``ClosedError`` at the end.

        Raises:
            SlowConsumerError: this consumer was too slow for its bound.
            MarketDataRefusedError: the server gives none of its symbols any more.
            ConnectTradeError: the stream has ended, with why.
            ConfigurationError: another task waits on this feed already.

        Cancelling loses nothing.
        """
        return cast("T | Gap | SymbolRefused", await self._opened().receive())

    def statistics(self) -> SubscriptionStatistics:
        """Return what this consumer has had."""
        return self._opened().statistics()

    def __aiter__(self) -> AsyncIterator[T | Gap | SymbolRefused]:
        # Of the queue itself: a step between would cost a coroutine for each event.
        return cast("AsyncIterator[T | Gap | SymbolRefused]", self._opened())

    async def __aenter__(self) -> Self:
        if self._queue is not None:
            raise ClosedError("this feed")
        queue = self._desk.routes.open(self._wish.overflow, self._wish.bound)
        self._queue = queue
        try:
            await self._add(queue, self._first)
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
        """Give up all its symbols. Closing twice is harmless.

        It does not wait for the server, so there is nothing to cancel.
        """
        if self._queue is not None:
            self._desk.unsubscribe_all(self._queue)
            await self._queue.__aexit__(None, None, None)

    def _add(self, queue: Subscription, symbols: Iterable[str]) -> Coroutine[None, None, object]:
        return self._desk.subscribe(queue, self._items(symbols), self._wish.width, self._wish.choice)

    def _items(self, symbols: Iterable[str]) -> tuple[SubscriptionKey, ...]:
        return tuple(SubscriptionKey(self._wish.line, symbol) for symbol in symbols)

    def _opened(self) -> Subscription:
        if self._queue is None:
            raise ClosedError("this feed")
        return self._queue

    def __repr__(self) -> str:
        state = "UNOPENED" if self._queue is None else repr(self._queue)[1:-1]
        return f"<{self._wish.line.channel} of {len(self.symbols)} symbols: {state}>"


class FilteringFeed(Feed[T]):
    """A feed that looks at each event before it tells it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | Gap | SymbolRefused:
        try:
            return await self.receive()
        except ClosedError:
            raise StopAsyncIteration from None


class DepthFeed(FilteringFeed[Depth]):
    """Books, each cut to as many levels as were asked for: the server may send more, for another consumer."""

    async def receive(self) -> Depth | Gap | SymbolRefused:
        """Return what comes next; raises as every feed does.

        Cancelling loses nothing.
        """
        event = await super().receive()
        return event.top(cast("int", self._wish.width)) if isinstance(event, Depth) else event
