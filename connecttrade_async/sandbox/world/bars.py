"""The world's bars: what the prints of an interval amount to, without looking at each of them.

Volume is known by the minute, and how far a price went is found by halving: see ``walk.py``. A day's bar covers a day
of New York, from midnight to midnight, extended hours included. An interval without a print has no bar.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.world.hours import new_york
from connecttrade_async.sandbox.world.price_path import moment_of, tick_of
from connecttrade_async.sandbox.world.symbols import is_option
from connecttrade_async.sandbox.world.trades import MINUTE, Trades

__all__ = ["INTERVALS", "Bar", "Bars"]

INTERVALS: Mapping[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
"""How long the bars of each interval are; a day is longer or shorter by an hour when the clocks change."""
_DAY = timedelta(days=1)
_MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)
_EARLIEST = tick_of(_MIDNIGHT)
"""There is no history before."""


class Bar(NamedTuple):
    """What the prints from `start` up to the end of the interval, or up to now, amount to."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


class Bars:
    """The bars of every symbol.

    Args:
        tape: the trades that they sum up.
    """

    def __init__(self, tape: Trades) -> None:
        self._tape = tape

    def bar(self, symbol: str, interval: str, at: datetime, until: datetime | None = None) -> Bar | None:
        """The bar of the interval that a moment lies in: all of it, or up to and with a moment; None without prints."""
        start, end = span(interval, at)
        low, high = tick_of(start), tick_of(end)
        if until is not None:
            high = min(high, tick_of(until) + 1)
        first, last = self._tape.first(symbol, low, high), self._tape.last(symbol, low, high)
        if first is None or last is None:
            return None
        low, high = first, last + 1
        least, most = self._range(symbol, low, high)
        opened, closed = (self._tape.market.while_open(symbol, moment_of(tick)) for tick in (first, last))
        return Bar(start, opened, most, least, closed, self._tape.volume(symbol, low, high))

    def before(self, symbol: str, interval: str, at: datetime, count: int) -> list[Bar]:
        """Return the last `count` bars that are closed at a moment, oldest first."""
        found: list[Bar] = []
        for start in self._back(symbol, interval, span(interval, at)[0]):
            if len(found) >= count:
                break
            bar = self.bar(symbol, interval, start)
            if bar is not None:
                found.append(bar)
        return found[::-1]

    def between(self, symbol: str, interval: str, start: datetime, end: datetime) -> Iterator[Bar]:
        """The bars that begin at or after `start` and before `end`, oldest first."""
        start = max(start, _MIDNIGHT)
        low, high = span(interval, start)
        while low < end:
            bar = self.bar(symbol, interval, low) if low >= start else None
            if bar is not None:
                yield bar
            low, high = span(interval, high)

    def _back(self, symbol: str, interval: str, start: datetime) -> Iterator[datetime]:
        """The starts of the intervals before a moment in which the symbol may have traded, latest first."""
        while tick_of(start) > _EARLIEST:
            low, high = span(interval, start - _MOMENT)
            start = low
            if any(self._tape.open(symbol, tick_of(low), tick_of(high))):
                yield low

    def _range(self, symbol: str, start: int, end: int) -> tuple[Decimal, Decimal]:
        """The lowest and the highest price of a stretch that begins and ends with a print."""
        market, prices = self._tape.market, list[Decimal]()
        if is_option(symbol):
            prices.extend(found.price for found in self._tape.prints(symbol, start, end))
        else:
            for low, high in self._tape.open(symbol, start, end):
                for first, last, pinned in market.pieces(symbol, low, high):
                    if pinned is None:
                        prices.extend(market.farthest(symbol, first, last, self._counts(symbol)))
                    elif self._tape.first(symbol, first, last) is not None:
                        prices.append(pinned)
        return min(prices), max(prices)

    def _counts(self, symbol: str) -> "_Counts":
        return _Counts(self._tape, symbol)


class _Counts:
    """Whether a tick has a print; it remembers the minutes that it was asked for."""

    def __init__(self, tape: Trades, symbol: str) -> None:
        self._tape = tape
        self._symbol = symbol
        self._known: dict[int, frozenset[int]] = {}

    def __call__(self, tick: int) -> bool:
        minute = tick // MINUTE
        if minute not in self._known:
            self._known[minute] = frozenset(mark for mark, _ in self._tape.marks(self._symbol, minute))
        return tick in self._known[minute]


def span(interval: str, at: datetime) -> tuple[datetime, datetime]:
    """When the interval that a moment lies in begins, and when it ends."""
    length = INTERVALS[interval]
    if interval != "1d":
        start = at - (at - _MIDNIGHT) % length
        return start, start + length
    on = at.date() + _DAY
    while new_york(on, time()) > at:
        on -= _DAY
    return new_york(on, time()), new_york(on + _DAY, time())
