"""The command ``depth``: show the market depth of one symbol, as bars or as JSON."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.bar import Bar
from rich.console import Console
from rich.text import Text

from connecttrade_async.amounts import EXACT
from connecttrade_async.cli.live_view import has_screen, line_printer, print_events, print_market_object, show
from connecttrade_async.cli.market_options import open_feed, open_market, symbol, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option, until_stopped, until_terminated
from connecttrade_async.cli.output import DASH, echo_line, figure, plain
from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from connecttrade_async.models.market import Depth, Level

__all__ = ["DepthView", "depth", "draw_depth"]


@click.command(short_help="Follow the market depth of one symbol live.")
@click.argument("name", metavar="SYMBOL", callback=symbol)
@click.option("--levels", type=click.IntRange(min=1), default=10, show_default=True, help="How deep, on each side.")
@click.option("--once", is_flag=True, help="Print the present depth, and end.")
@which_option
@seconds_option
@times_option
@json_option
@in_event_loop
async def depth(
    *,
    name: str,
    levels: int,
    once: bool,
    connection_id: str | None,
    seconds: float | None,
    times: int | None,
    as_json: bool,
) -> None:
    """Follow the market depth of a stock or an option, live until Ctrl-C: offers above, bids below.

    The length of each bar is its size relative to the largest one. If stdout is not a terminal, each update is printed
    whole, with an empty line after it. A slow terminal or pipe gets the latest update.
    """
    async with (
        until_terminated(),
        open_market(connection_id) as md,
        open_feed(md.depth(name, levels=levels)) as feed,
        until_stopped(seconds),
    ):
        if once:
            await print_events(md, feed, print_market_object if as_json else line_printer(_depth_text), 1)
        elif has_screen(is_machine_readable=as_json):
            await show(md, feed, DepthView(name), times)
        elif as_json:
            await print_events(md, feed, print_market_object, times)
        else:
            echo_line(f"Following the depth of {name}. Ctrl-C ends it.")
            await print_events(md, feed, line_printer(_depth_block), times)


def _depth_block(book: Depth, now: datetime) -> str:
    return f"{_depth_text(book, now)}\n"


def _depth_text(book: Depth, _: datetime) -> str:
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(draw_depth(book, console), soft_wrap=True, end="")
    return capture.get()


WIDEST = 40
EIGHTHS = 8  # steps that rich draws in a column
GAP = "  "


class DepthView:
    """The last depth of a symbol.

    Args:
        name: the symbol.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._depth: Depth | None = None

    def update(self, depth: Depth) -> None:
        """Replace the depth."""
        self._depth = depth

    def draw(self, console: Console) -> Text:
        """Render the depth."""
        if self._depth is None:
            return Text(f"{self._name}  No depth yet.", style="dim")
        return draw_depth(self._depth, console)


class _DepthRow(NamedTuple):
    price: str
    size: str
    amount: Decimal
    style: str


def draw_depth(depth: Depth, console: Console) -> Text:
    """Draw market depth, without a line break after the last line.

    Args:
        depth: the depth, best prices first on both sides.
        console: the console; the bars take the columns that the figures leave.
    """
    asks, bids = _rows(reversed(depth.asks), "red"), _rows(depth.bids, "green")
    every = [*asks, *bids]
    prices, sizes = (
        max((len(text) for text in column), default=1)
        for column in ([row.price for row in every], [row.size for row in every])
    )
    largest = max((row.amount for row in every), default=Decimal(0))
    longest = max(min(console.width - prices - sizes - 2 * len(GAP), WIDEST), 0)
    lines = [Text.assemble((plain(depth.symbol), "bold"), f"  {_time(depth)}")]
    for side, none in ((asks, "no offers"), (bids, "no bids")):
        if side is bids:
            lines.append(Text(_spread(depth), style="dim"))
        lines.extend(_drawn(row, prices, sizes, _bar(row.amount, largest, longest, console)) for row in side)
        if not side:
            lines.append(Text(none, style="dim"))
    return Text("\n").join(lines)


def _rows(levels: Iterable[Level], style: str) -> Sequence[_DepthRow]:
    return [
        _DepthRow(_figure(level.price_text), _figure(level.size_text), max(_number(level, "size"), Decimal(0)), style)
        for level in levels
    ]


def _drawn(row: _DepthRow, prices: int, sizes: int, bar: str) -> Text:
    size = f"{GAP}{row.size:>{sizes}}"
    return Text.assemble((row.price.rjust(prices), row.style), size, (f"{GAP}{bar}" if bar else "", row.style))


def _bar(amount: Decimal, largest: Decimal, longest: int, console: Console) -> str:
    """Draw a bar; any size above zero is visible."""
    if not amount or not longest:
        return ""
    share = max(float(amount) / float(largest), 1 / (longest * EIGHTHS))
    segments = console.render(Bar(1, 0, share, width=longest))
    return "".join(segment.text for segment in segments).rstrip()


def _spread(depth: Depth) -> str:
    bid, ask = (_number(side[0], "price") if side else Decimal(0) for side in (depth.bids, depth.asks))
    if not bid or not ask:
        return "no spread"
    middle = EXACT.divide(EXACT.add(bid, ask), Decimal(2))
    return f"spread {figure(f'{EXACT.subtract(ask, bid):f}')}, middle {figure(f'{middle:f}')}"


def _number(level: Level, name: str) -> Decimal:
    try:
        value: Decimal | None = getattr(level, name)
    except MalformedResponseError:
        return Decimal(0)
    return value or Decimal(0)


def _figure(text: str | None) -> str:
    return figure(plain(text)) if text else DASH


def _time(depth: Depth) -> str:
    try:
        when = depth.time
    except MalformedResponseError:
        return plain(depth.time_text or "")
    return "" if when is None else f"{when.astimezone(UTC):%H:%M:%S} UTC"
