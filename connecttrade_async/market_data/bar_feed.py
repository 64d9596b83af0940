"""A loop: what users hold of bars. Those of the past come first, and then each as it happens.

Its vow: none is missing and none comes twice. What happens to a symbol while its past is fetched waits for that past.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from connecttrade_async.errors import (
    ConnectTradeError,
    MalformedResponseError,
    MarketDataRefusedError,
    RequestTimeoutError,
    one_line,
)
from connecttrade_async.market_data.codec import UNKNOWN
from connecttrade_async.market_data.feeds import FeedConfig, FilteringFeed
from connecttrade_async.market_data.filters import BarSequencer, start_of
from connecttrade_async.market_data.registry import PendingClaims
from connecttrade_async.market_data.requests import MarketDataRequests
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Bar, SymbolRefused
from connecttrade_async.streaming.filters import Predicate
from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["Backfill", "BarFeed"]

JUST_AFTER = timedelta(microseconds=1)
MOST_ROUNDS = 100  # in which what was missed is fetched
ENDLESS = f"after {MOST_ROUNDS} answers there is still more"
WITHOUT = (MarketDataRefusedError, RequestTimeoutError, MalformedResponseError)
"""Why the past of a symbol is not given: what ends no stream, and does not keep a feed from its present."""

log = logging.getLogger("connecttrade_async.streaming")


class Backfill(NamedTuple):
    """What a feed of bars does about the past.

    Attributes:
        backfill: how many bars of each symbol it begins with.
        fill_gaps: whether it fetches what was missed.
        length: how long a bar is.
        fetch: fetches bars of a symbol, from a time on if there is one, else the last so many.
        fence: asks something whose answer comes behind all that the server sent before.
        wall: tells the time of day.
    """

    backfill: int
    fill_gaps: bool
    length: timedelta
    fetch: Callable[[str, datetime | None, int | None], Awaitable[list[Bar]]]
    fence: Callable[[], Awaitable[object]]
    wall: Callable[[], datetime]


class BackfillResult(NamedTuple):
    """Bars of the past, in order, and why those of some symbols could not be had."""

    bars: list[Bar]
    errors: list[tuple[str, ConnectTradeError]]


class Present(NamedTuple):
    """The choice of a feed of bars: what comes of a symbol before its past is complete is kept aside.

    It does not wait in the queue, whose bound the past of many symbols exceeds.
    """

    wanted: Predicate
    has_past: Callable[[str], bool]
    hold: Callable[[Bar], None]

    def matches(self, bar: Bar) -> bool:
        """Whether a bar goes into the queue."""
        if not self.wanted.matches(bar):
            return False
        if self.has_past(bar.symbol):
            return True
        self.hold(bar)
        return False


class BarFeed(FilteringFeed[Bar]):
    """Bars that go up in time, each told once when it is over: first those of the past, then as they happen.

    A bar that is over only after the next has begun is told as over then. One that was told as over and comes again
    with other numbers is told again, with ``is_correction``.
    """

    def __init__(self, desk: MarketDataRequests, wish: FeedConfig, symbols: Iterable[str], past: Backfill) -> None:
        super().__init__(desk, wish, symbols)
        self._past = past
        self._upwards = BarSequencer()
        self._ahead: deque[Bar | Gap] = deque()
        self._unfilled: Gap | None = None
        self._unfillable: list[Gap] = []
        self._filling: asyncio.Task[BackfillResult] | None = None
        self._pastless: PendingClaims[str] = PendingClaims()
        self._held: dict[str, list[Bar]] = {}
        self._choice = None if wish.choice is None else Present(wish.choice, self._has_past, self._hold)

    async def add(self, *symbols: str) -> None:
        """Ask for more symbols; returns when the server has acknowledged them and given their past.

        Where it does not give the past of some, they are added without it, and a ``Gap`` names them.

        Raises:
            SymbolError: one of them is empty or not a text, or it has control characters.
            MarketDataRefusedError: the server refuses one of them; then none of these is added.
            ClosedError: this feed is not open, or has ended.
            ConnectTradeError: the stream has ended, with why.

        Cancelling adds none.
        """
        await super().add(*symbols)

    async def remove(self, *symbols: str) -> None:
        """Ask for some symbols no more; what waits of them, or is on its way, is not told.

        Raises:
            SymbolError: one of them is empty or not a text, or it has control characters.
            ClosedError: this feed is not open.

        It does not wait for the server, so there is nothing to cancel.
        """
        await super().remove(*symbols)
        self._forget([self._wish.read(symbol) for symbol in symbols])

    async def receive(self) -> Bar | Gap | SymbolRefused:
        """Return what comes next; raises as every feed does.

        Cancelling loses nothing.
        """
        queue = self._opened()
        while True:
            if self._unfilled is not None:
                await self._fill(self._unfilled)
            event: object = self._ahead.popleft() if self._ahead else queue.receive_nowait()
            if event is None:
                await queue.woken()
            elif isinstance(event, Gap) and self._past.fill_gaps and not self._is_unfillable(event):
                self._unfilled = event
            elif isinstance(event, Bar) and event.symbol in self._pastless:
                self._hold(event)
            elif isinstance(event, Gap | SymbolRefused):
                return event
            elif isinstance(event, Bar) and (bar := self._upwards.passed(event)) is not None:
                return bar

    async def aclose(self) -> None:
        """Give up all its symbols. Closing twice is harmless, and it waits for nobody."""
        symbols = self.symbols
        await super().aclose()
        self._ahead.clear()
        self._unfilled = None
        if self._filling is not None:
            self._filling.cancel()
        self._forget(symbols)  # whoever still waits for the past of one finds that it is wanted no more

    async def _add(self, queue: Subscription, symbols: Iterable[str]) -> None:
        symbols, had, claim = tuple(dict.fromkeys(symbols)), self.symbols, object()
        fresh = [symbol for symbol in symbols if symbol not in had or symbol in self._pastless]
        if self._past.backfill:
            # Before it is asked for: whoever iterates meanwhile could take its present before its past is here.
            self._pastless.add(claim, fresh)
        try:
            wish, count = self._wish, self._past.backfill
            acknowledged = await self._desk.subscribe(queue, self._items(symbols), wish.width, self._choice, count)
            past = await self._past_of(fresh, {item.symbol for item in acknowledged})
        except BaseException:
            unclaimed = self._pastless.cancel(claim, fresh)
            self._desk.unsubscribe(queue, self._items(unclaimed))
            self._forget(unclaimed)
            raise
        self._begin_with_the_past(claim, fresh, past)
        queue.wake()

    async def _past_of(self, symbols: Iterable[str], acknowledged: set[str]) -> BackfillResult:
        """Return the past of symbols that did not come with the subscription.

        Args:
            symbols: whose past is wanted.
            acknowledged: those that the server acknowledged with their past, which may come behind that.
        """
        count = self._past.backfill
        if acknowledged:
            try:
                await self._past.fence()
            except WITHOUT:
                log.debug("the server does not list subscriptions; the past is taken as far as it came")
            for symbol in acknowledged & self._held.keys():
                # All that came by now was there before; what is open yet goes on.
                self._held[symbol] = [_of_the_past(bar) for bar in self._held[symbol]]
        lacking = [
            symbol
            for symbol in symbols
            if symbol not in acknowledged or not any(bar.is_backfill for bar in self._held.get(symbol, ()))
        ]
        found = await self._fetched((symbol, None, count) for symbol in lacking if count)
        for _, error in found.errors:
            if not isinstance(error, WITHOUT):
                raise error
        return found

    def _begin_with_the_past(self, claim: object, symbols: list[str], past: BackfillResult) -> None:
        """Put the past of symbols, and what waited for it, before everything else; but what others have put there."""
        begun = self._pastless.confirm(claim, symbols)
        others = set(symbols).difference(begun)
        bars = [bar for bar in past.bars if bar.symbol not in others]
        bars += [bar for symbol in begun for bar in self._held.pop(symbol, ())]
        bars.sort(key=_start)
        self._ahead.extendleft(reversed(bars))
        if past.errors:
            until = self._past.wall()
            since = until - self._past.backfill * self._past.length
            symbols = [symbol for symbol, _ in past.errors]
            words = "; ".join(dict.fromkeys(str(error) for _, error in past.errors))
            cause = f"the past of {', '.join(symbols)} is missing: {words}"
            gap = Gap(cause=one_line(cause), since=since, until=until)
            self._unfillable.append(gap)
            self._ahead.appendleft(gap)
            log.warning("bars feed opened without its past", extra={"symbols": symbols, "error": words})

    def _has_past(self, symbol: str) -> bool:
        return symbol not in self._pastless

    def _is_unfillable(self, gap: Gap) -> bool:
        return any(gap is each for each in self._unfillable)

    def _hold(self, bar: Bar) -> None:
        """Keep a bar until its symbol's past is here."""
        held = self._held.setdefault(bar.symbol, [])
        if held and start_of(held[-1]) == start_of(bar) and held[-1].closed is not True:
            held[-1] = bar
        else:
            held.append(bar)

    def _forget(self, symbols: Iterable[str]) -> None:
        gone = set(symbols)
        self._pastless.clear(gone)
        for symbol in gone:
            self._upwards.forget(symbol)
            self._held.pop(symbol, None)
        kept = [event for event in self._ahead if isinstance(event, Gap) or event.symbol not in gone]
        self._ahead = deque(kept)

    async def _fill(self, gap: Gap) -> None:
        """Tell what was missed; where that cannot be had, the gap is told."""
        if self._filling is None:
            # A task, since whoever waits with a time-out of his own would have it fetched anew each time, and never.
            self._filling = asyncio.create_task(self._missed_since(gap), name="connecttrade bars fill a gap")
        filling = self._filling
        await asyncio.wait([filling])
        if self._filling is not filling or filling.cancelled():
            return
        self._filling = self._unfilled = None
        found = filling.result()
        left = self.symbols  # some may have been removed meanwhile
        self._ahead.extend(bar for bar in found.bars if bar.symbol in left)
        if found.errors:
            self._unfillable = [gap]
            self._ahead.appendleft(gap)

    async def _missed_since(self, gap: Gap) -> BackfillResult:
        """Fetch what was missed."""
        # Of what was never told, the bar that was open when the gap began is missing too.
        never = gap.since - self._past.length + JUST_AFTER
        wishes = [(symbol, self._upwards.since(symbol) or never, None) for symbol in self.symbols]
        found = BackfillResult([], [])
        # How many it gives at once is its own affair: it is asked on from the last bar until there is no more.
        for _ in range(MOST_ROUNDS):
            if not wishes:
                break
            more = await self._fetched(wishes)
            latest = {bar.symbol: start_of(bar) for bar in more.bars}
            wishes = [(symbol, at, None) for symbol, since, _ in wishes if (at := latest.get(symbol)) and at > since]
            found.bars.extend(more.bars)
            found.errors.extend(more.errors)
        # A server that always has one more would be asked for ever, and what it gives would be kept.
        found.errors.extend(
            (symbol, MalformedResponseError(where="snapshot.bars", problem=ENDLESS)) for symbol, _, _ in wishes
        )
        found.bars.sort(key=_start)
        return found

    async def _fetched(self, wishes: Iterable[tuple[str, datetime | None, int | None]]) -> BackfillResult:
        wishes = tuple(wishes)
        answers = await asyncio.gather(*(self._past.fetch(*wish) for wish in wishes), return_exceptions=True)
        found = BackfillResult([], [])
        for (symbol, _, _), answer in zip(wishes, answers, strict=True):
            if isinstance(answer, ConnectTradeError):
                found.errors.append((symbol, answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.bars.extend(answer)
        found.bars.sort(key=_start)
        return found


def _of_the_past(bar: Bar) -> Bar:
    return msgspec.structs.replace(bar, is_backfill=True) if bar.closed is True else bar


def _start(bar: Bar) -> datetime:
    return start_of(bar) or UNKNOWN
