"""The front door: ``quotes`` follows the best bid and offer of some symbols, on a board, in lines, or as objects."""

from __future__ import annotations

import click

from connecttrade_async.cli.board import QuoteTable, quote_line
from connecttrade_async.cli.endings import for_a_while
from connecttrade_async.cli.market import open_feed, open_market, symbols, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option
from connecttrade_async.cli.telling import echo_line
from connecttrade_async.cli.ticking import as_lines, as_objects, has_screen, print_all, show

__all__ = ["quotes"]


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

    Whoever reads slowly has the latest quote of each symbol. A lost link is made again, and what is shown says so.

    Connect Trade allows one link for market data at a time per user.
    """
    async with open_market(connection_id) as md, open_feed(md.quotes(*names)) as feed, for_a_while(seconds):
        if has_screen(is_for_programs=as_json):
            await show(md, feed, QuoteTable(names), times)
            return
        if not as_json:
            echo_line(f"Following quotes of {', '.join(names)}. Ctrl-C ends it.")
        await print_all(md, feed, as_objects if as_json else as_lines(quote_line), times)
