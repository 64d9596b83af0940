"""The front door: the bars of one symbol, as a titled chart, as lines, or as CSV in the wire's own text."""

from __future__ import annotations

import csv
import io
from datetime import UTC
from typing import TYPE_CHECKING

import click
from rich.text import Text

from connecttrade_async.cli.candles import chart, read_candles, room
from connecttrade_async.cli.tables import figure
from connecttrade_async.cli.telling import plain
from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.console import Console

    from connecttrade_async.cli.candles import Candle
    from connecttrade_async.models.market import Bar

__all__ = ["Series", "bar_line", "is_over", "print_csv", "print_header"]

TALLEST = 20
BESIDE = 5  # lines that are not the chart's: what is above it, and the prompt
A_DAY = "1d"
COLUMNS = ("start_time", "symbol", "interval", "open", "high", "low", "close", "volume")


class Series:
    """The last bars of a symbol, the very last of which may still change.

    Args:
        name: the symbol.
        interval: how long a bar is.
        limit: how many bars are kept.
    """

    def __init__(self, name: str, interval: str, limit: int) -> None:
        self._title = f"{name} {interval}"
        self._has_days = interval == A_DAY
        self._limit = limit
        self._bars: dict[object, Bar] = {}

    def update(self, bar: Bar) -> None:
        """Take a bar, in the place of one that began at the same time."""
        self._bars[bar.start_time_text] = bar
        while len(self._bars) > self._limit:
            del self._bars[next(iter(self._bars))]

    def draw(self, console: Console) -> Text:
        """Return a chart of the bars for which there is room, and above it what it is of."""
        candles = read_candles(self._bars.values())
        unread = len(self._bars) - len(candles)
        title = Text(self._title, style="bold")
        if unread:
            title.append(f"  Bars without all their prices, not drawn: {unread}.", style="yellow")
        if not candles:
            return title.append("  No bars to draw.", style="dim")
        shown = candles[-room(candles, console.width) :]
        title.append_text(self._said(shown, len(candles)))
        height = min(max(console.height - BESIDE, 0), TALLEST)
        drawn = chart(shown, console.width, height, has_days=self._has_days)
        return Text("\n").join([title, drawn])

    def _said(self, shown: Sequence[Candle], count: int) -> Text:
        first, last = shown[0], shown[-1]
        change = last.close - first.open
        of_all = f", the last {len(shown)} of {count} bars" if len(shown) < count else ""
        since = "" if first.start is None else f" since {self._when(first.start)} UTC{of_all}"
        style = "green" if change > 0 else "red" if change < 0 else ""
        sign = "+" if change > 0 else ""
        return Text.assemble(f"  {figure(str(last.close))}  ", (f"{sign}{figure(str(change))}", style), (since, "dim"))

    def _when(self, start: datetime) -> str:
        return start.astimezone(UTC).strftime("%Y-%m-%d" if self._has_days else "%Y-%m-%d %H:%M")


def is_over(event: object) -> bool:
    """Whether a bar will not change any more; so it is with whatever is no bar."""
    return getattr(event, "closed", None) is not False


def bar_line(bar: Bar, now: datetime) -> str:
    """Return a bar as one line."""
    try:
        when = (bar.start_time or now).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except MalformedResponseError:
        when = bar.start_time_text or ""
    told = (
        ("open", bar.open_text),
        ("high", bar.high_text),
        ("low", bar.low_text),
        ("close", bar.close_text),
        ("volume", bar.volume_text),
    )
    figures = "  ".join(f"{name} {figure(text) if text else '?'}" for name, text in told)
    return plain(f"{when}  {bar.symbol:<6} {bar.interval:<3}  {figures}")


def print_header() -> None:
    """Print the first line of the CSV."""
    _print_row(COLUMNS)


def print_csv(bar: Bar) -> None:
    """Print a bar as a line of CSV, and let whoever reads it have it at once."""
    _print_row(getattr(bar, name if name in {"symbol", "interval"} else f"{name}_text") for name in COLUMNS)


def _print_row(cells: Iterable[str | None]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    click.echo(line.getvalue(), nl=False)
