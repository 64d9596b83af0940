"""The command ``quotes``: show the best bid and offer of symbols, as a table, as lines or as JSON."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.text import Text

from connecttrade_async.cli.live_view import has_screen, line_printer, print_events, print_market_object, show
from connecttrade_async.cli.market_options import open_feed, open_market, symbols, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option, until_stopped, until_terminated
from connecttrade_async.cli.output import Column, echo_line, figure, fit_table, plain
from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal

    from rich.console import Console, RenderableType

    from connecttrade_async.models.market import Quote

__all__ = ["QUOTE_COLUMNS", "QuoteRow", "QuoteTable", "quote_line", "quotes"]

PRICES = ("bid_price", "ask_price", "last_price")
STYLES = {-1: "red", 0: "", 1: "green"}
ARROWS = {-1: "▼ ", 0: "  ", 1: "▲ "}


class QuoteRow(NamedTuple):
    """The last quote of a symbol.

    Attributes:
        symbol: the symbol.
        quote: its last quote; None before the first one.
        moves: the direction of the last move of each price: 1 up, -1 down, 0 before a move.
    """

    symbol: str
    quote: Quote | None = None
    moves: tuple[int, int, int] = (0, 0, 0)


class QuoteTable:
    """A table of the last quote of each symbol.

    Args:
        symbols: the symbols, in order.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self._rows = {symbol: QuoteRow(symbol) for symbol in symbols}

    @property
    def rows(self) -> tuple[QuoteRow, ...]:
        """The rows, in order."""
        return tuple(self._rows.values())

    def update(self, quote: Quote) -> None:
        """Replace the quote of a symbol."""
        row = self._rows.get(quote.symbol, QuoteRow(quote.symbol))
        first, second, third = (
            _moved(row.quote, quote, name, kept) for name, kept in zip(PRICES, row.moves, strict=True)
        )
        self._rows[quote.symbol] = QuoteRow(quote.symbol, quote, (first, second, third))

    def draw(self, console: Console) -> RenderableType:
        """Render the columns that fit the console."""
        return fit_table(self.rows, QUOTE_COLUMNS, console)[0]


def quote_line(quote: Quote, now: datetime) -> str:
    """Format a quote as one line."""
    bid = f"{_figure(quote.bid_price_text)} x {_figure(quote.bid_size_text)}"
    ask = f"{_figure(quote.ask_price_text)} x {_figure(quote.ask_size_text)}"
    return plain(
        f"{_time(quote) or f'{now:%H:%M:%S}'}  {quote.symbol:<6}  {bid} / {ask}  last {_figure(quote.last_price_text)}"
    )


def _price(row: QuoteRow, index: int) -> Text | None:
    text = None if row.quote is None else getattr(row.quote, f"{PRICES[index]}_text")
    return Text(figure(plain(text)), style=STYLES[row.moves[index]]) if text else None


def _last(row: QuoteRow) -> Text | None:
    price = _price(row, 2)
    return None if price is None else Text(ARROWS[row.moves[2]], style=price.style).append_text(price)


QUOTE_COLUMNS: Sequence[Column[QuoteRow]] = (
    Column[QuoteRow]("Symbol", lambda row: row.symbol),
    Column[QuoteRow]("Bid", lambda row: _price(row, 0), "number"),
    Column[QuoteRow]("Size", lambda row: row.quote and row.quote.bid_size_text, "number", rank=2),
    Column[QuoteRow]("Ask", lambda row: _price(row, 1), "number"),
    Column[QuoteRow]("Size", lambda row: row.quote and row.quote.ask_size_text, "number", rank=3),
    Column[QuoteRow]("Last", _last, "number"),
    Column[QuoteRow]("Time (UTC)", lambda row: row.quote and _time(row.quote), rank=1),
)


def _moved(before: Quote | None, now: Quote, name: str, kept: int) -> int:
    was, is_now = (None if quote is None else _number(quote, name) for quote in (before, now))
    if was is None or is_now is None or was == is_now:
        return kept
    return 1 if is_now > was else -1


def _number(quote: Quote, name: str) -> Decimal | None:
    try:
        value: Decimal | None = getattr(quote, name)
    except MalformedResponseError:
        return None
    return value


def _figure(text: str | None) -> str:
    return figure(text) if text else "?"


def _time(quote: Quote) -> str | None:
    try:
        when = quote.time
    except MalformedResponseError:
        return quote.time_text
    return None if when is None else when.astimezone(UTC).strftime("%H:%M:%S")


@click.command(short_help="Follow quotes of stocks or options live.")
@click.argument("names", nargs=-1, required=True, metavar="SYMBOL...", callback=symbols)
@which_option
@seconds_option
@times_option
@json_option
@in_event_loop
async def quotes(
    *, names: tuple[str, ...], connection_id: str | None, seconds: float | None, times: int | None, as_json: bool
) -> None:
    """Follow quotes of stocks, or of options by their OSI symbols, live until Ctrl-C.

    A slow terminal or pipe gets the latest quote of each symbol. A lost stream is reconnected, and the output says so.

    Connect Trade allows one market data stream at a time per user.
    """
    async with (
        until_terminated(),
        open_market(connection_id) as md,
        open_feed(md.quotes(*names)) as feed,
        until_stopped(seconds),
    ):
        if has_screen(is_machine_readable=as_json):
            await show(md, feed, QuoteTable(names), times)
            return
        if not as_json:
            echo_line(f"Following quotes of {', '.join(names)}. Ctrl-C ends it.")
        await print_events(md, feed, print_market_object if as_json else line_printer(quote_line), times)
