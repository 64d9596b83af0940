"""The table of quotes and the line of a quote, without a stream."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from connecttrade_async.cli.commands.quotes import QuoteTable, quote_line
from connecttrade_async.models.market import Quote

NOW = datetime(2026, 3, 2, 14, 30, 5, tzinfo=UTC)


def quote(symbol: str, bid: str | None, ask: str | None, last: str | None, **more: Any) -> Quote:
    return Quote(symbol=symbol, bid_price_text=bid, ask_price_text=ask, last_price_text=last, **more)


def drawn(board: QuoteTable, width: int = 80, colours: str | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=colours, force_terminal=bool(colours))  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(board.draw(console))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_quote_view_has_a_row_for_each_symbol_from_the_start() -> None:
    board = QuoteTable(["AAPL", "MSFT"])
    board.update(
        quote("MSFT", "410.40", "410.60", "1410.5000", bid_size_text="1200", time_text="2026-03-02T14:30:05.25Z")
    )
    assert drawn(board) == [
        "Symbol    Bid  Size    Ask Size       Last Time (UTC)",
        "─" * 53,
        "AAPL        –     –      –    –          – –",  # noqa: RUF001 - the house's dash
        "MSFT   410.40 1,200 410.60    –   1,410.50 14:30:05",  # noqa: RUF001
    ]


def test_quote_view_shows_the_direction_of_the_last_move() -> None:
    board = QuoteTable(["AAPL"])
    for last in ("190.00", "190.00", "190.02", "190.0200"):
        board.update(quote("AAPL", "189.98", "190.02", last))
    assert drawn(board)[2].endswith("▲ 190.02 –")  # noqa: RUF001
    assert board.rows[0].moves == (0, 0, 1)
    board.update(quote("AAPL", "189.90", "190.04", "189.92"))
    assert drawn(board)[2].endswith("▼ 189.92 –")  # noqa: RUF001
    (line,) = (line for line in drawn(board, colours="standard") if "189.92" in line)
    assert "\x1b[31m189.90" in line
    assert "\x1b[32m190.04" in line
    assert "\x1b[31m▼ " in line


def test_quote_view_shows_a_malformed_price_as_it_came() -> None:
    board = QuoteTable(["AAPL"])
    for last in ("190.00", "soon\x1b[2J", "190.00", None):
        board.update(quote("AAPL", None, None, last, time_text="later"))
    assert board.rows[0].moves == (0, 0, 0)
    board.update(quote("AAPL", None, None, "soon\x1b[2J", time_text="later"))
    assert drawn(board)[2].split() == ["AAPL", "–", "–", "–", "–", "soon", "[2J", "later"]  # noqa: RUF001


def test_quote_view_on_a_narrow_terminal_keeps_the_prices() -> None:
    board = QuoteTable(["AAPL"])
    board.update(quote("AAPL", "189.98", "190.02", "190.00"))
    assert drawn(board, 36)[0].split() == ["Symbol", "Bid", "Ask", "Last"]


def test_quote_line_formats_a_quote() -> None:
    whole = quote(
        "AAPL",
        "189.980",
        "190.02",
        "1190",
        bid_size_text="1200",
        ask_size_text="300",
        time_text="2026-03-02T15:00:00+01:00",
    )
    assert quote_line(whole, NOW) == "14:00:00  AAPL    189.98 x 1,200 / 190.02 x 300  last 1,190"
    assert quote_line(quote("F", None, "", "x\x1b"), NOW) == "14:30:05  F       ? x ? / ? x ?  last x"
