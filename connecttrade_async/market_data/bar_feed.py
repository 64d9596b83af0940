"""Bar feeds: past bars first, then each bar as it happens, without omissions or repetitions.

While the past bars of a symbol are fetched, its live bars are held back, and delivered after them.
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
from connecttrade_async.market_data.registry import PendingSubscriptions
from connecttrade_async.market_data.requests import MarketDataRequests
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Bar, SymbolRefused
from connecttrade_async.streaming.filters import Predicate
from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["Backfill", "BarFeed"]

JUST_AFTER = timedelta(microseconds=1)
MAX_PAGES = 100  # replies in which missed bars of one symbol are fetched
ENDLESS = f"after {MAX_PAGES} replies the server still sends more bars"
BACKFILL_ERRORS = (MarketDataRefusedError, RequestTimeoutError, MalformedResponseError)
"""Errors of a backfill that do not end the stream: the feed opens without its past bars."""

log = logging.getLogger("connecttrade_async.streaming")


class Backfill(NamedTuple):
    """How a bar feed obtains past bars.

    Attributes:
        bars: number of past bars of each symbol to begin with.
        fill_gaps: whether missed bars are fetched after a gap.
        length: the length of a bar.
        fetch: fetches bars of a symbol: from a start time on, or without one the latest up to a limit.
        fence: sends a request; its reply follows every earlier frame of the server.
        wall: returns the time of day, aware.
    """

    bars: int
    fill_gaps: bool
    length: timedelta
    fetch: Callable[[str, datetime | None, int | None], Awaitable[list[Bar]]]
    fence: Callable[[], Awaitable[object]]
    wall: Callable[[], datetime]


class BackfillResult(NamedTuple):
    """Past bars in order, and the errors by symbol."""

    bars: list[Bar]
    errors: list[tuple[str, ConnectTradeError]]


class BackfillFilter(NamedTuple):
    """Predicate of a bar feed: the bars of a symbol bypass the queue while its backfill is under way.

    They do not wait in the queue, since the past bars of many symbols exceed its capacity.
    """

    predicate: Predicate
    is_backfilled: Callable[[str], bool]
    hold: Callable[[Bar], None]

    def matches(self, bar: Bar) -> bool:
        """Whether a bar goes into the queue."""
        if not self.predicate.matches(bar):
            return False
        if self.is_backfilled(bar.symbol):
            return True
        self.hold(bar)
        return False


class BarFeed(FilteringFeed[Bar]):
    """Bars that advance in time, each yielded once when it is closed: past bars first, then live ones.

    A bar that closes after the next has started is yielded then. A closed bar that comes again with other values is
    yielded again, with ``is_correction``.
    """

    def __init__(
        self, requests: MarketDataRequests, config: FeedConfig, symbols: Iterable[str], backfill: Backfill
    ) -> None:
        super().__init__(requests, config, symbols)
        self._backfill = backfill
        self._sequencer = BarSequencer()
        self._ahead: deque[Bar | Gap] = deque()  # events that precede the queue
        self._gap_to_fill: Gap | None = None
        self._unfillable: list[Gap] = []
        self._fill_task: asyncio.Task[BackfillResult] | None = None
        self._backfilling: PendingSubscriptions[str] = PendingSubscriptions()
        self._held: dict[str, list[Bar]] = {}
        predicate = config.predicate
        self._guard = None if predicate is None else BackfillFilter(predicate, self._is_backfilled, self._hold)

    async def add(self, *symbols: str) -> None:
        """Subscribe to more symbols, and wait until the server has acknowledged them and sent their past bars.

        A symbol without past bars is added all the same, and a ``Gap`` names it.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            MarketDataRefusedError: the server rejected one of them; then none of these is added.
            ClosedError: this feed is not open, or has ended.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling adds none of them.
        """
        await super().add(*symbols)

    async def remove(self, *symbols: str) -> None:
        """Unsubscribe from some symbols; no more of their bars are yielded, including queued and held ones.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            ClosedError: this feed is not open.

        It does not wait for the server, so cancelling has no effect.
        """
        await super().remove(*symbols)
        self._drop([self._config.parse_symbol(symbol) for symbol in symbols])

    async def receive(self) -> Bar | Gap | SymbolRefused:
        """Return the next event; raises as every feed does.

        Cancelling loses no event.
        """
        queue = self._open_queue()
        while True:
            if self._gap_to_fill is not None:
                await self._fill(self._gap_to_fill)
            event: object = self._ahead.popleft() if self._ahead else queue.receive_nowait()
            if event is None:
                await queue.woken()
            elif isinstance(event, Gap) and self._backfill.fill_gaps and not self._is_unfillable(event):
                self._gap_to_fill = event
            elif isinstance(event, Bar) and event.symbol in self._backfilling:
                self._hold(event)
            elif isinstance(event, Gap | SymbolRefused):
                return event
            elif isinstance(event, Bar) and (bar := self._sequencer.accept(event)) is not None:
                return bar

    async def aclose(self) -> None:
        """Unsubscribe from every symbol and end this feed, without waiting; repeated calls have no effect."""
        symbols = self.symbols
        await super().aclose()
        self._ahead.clear()
        self._gap_to_fill = None
        if self._fill_task is not None:
            self._fill_task.cancel()
        self._drop(symbols)  # clears the claims too, so that an ``add`` under way delivers no bars

    async def _add(self, queue: Subscription, symbols: Iterable[str]) -> None:
        symbols, current, claim = tuple(dict.fromkeys(symbols)), self.symbols, object()
        fresh = [symbol for symbol in symbols if symbol not in current or symbol in self._backfilling]
        if self._backfill.bars:
            # Claimed before the request: a task that iterates meanwhile must not yield live bars before the past ones.
            self._backfilling.add(claim, fresh)
        try:
            acknowledged = await self._requests.subscribe(
                queue, self._keys(symbols), self._config.detail, self._guard, self._backfill.bars
            )
            past = await self._fetch_past(fresh, {key.symbol for key in acknowledged})
        except BaseException:
            unclaimed = self._backfilling.cancel(claim, fresh)
            self._requests.unsubscribe(queue, self._keys(unclaimed))
            self._drop(unclaimed)
            raise
        self._prepend_past(claim, fresh, past)
        queue.wake()

    async def _fetch_past(self, symbols: Iterable[str], acknowledged: set[str]) -> BackfillResult:
        """Return the past bars that did not come with the subscription.

        Args:
            symbols: the symbols to backfill.
            acknowledged: those that the server acknowledged with past bars, which may follow the acknowledgement.
        """
        count = self._backfill.bars
        if acknowledged:
            try:
                await self._backfill.fence()
            except BACKFILL_ERRORS:
                log.debug("the server does not list subscriptions; past bars that came so far are taken")
            for symbol in acknowledged & self._held.keys():
                # Every closed bar that came before the fence is a past bar; an open one continues live.
                self._held[symbol] = [_as_backfill(bar) for bar in self._held[symbol]]
        lacking = [
            symbol
            for symbol in symbols
            if symbol not in acknowledged or not any(bar.is_backfill for bar in self._held.get(symbol, ()))
        ]
        found = await self._fetch_all((symbol, None, count) for symbol in lacking if count)
        for _, error in found.errors:
            if not isinstance(error, BACKFILL_ERRORS):
                raise error
        return found

    def _prepend_past(self, claim: object, symbols: list[str], past: BackfillResult) -> None:
        """Put past bars, and the live bars held for them, before all other events.

        Symbols that another call has backfilled meanwhile are left out.
        """
        confirmed = self._backfilling.confirm(claim, symbols)
        others = set(symbols).difference(confirmed)
        bars = [bar for bar in past.bars if bar.symbol not in others]
        bars += [bar for symbol in confirmed for bar in self._held.pop(symbol, ())]
        bars.sort(key=_start)
        self._ahead.extendleft(reversed(bars))
        if past.errors:
            until = self._backfill.wall()
            since = until - self._backfill.bars * self._backfill.length
            symbols = [symbol for symbol, _ in past.errors]
            error_text = "; ".join(dict.fromkeys(str(error) for _, error in past.errors))
            cause = f"past bars of {', '.join(symbols)} are missing: {error_text}"
            gap = Gap(cause=one_line(cause), since=since, until=until)
            self._unfillable.append(gap)
            self._ahead.appendleft(gap)
            facts = {"symbols": symbols, "error": error_text}
            log.warning("bars feed opened without its past: %s", gap.cause, extra=facts)

    def _is_backfilled(self, symbol: str) -> bool:
        return symbol not in self._backfilling

    def _is_unfillable(self, gap: Gap) -> bool:
        return any(gap is each for each in self._unfillable)

    def _hold(self, bar: Bar) -> None:
        """Keep a live bar until the backfill of its symbol is complete; an open bar replaces the one before."""
        held = self._held.setdefault(bar.symbol, [])
        if held and start_of(held[-1]) == start_of(bar) and held[-1].closed is not True:
            held[-1] = bar
        else:
            held.append(bar)

    def _drop(self, symbols: Iterable[str]) -> None:
        """Drop all state and pending events of some symbols."""
        removed = set(symbols)
        self._backfilling.clear(removed)
        for symbol in removed:
            self._sequencer.forget(symbol)
            self._held.pop(symbol, None)
        kept = [event for event in self._ahead if isinstance(event, Gap) or event.symbol not in removed]
        self._ahead = deque(kept)

    async def _fill(self, gap: Gap) -> None:
        """Prepend the bars missed in a gap; where fetching fails, prepend the gap itself."""
        if self._fill_task is None:
            # A task, since a caller with a short time-out of its own would start the fetch over on each call.
            self._fill_task = asyncio.create_task(self._fetch_missed(gap), name="connecttrade bars fill a gap")
        task = self._fill_task
        await asyncio.wait([task])
        if self._fill_task is not task or task.cancelled():
            return
        self._fill_task = self._gap_to_fill = None
        found = task.result()
        symbols = self.symbols  # some may have been removed meanwhile
        self._ahead.extend(bar for bar in found.bars if bar.symbol in symbols)
        if found.errors:
            self._unfillable = [gap]
            self._ahead.appendleft(gap)

    async def _fetch_missed(self, gap: Gap) -> BackfillResult:
        """Fetch the bars that were missed in a gap."""
        # For a symbol without any bar so far, the bar that was open when the gap began is missing as well.
        earliest = gap.since - self._backfill.length + JUST_AFTER
        starts = [(symbol, self._sequencer.since(symbol) or earliest, None) for symbol in self.symbols]
        found = BackfillResult([], [])
        # The server chooses how many bars a reply holds: the next request starts at the last bar, until none is newer.
        for _ in range(MAX_PAGES):
            if not starts:
                break
            more = await self._fetch_all(starts)
            latest = {bar.symbol: start_of(bar) for bar in more.bars}
            starts = [(symbol, at, None) for symbol, since, _ in starts if (at := latest.get(symbol)) and at > since]
            found.bars.extend(more.bars)
            found.errors.extend(more.errors)
        # Bounded: a server that always has one more bar would be asked forever, and memory would grow.
        found.errors.extend(
            (symbol, MalformedResponseError(where="snapshot.bars", problem=ENDLESS)) for symbol, _, _ in starts
        )
        found.bars.sort(key=_start)
        return found

    async def _fetch_all(self, requests: Iterable[tuple[str, datetime | None, int | None]]) -> BackfillResult:
        requests = tuple(requests)
        replies = await asyncio.gather(
            *(self._backfill.fetch(*request) for request in requests), return_exceptions=True
        )
        found = BackfillResult([], [])
        for (symbol, _, _), reply in zip(requests, replies, strict=True):
            if isinstance(reply, ConnectTradeError):
                found.errors.append((symbol, reply))
            elif isinstance(reply, BaseException):
                raise reply
            else:
                found.bars.extend(reply)
        found.bars.sort(key=_start)
        return found


def _as_backfill(bar: Bar) -> Bar:
    return msgspec.structs.replace(bar, is_backfill=True) if bar.closed is True else bar


def _start(bar: Bar) -> datetime:
    return start_of(bar) or UNKNOWN
