"""Draw bars as candles of text: one column a bar, two price steps a line.

A rising bar is a block and a falling bar a thin stroke, so that they differ without color too.
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

__all__ = ["Candle", "capacity", "chart", "read_candles"]

LOWEST = 3
NARROWEST = 20
LABEL_LINES = 4  # lines between two price labels
LABEL_COLUMNS = 10  # columns between two time labels
BLANK, WICK, BODY = range(3)
WICKS = {(WICK, WICK): "│", (WICK, BLANK): "╵", (BLANK, WICK): "╷", (BLANK, BLANK): " "}
ROSE = {(BODY, BODY): "█", (BODY, WICK): "▀", (BODY, BLANK): "▀", (WICK, BODY): "▄", (BLANK, BODY): "▄", **WICKS}
FELL = {(BODY, BODY): "┃", (BODY, WICK): "╿", (BODY, BLANK): "╹", (WICK, BODY): "╽", (BLANK, BODY): "╻", **WICKS}


class Candle(NamedTuple):
    """A bar with all four prices.

    Attributes:
        start: the start of the interval, or None.
        open: the first price.
        high: the highest price.
        low: the lowest price.
        close: the last price.
    """

    start: datetime | None
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @property
    def has_risen(self) -> bool:
        """Whether the close is not below the open."""
        return self.close >= self.open


class _Scale(NamedTuple):
    """Maps prices to lines. Each line is two steps high, and steps count from the bottom.

    Attributes:
        low: the lowest price.
        high: the highest price.
        lines: the number of lines.
        places: the decimals of a price.
    """

    low: Decimal
    high: Decimal
    lines: int
    places: int

    def step(self, price: Decimal) -> int:
        """Return the step of a price; the middle if all prices are equal."""
        if self.low == self.high:
            return self.lines
        share = (price - self.low) / (self.high - self.low)
        return int((share * (2 * self.lines - 1)).to_integral_value(ROUND_HALF_UP))

    def labels(self) -> dict[int, str]:
        """Return the labels of prices by line, from the top; the highest and the lowest are exact."""
        if self.low == self.high:
            return {self.lines - 1 - self.lines // 2: self._format(self.low)}
        last = self.lines - 1
        each = (self.high - self.low) / (2 * self.lines - 1)
        between = {
            line: self._format(self.low + each * (2 * (last - line) + Decimal("0.5")))
            for line in range(LABEL_LINES, last - 1, LABEL_LINES)
        }
        return {0: self._format(self.high), **between, last: self._format(self.low)}

    def _format(self, price: Decimal) -> str:
        return f"{price:,.{self.places}f}"


def read_candles(bars: Iterable[Bar]) -> list[Candle]:
    """Convert the bars that have all four prices."""
    return [candle for bar in bars if (candle := _read(bar)) is not None]


def capacity(candles: Sequence[Candle], width: int) -> int:
    """Return how many candles fit beside the labels."""
    return max(width, NARROWEST) - _margin(candles)


def chart(candles: Sequence[Candle], width: int, height: int, *, has_days: bool = False) -> Text:
    """Draw a chart with prices at the right and times (UTC) below.

    Args:
        candles: at least one; only the last ones that fit are drawn.
        width: columns, at least 20.
        height: lines, at least 3; the last one holds the times.
        has_days: whether each candle is a day, which labels days and not times.
    """
    shown = candles[-capacity(candles, width) :]
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
    """Label every tenth candle with its time, if the label fits."""
    line = ""
    for column in range(0, len(candles), LABEL_COLUMNS):
        start = candles[column].start
        if start is None:
            continue
        text = start.astimezone(UTC).strftime("%m-%d" if has_days else "%H:%M")
        if column + len(text) <= max(len(candles), len(text)):
            line = line.ljust(column) + text
    return line


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
    # The high and low of an unfinished bar may be older than its close.
    return Candle(start, opened, max(opened, high, low, closed), min(opened, high, low, closed), closed)
