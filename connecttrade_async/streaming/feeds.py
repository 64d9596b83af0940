"""What users hold of market data: some symbols of one channel, for as long as a block lasts."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar, cast

from connecttrade_async.errors import ClosedError, ConnectTradeError
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Bar, Depth, SymbolRefused
from connecttrade_async.streaming.demands import Item
from connecttrade_async.streaming.market_data import UNKNOWN
from connecttrade_async.streaming.sieves import Upwards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from datetime import datetime
    from types import TracebackType

    from connecttrade_async.streaming.demands import Line, Width
    from connecttrade_async.streaming.desk import Desk
    from connecttrade_async.streaming.fanout import Bound, Choice, Statistics, Subscription

__all__ = ["BarFeed", "DepthFeed", "Feed", "Past", "Wish"]

T = TypeVar("T")


class Wish(NamedTuple):
    """What a feed is of.

    Attributes:
        line: what is asked for.
        width: in which form.
        choice: what it takes of what comes, or None for all.
        read: reads a symbol, or raises ``SymbolError``.
        overflow: what happens when its queue is full.
        bound: how much may wait.
    """

    line: Line
    width: Width
    choice: Choice | None
    read: Callable[[str], str]
    overflow: str
    bound: Bound


class Feed(Generic[T]):
    """Some symbols of one channel: an async context manager and an async iterator.

    Inside the block the server has acknowledged them. Beside its values it tells a ``Gap`` where something may have
    been missed, and ``SymbolRefused`` where the server gives a symbol no more.
    """

    def __init__(self, desk: Desk, wish: Wish, symbols: Iterable[str]) -> None:
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
            SymbolError: one of them is none.
            MarketDataRefusedError: the server refuses one of them; then none of these is added.
            ConnectTradeError: the stream has ended, with why.

        Cancelling adds none.
        """
        await self._add(self._opened(), [self._wish.read(symbol) for symbol in symbols])

    async def remove(self, *symbols: str) -> None:
        """Ask for some symbols no more; what is on its way of them is not told.

        Raises:
            SymbolError: one of them is none.
            ClosedError: this feed is not open.

        It does not wait for the server, so there is nothing to cancel.
        """
        self._desk.give_up(self._opened(), self._items(self._wish.read(symbol) for symbol in symbols))

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

    def statistics(self) -> Statistics:
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
            await self._begin(queue)
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
        """Give up all its symbols. Closing twice is harmless, and it waits for nobody."""
        if self._queue is not None:
            self._desk.leave(self._queue)
            await self._queue.__aexit__(None, None, None)

    async def _begin(self, queue: Subscription) -> None:
        await self._add(queue, self._first)

    def _add(self, queue: Subscription, symbols: Iterable[str]) -> Awaitable[None]:
        return self._desk.want(queue, self._items(symbols), self._wish.width, self._wish.choice)

    def _items(self, symbols: Iterable[str]) -> tuple[Item, ...]:
        return tuple(Item(self._wish.line, symbol) for symbol in symbols)

    def _opened(self) -> Subscription:
        if self._queue is None:
            raise ClosedError("this feed")
        return self._queue

    def __repr__(self) -> str:
        state = "UNOPENED" if self._queue is None else repr(self._queue)[1:-1]
        return f"<{self._wish.line.channel} of {len(self.symbols)} symbols: {state}>"


