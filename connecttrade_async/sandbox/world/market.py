"""The world's market: what everything costs at any moment, in dollars, as exact cents.

A price is a function of seed, symbol and time alone, unless it is pinned, so any moment can be asked for in
any order and answers the same. Options follow their root: Black and Scholes, without interest.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import NamedTuple

from connecttrade_async.sandbox.world.hours import Hours
from connecttrade_async.sandbox.world.price_path import PricePath, TickRange, anchor, moment_of, tick_of
from connecttrade_async.sandbox.world.pricing import worth
from connecttrade_async.sandbox.world.symbols import (
    LISTINGS,
    PAIRS,
    Option,
    is_crypto,
    parse_option,
    price_step,
    root_of,
)

__all__ = ["Market", "Quote"]

_CENT = Decimal("0.01")
_FRIDAY = 4
_WAVES = ((97, 0.11), (23, 0.04), (5, 0.012))
"""Period in days and height of the swings that make a price move."""
_YEAR = timedelta(days=365)
_STOCK_SPREAD, _OPTION_SPREAD = Decimal("0.0001"), Decimal("0.01")
"""Half the distance from bid to ask, as a share of the price; at least a cent."""
_BASES = {listing.symbol: float(listing.price) for listing in LISTINGS} | {
    symbol: float(price) for symbol, price in PAIRS.items()
}


_AROUND_THE_CLOCK = Hours("open")


class Quote(NamedTuple):
    """What one share, or one unit of an option, costs at a moment. The bid of what is worth nothing is nothing."""

    bid: Decimal
    ask: Decimal
    last: Decimal


class Market:
    """Prices of every symbol at every moment.

    Attributes:
        hours: when it is open; while it is closed the last price stands.
        bell: called after a price was pinned or freed.
    """

    bell: Callable[[], object] | None = None

    def __init__(self, seed: int, hours: Hours | None = None) -> None:
        self.hours = hours or Hours()
        self._seed = seed
        self._walks: dict[str, PricePath] = {}
        self._prices: dict[tuple[str, date], Decimal] = {}
        self._pins: dict[str, list[tuple[datetime, Decimal | None]]] = {}
        self._halted: set[str] = set()
        self._is_halted = False

    def hours_of(self, symbol: str | None) -> Hours:
        """Return when a symbol trades: cryptocurrency around the clock, all else, and a spread (None), in `hours`."""
        return _AROUND_THE_CLOCK if symbol is not None and is_crypto(symbol) else self.hours

    # Prices -----------------------------------------------------------------------------------------------------------

    def price(self, symbol: str, on: date) -> Decimal:
        """What a symbol costs at a day's anchor, whatever was pinned. At least one cent for a stock."""
        key = (symbol, on)
        found = self._prices.get(key)
        if found is None:
            option = parse_option(symbol)
            if option is None:
                found = _rounded(symbol, math.exp(self._walk(symbol).value(tick_of(anchor(on)))))
            else:
                found = _premium(option, self.price(option.root, on), anchor(on))
            self._prices[key] = found
        return found

    def last(self, symbol: str, at: datetime) -> Decimal:
        """The last price at a moment."""
        return self.while_open(symbol, self.hours_of(symbol).last_open(at))

    def while_open(self, symbol: str, at: datetime) -> Decimal:
        """The last price at a moment, as if it were open."""
        pinned = self._pinned(symbol, at)
        if pinned is not None:
            return pinned
        tick = tick_of(at)
        option = parse_option(symbol)
        if option is None:
            return _rounded(symbol, math.exp(self._walk(symbol).value(tick)))
        return _premium(option, self.while_open(option.root, at), moment_of(tick))

    def quote(self, symbol: str, at: datetime) -> Quote:
        """Bid, ask and last price at a moment."""
        return quote_of(symbol, self.last(symbol, at))

    def bounds(self, symbol: str, cell: TickRange) -> tuple[Decimal, Decimal]:
        """Return the lowest and highest price of a symbol in a stretch of the walk, without later pins."""
        begin, end = moment_of(cell.low), moment_of(cell.high)
        pinned = self._pinned(symbol, end)
        if pinned is not None:
            return pinned, pinned
        option = parse_option(symbol)
        if option is None:
            low, high = self._walk(symbol).bounds(cell)
            return _rounded(symbol, math.exp(low)), _rounded(symbol, math.exp(high))
        worst, best = self.bounds(option.root, cell)[:: 1 if option.right == "C" else -1]
        return _premium(option, worst, end), _premium(option, best, begin)

    def pieces(self, symbol: str, start: int, end: int) -> Iterator[tuple[int, int, Decimal | None]]:
        """The parts of a stretch of ticks in which a symbol is pinned somewhere, or walks (None)."""
        cuts = {
            -(tick_of(at) if moment_of(tick_of(at)) == at else tick_of(at) + 1) for at, _ in self._pins.get(symbol, ())
        }
        edges = [start, *sorted(-cut for cut in cuts if start < -cut < end), end]
        for low, high in pairwise(edges):
            yield low, high, self._pinned(symbol, moment_of(low))

    def farthest(self, symbol: str, start: int, end: int, counts: Callable[[int], bool]) -> Iterator[Decimal]:
        """The lowest and the highest price of a stock that walks, at the ticks of a stretch that count, if any does."""
        for sign in (-1, 1):
            found = self._walk(symbol).farthest(start, end, counts, sign=sign)
            if found is not None:
                yield _rounded(symbol, math.exp(found))

    def expiry(self, after: date, months: int) -> date:
        """Return the third Friday of the month `months` ahead, when its monthly options expire."""
        year, month = divmod(after.year * 12 + after.month - 1 + months, 12)
        first = date(year, month + 1, 1)
        return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)

    def near_strike(self, root: str, on: date, steps: int = 0) -> Decimal:
        """A listed strike, in dollars: the one nearest the price, or `steps` strikes above (or below) it."""
        spot = self.price(root, on)
        gap = Decimal(5) if spot > 100 else Decimal("0.5")  # noqa: PLR2004  exchanges list dear stocks in wider steps
        return max(gap, (spot / gap).quantize(Decimal(1)) * gap + steps * gap)

    # What a test may do to it -----------------------------------------------------------------------------------------

    @property
    def pins(self) -> dict[str, Decimal]:
        """The prices that are pinned."""
        return {symbol: price for symbol, pins in self._pins.items() if (price := pins[-1][1]) is not None}

    @property
    def halted(self) -> tuple[str, ...] | None:
        """The symbols in which nothing trades; None when nothing trades at all."""
        return None if self._is_halted else tuple(sorted(self._halted))

    def pin(self, symbol: str, price: Decimal | None, at: datetime) -> None:
        """Pin a symbol's last price from a moment on, or let it walk again (None)."""
        pins = self._pins.setdefault(symbol, [])
        del pins[bisect_right(pins, at, key=_time) :]
        pins.append((at, price))
        if self.bell is not None:
            self.bell()

    def halt(self, symbol: str | None) -> None:
        """Let nothing trade in a symbol, or at all; prices go on."""
        if symbol is None:
            self._is_halted = True
        else:
            self._halted.add(symbol)

    def resume(self, symbol: str | None) -> None:
        """End one halt, or all."""
        if symbol is None:
            self._is_halted = False
            self._halted.clear()
        else:
            self._halted.discard(symbol)

    def is_halted(self, symbol: str) -> bool:
        """Whether nothing trades in a symbol: itself, its root, or everything is halted."""
        return self._is_halted or symbol in self._halted or root_of(symbol) in self._halted

    def _pinned(self, symbol: str, at: datetime) -> Decimal | None:
        pins = self._pins.get(symbol)
        place = 0 if pins is None else bisect_right(pins, at, key=_time)
        return pins[place - 1][1] if pins and place else None

    def _walk(self, symbol: str) -> PricePath:
        walk = self._walks.get(symbol)
        if walk is None:
            name = f"{self._seed}/market/{symbol}"
            random = Random(name)  # noqa: S311  a pretend market needs no secrecy
            base = math.log(_BASES.get(symbol) or random.uniform(5, 300))
            phases = [random.random() for _ in _WAVES]

            def daily(on: date) -> float:
                turns = zip(_WAVES, phases, strict=True)
                return base + sum(
                    height * math.sin(math.tau * (on.toordinal() / days + phase)) for (days, height), phase in turns
                )

            walk = self._walks[symbol] = PricePath(name, daily)
        return walk


def quote_of(symbol: str, last: Decimal) -> Quote:
    """The quote around a last price: a cent to each side at least, more where it is dear, and most for options."""
    share = _STOCK_SPREAD if parse_option(symbol) is None else _OPTION_SPREAD
    step = price_step(symbol)
    half = max(step, (last * share).quantize(step))
    return Quote(max(Decimal(0), last - half), last + half, last)


def _premium(option: Option, spot: Decimal, at: datetime) -> Decimal:
    """What one unit is worth until the evening of its last day, a cent at least; then what is inside it."""
    sign = 1 if option.right == "C" else -1
    inner = max(sign * (spot - option.strike), Decimal(0))
    years = (anchor(option.expiry) - at) / _YEAR
    if years <= 0 or not option.strike:
        return inner
    return max(inner, _cents(worth(float(spot), float(option.strike), years, sign=sign)))


def _cents(value: float) -> Decimal:
    return max(_CENT, Decimal(value).quantize(_CENT))


def _rounded(symbol: str, value: float) -> Decimal:
    step = price_step(symbol)
    return max(step, Decimal(value).quantize(step))


def _time(pin: tuple[datetime, Decimal | None]) -> datetime:
    return pin[0]
