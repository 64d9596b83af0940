"""The front door: bars drawn as candles of text, one a column, two steps of price a line.

A bar that rose is a block and one that fell is a thin stroke, so that they differ without colour too.
"""

from __future__ import annotations

from datetime import UTC
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from connecttrade_async.models.market import Bar

__all__ = ["Candle", "chart", "read_candles", "room"]

LOWEST = 3
NARROWEST = 20
EVERY = 4  # lines between two prices
APART = 10  # columns between two times
BLANK, WICK, BODY = range(3)
WICKS = {(WICK, WICK): "│", (WICK, BLANK): "╵", (BLANK, WICK): "╷", (BLANK, BLANK): " "}
ROSE = {(BODY, BODY): "█", (BODY, WICK): "▀", (BODY, BLANK): "▀", (WICK, BODY): "▄", (BLANK, BODY): "▄", **WICKS}
FELL = {(BODY, BODY): "┃", (BODY, WICK): "╿", (BODY, BLANK): "╹", (WICK, BODY): "╽", (BLANK, BODY): "╻", **WICKS}


class Candle(NamedTuple):
    """A bar that has all its prices.

    Attributes:
        start: when it began, or None.
        open: the first price.
        high: the highest.
        low: the lowest.
        close: the last.
    """

    start: datetime | None
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def has_risen(self) -> bool:
        """Whether it ended no lower than it began."""
        return self.close >= self.open


class _Scale(NamedTuple):
    """Prices on lines; each line is two steps high, and steps count from the bottom.

    Attributes:
        low: the lowest price.
        high: the highest.
        lines: how many lines there are.
        places: decimals of a price.
    """

    low: Decimal
    high: Decimal
    lines: int
    places: int

    def step(self, price: Decimal) -> int:
        """Return the step on which a price lies: of one price only, in the middle."""
        if self.low == self.high:
            return self.lines
        share = (price - self.low) / (self.high - self.low)
        return int((share * (2 * self.lines - 1)).to_integral_value(ROUND_HALF_UP))

    def labels(self) -> dict[int, str]:
        """Return prices by the line, from the top, at which they are written; the outermost are exact."""
        if self.low == self.high:
            return {self.lines - 1 - self.lines // 2: self._written(self.low)}
        last = self.lines - 1
        each = (self.high - self.low) / (2 * self.lines - 1)
        between = {
            line: self._written(self.low + each * (2 * (last - line) + Decimal("0.5")))
            for line in range(EVERY, last - 1, EVERY)
        }
        return {0: self._written(self.high), **between, last: self._written(self.low)}

    def _written(self, price: Decimal) -> str:
        return f"{price:,.{self.places}f}"


def read_candles(bars: Iterable[Bar]) -> list[Candle]:
    """Return the bars that have all their prices, as candles."""
    return [candle for bar in bars if (candle := _read(bar)) is not None]


def room(candles: Sequence[Candle], width: int) -> int:
    """Return how many candles there is room for beside the prices."""
    return max(width, NARROWEST) - _margin(candles)


def chart(candles: Sequence[Candle], width: int, height: int, *, has_days: bool = False) -> Text:
    """Return a chart, with prices at its side and times (UTC) below.

    Args:
        candles: at least one; the last of them where there is no room for all.
        width: columns, at least 20.
        height: lines, at least 3, of which the last has the times.
        has_days: whether each candle is a day, so that days stand below and not times.
    """
    shown = candles[-room(candles, width) :]
    lines = max(height, LOWEST) - 1
    scale = _Scale(min(one.low for one in shown), max(one.high for one in shown), lines, _places(shown))
    labels = scale.labels()
    drawn = Text()
    for line in range(lines):
        for candle in shown:
            drawn.append(_glyph(candle, scale, line), style="green" if candle.has_risen else "red")
        drawn.append(f" ┤ {labels[line]:>{_margin(candles) - 3}}" if line in labels else " │", style="dim")
        drawn.append("\n")
    return drawn.append(_times(shown, has_days=has_days), style="dim")


def _glyph(candle: Candle, scale: _Scale, line: int) -> str:
    lower = 2 * (scale.lines - 1 - line)
    halves = _half(candle, scale, lower + 1), _half(candle, scale, lower)
    return (ROSE if candle.has_risen else FELL)[halves]


def _half(candle: Candle, scale: _Scale, step: int) -> int:
    bottom, top = sorted((scale.step(candle.open), scale.step(candle.close)))
    if bottom <= step <= top:
        return BODY
    return WICK if scale.step(candle.low) <= step <= scale.step(candle.high) else BLANK


def _times(candles: Sequence[Candle], *, has_days: bool) -> str:
    """Write a time under every tenth candle, where there is room for it."""
    said = ""
    for column in range(0, len(candles), APART):
        start = candles[column].start
        if start is None:
            continue
        text = start.astimezone(UTC).strftime("%m-%d" if has_days else "%H:%M")
        if column + len(text) <= max(len(candles), len(text)):
            said = said.ljust(column) + text
    return said


def _margin(candles: Sequence[Candle]) -> int:
    places = _places(candles)
    return 3 + max(len(f"{price:,.{places}f}") for one in candles for price in (one.low, one.high))


def _places(candles: Sequence[Candle]) -> int:
    prices = (price for one in candles for price in (one.open, one.high, one.low, one.close))
    exponents = (price.as_tuple().exponent for price in prices)
    return max(0, *(-exponent for exponent in exponents if isinstance(exponent, int)))


def _read(bar: Bar) -> Candle | None:
    try:
        prices, start = (bar.open, bar.high, bar.low, bar.close), bar.start_time
    except MalformedResponseError:
        return None
    if any(price is None for price in prices):
        return None
    opened, high, low, closed = (price for price in prices if price is not None)
    # What the wire says of the highest may be older than what it says of the last.
    return Candle(start, opened, max(opened, high, low, closed), min(opened, high, low, closed), closed)
