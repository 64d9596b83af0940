"""The command ``bars``: show bars as a candle chart, as lines, CSV or JSON."""

from __future__ import annotations

import csv
import io
from datetime import UTC
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from connecttrade_async.cli.candles import capacity, chart, read_candles
from connecttrade_async.cli.live_view import (
    has_screen,
    line_printer,
    print_events,
    print_market_object,
    row_printer,
    show,
)
from connecttrade_async.cli.market_options import open_feed, open_market, symbol, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option, until_stopped, until_terminated
from connecttrade_async.cli.output import echo_line, figure, plain
from connecttrade_async.cli.progress import spinner
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.market_data.names import INTERVALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from connecttrade_async.cli.candles import Candle
    from connecttrade_async.models.market import Bar

__all__ = ["BarView", "bar_line", "bars", "is_closed", "print_csv", "print_header"]


@click.command(short_help="Show past bars as a chart of candles.")
@click.argument("name", metavar="SYMBOL", callback=symbol)
@click.option("--interval", type=click.Choice(INTERVALS), default="1m", show_default=True, help="The length of a bar.")
@click.option("--limit", type=click.IntRange(min=1), default=120, show_default=True, help="The number of past bars.")
@click.option("--follow", is_flag=True, help="Follow new bars, until Ctrl-C.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each closed bar.")
@which_option
@seconds_option
@times_option
@json_option
@in_event_loop
async def bars(
    *,
    name: str,
    interval: str,
    limit: int,
    follow: bool,
    as_csv: bool,
    connection_id: str | None,
    seconds: float | None,
    times: int | None,
    as_json: bool,
) -> None:
    """Show bars of a stock or an option as a chart of candles, or with --csv or --json in the text of the wire.

    The chart shows the last bars that fit. With --follow new bars are added until Ctrl-C, and bars that a lost stream
    missed are fetched; if stdout is not a terminal, each closed bar is a line. With --json the open bar is printed at
    each change too. --for and --times count new bars only.
    """
    _check(follow=follow, has_end=bool(seconds or times), formats=as_csv + as_json)
    view = BarView(name, interval, limit)
    if not follow:
        async with open_market(connection_id) as md, spinner(f"Asking for bars of {name}"):
            past = await md.history(name, interval=interval, limit=limit)
        _print_past(past, view, as_csv=as_csv, as_json=as_json)
        return
    async with until_terminated(), open_market(connection_id) as md:
        opening = md.bars(name, interval=interval, backfill=limit, fill_gaps=True)
        async with open_feed(opening) as feed, until_stopped(seconds):
            if has_screen(is_machine_readable=as_json or as_csv):
                await show(md, feed, view, times)
            elif as_json:
                await print_events(md, feed, print_market_object, times)
            elif as_csv:
                print_header()
                await print_events(md, feed, row_printer(print_csv), times, is_printed=is_closed)
            else:
                echo_line(f"Following bars of {name}. Ctrl-C ends it.")
                await print_events(md, feed, line_printer(bar_line), times, is_printed=is_closed)


def _check(*, follow: bool, has_end: bool, formats: int) -> None:
    if formats > 1:
        msg = "give either --csv or --json"
        raise click.UsageError(msg)
    if has_end and not follow:
        msg = "--for and --times are for --follow"
        raise click.UsageError(msg)


def _print_past(past: Sequence[Bar], view: BarView, *, as_csv: bool, as_json: bool) -> None:
    if as_csv:
        print_header()
    for bar in past:
        if as_json:
            print_market_object(bar)
        elif as_csv:
            print_csv(bar)
        view.update(bar)
    if as_json or as_csv:
        return
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(view.draw(console))
    click.echo("\n".join(line.rstrip() for line in capture.get().split("\n")), nl=False)


TALLEST = 20
BESIDE = 5  # lines of the screen that the chart leaves free: the status, the title and the prompt
A_DAY = "1d"
COLUMNS = ("start_time", "symbol", "interval", "open", "high", "low", "close", "volume")


class BarView:
    """The last bars of a symbol; the last one may still change.

    Args:
        name: the symbol.
        interval: the length of a bar.
        limit: the number of bars to keep.
    """

    def __init__(self, name: str, interval: str, limit: int) -> None:
        self._title = f"{name} {interval}"
        self._has_days = interval == A_DAY
        self._limit = limit
        self._bars: dict[object, Bar] = {}

    def update(self, bar: Bar) -> None:
        """Add a bar, or replace the one with the same start."""
        self._bars[bar.start_time_text] = bar
        while len(self._bars) > self._limit:
            del self._bars[next(iter(self._bars))]

    def draw(self, console: Console) -> Text:
        """Render a title and a chart of the last bars that fit."""
        candles = read_candles(self._bars.values())
        unread = len(self._bars) - len(candles)
        title = Text(self._title, style="bold")
        if unread:
            title.append(f"  Bars without all their prices, not drawn: {unread}.", style="yellow")
        if not candles:
            return title.append("  No bars to draw.", style="dim")
        shown = candles[-capacity(candles, console.width) :]
        title.append_text(self._title_text(shown, len(candles)))
        height = min(max(console.height - BESIDE, 0), TALLEST)
        drawn = chart(shown, console.width, height, has_days=self._has_days)
        return Text("\n").join([title, drawn])

    def _title_text(self, shown: Sequence[Candle], count: int) -> Text:
        first, last = shown[0], shown[-1]
        change = last.close - first.open
        of_all = f", the last {len(shown)} of {count} bars" if len(shown) < count else ""
        since = "" if first.start is None else f" since {self._when(first.start)} UTC{of_all}"
        style = "green" if change > 0 else "red" if change < 0 else ""
        sign = "+" if change > 0 else ""
        return Text.assemble(f"  {figure(str(last.close))}  ", (f"{sign}{figure(str(change))}", style), (since, "dim"))

    def _when(self, start: datetime) -> str:
        return start.astimezone(UTC).strftime("%Y-%m-%d" if self._has_days else "%Y-%m-%d %H:%M")


def is_closed(event: object) -> bool:
    """Return whether an event is not an open bar, which may still change."""
    return getattr(event, "closed", None) is not False


def bar_line(bar: Bar, now: datetime) -> str:
    """Format a bar as one line."""
    try:
        when = (bar.start_time or now).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except MalformedResponseError:
        when = bar.start_time_text or ""
    fields = (
        ("open", bar.open_text),
        ("high", bar.high_text),
        ("low", bar.low_text),
        ("close", bar.close_text),
        ("volume", bar.volume_text),
    )
    figures = "  ".join(f"{name} {figure(text) if text else '?'}" for name, text in fields)
    return plain(f"{when}  {bar.symbol:<6} {bar.interval:<3}  {figures}")


def print_header() -> None:
    """Print the header of the CSV."""
    _print_row(COLUMNS)


def print_csv(bar: Bar) -> None:
    """Print a bar as a line of CSV, and flush it."""
    _print_row(getattr(bar, name if name in {"symbol", "interval"} else f"{name}_text") for name in COLUMNS)


def _print_row(cells: Iterable[str | None]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(None if cell is None else plain(cell) for cell in cells)
    click.echo(line.getvalue(), nl=False)