class SteppingFeed(Feed[T]):
    """A feed that looks at each event before it tells it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | Gap | SymbolRefused:
        try:
            return await self.receive()
        except ClosedError:
            raise StopAsyncIteration from None


class DepthFeed(SteppingFeed[Depth]):
    """Books, each cut to as many levels as were asked for: the server may send more, for another consumer."""

    async def receive(self) -> Depth | Gap | SymbolRefused:
        """Return what comes next; raises as every feed does.

        Cancelling loses nothing.
        """
        event = await super().receive()
        return event.down_to(cast("int", self._wish.width)) if isinstance(event, Depth) else event


class Past(NamedTuple):
    """What a feed of bars does about the past.

    Attributes:
        backfill: how many bars of each symbol it begins with.
        fill_gaps: whether it fetches what was missed.
        fetch: fetches bars of a symbol, from a time on if there is one, else the last so many.
    """

    backfill: int
    fill_gaps: bool
    fetch: Callable[[str, datetime | None, int | None], Awaitable[list[Bar]]]


class Fetched(NamedTuple):
    """Bars of the past, in order, and why some could not be had."""

    bars: list[Bar]
    errors: list[ConnectTradeError]


class BarFeed(SteppingFeed[Bar]):
    """Bars that go up in time, each told once when it is over: first those of the past, then as they happen."""

    def __init__(self, desk: Desk, wish: Wish, symbols: Iterable[str], past: Past) -> None:
        super().__init__(desk, wish, symbols)
        self._past = past
        self._upwards = Upwards()
        self._ahead: deque[Bar | Gap] = deque()
        self._unfilled: Gap | None = None
        self._unfillable: Gap | None = None

    async def add(self, *symbols: str) -> None:
        """Ask for more symbols; returns when the server has acknowledged them and given their past.

        Raises:
            SymbolError: one of them is none.
            MarketDataRefusedError: the server refuses one of them; then none of these is added.
            ConnectTradeError: the stream has ended, with why.

        Cancelling adds none, or gives up the past of those that are added.
        """
        fresh = [symbol for name in symbols if (symbol := self._wish.read(name)) not in self.symbols]
        await super().add(*symbols)
        await self._begin_with_the_past(fresh)

    async def remove(self, *symbols: str) -> None:
        """Ask for some symbols no more; what is on its way of them is not told.

        Raises:
            SymbolError: one of them is none.
            ClosedError: this feed is not open.

        It does not wait for the server, so there is nothing to cancel.
        """
        await super().remove(*symbols)
        for symbol in symbols:
            self._upwards.forget(self._wish.read(symbol))

    async def receive(self) -> Bar | Gap | SymbolRefused:
        """Return what comes next; raises as every feed does.

        Cancelling loses nothing.
        """
        while True:
            if self._unfilled is not None:
                await self._fill(self._unfilled)
            event = self._ahead.popleft() if self._ahead else await super().receive()
            if isinstance(event, Gap) and self._past.fill_gaps and event is not self._unfillable:
                self._unfilled = event
            elif not isinstance(event, Bar) or self._upwards.takes(event):
                return event

    async def _begin(self, queue: Subscription) -> None:
        await super()._begin(queue)
        await self._begin_with_the_past(self._first)

    async def _begin_with_the_past(self, symbols: Iterable[str]) -> None:
        if self._past.backfill:
            found = await self._fetched((symbol, None, self._past.backfill) for symbol in symbols)
            for error in found.errors:
                raise error
            self._ahead.extend(found.bars)

    async def _fill(self, gap: Gap) -> None:
        """Fetch what was missed; where that cannot be had, the gap is told."""
        wishes = [(symbol, self._upwards.last(symbol) or gap.since, None) for symbol in self.symbols]
        found = Fetched([], [])
        # How many it gives at once is its own affair: it is asked on from the last bar until there is no more.
        while wishes:
            more = await self._fetched(wishes)
            latest = {bar.symbol: bar.start_time for bar in more.bars}
            wishes = [(symbol, at, None) for symbol, since, _ in wishes if (at := latest.get(symbol)) and at > since]
            found.bars.extend(more.bars)
            found.errors.extend(more.errors)
        found.bars.sort(key=_start)
        self._unfilled = None
        self._ahead.extend(found.bars)
        if found.errors:
            self._unfillable = gap
            self._ahead.appendleft(gap)

    async def _fetched(self, wishes: Iterable[tuple[str, datetime | None, int | None]]) -> Fetched:
        answers = await asyncio.gather(*(self._past.fetch(*wish) for wish in wishes), return_exceptions=True)
        found = Fetched([], [])
        for answer in answers:
            if isinstance(answer, ConnectTradeError):
                found.errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.bars.extend(answer)
        found.bars.sort(key=_start)
        return found


def _start(bar: Bar) -> datetime:
    return bar.start_time or UNKNOWN
