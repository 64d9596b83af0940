"""The front door: ``depth`` follows the book of orders of one symbol, as a ladder or as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from connecttrade_async.cli.endings import for_a_while
from connecttrade_async.cli.ladder import Ladder, draw_ladder
from connecttrade_async.cli.market import open_feed, open_market, symbol, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option
from connecttrade_async.cli.telling import echo_line
from connecttrade_async.cli.ticking import as_lines, as_objects, has_screen, print_all, show

if TYPE_CHECKING:
    from datetime import datetime

    from connecttrade_async.models.market import Depth

__all__ = ["depth"]


@click.command(short_help="Follow the book of orders of one symbol live.")
@click.argument("name", metavar="SYMBOL", callback=symbol)
@click.option("--levels", type=click.IntRange(min=1), default=10, show_default=True, help="How deep, on each side.")
@click.option("--once", is_flag=True, help="Print the book as it is, and end.")
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
    """Follow the book of orders of a stock or an option, live until Ctrl-C: offers above, bids below.

    Each bar is as long as its size, beside the largest in the book. Where stdout is no terminal, each book is printed
    whole, with an empty line after it. Whoever reads slowly has the latest book.
    """
    async with open_market(connection_id) as md, open_feed(md.depth(name, levels=levels)) as feed, for_a_while(seconds):
        if once:
            await print_all(md, feed, as_objects if as_json else as_lines(_alone), 1)
        elif has_screen(is_for_programs=as_json):
            await show(md, feed, Ladder(name), times)
        elif as_json:
            await print_all(md, feed, as_objects, times)
        else:
            echo_line(f"Following the book of {name}. Ctrl-C ends it.")
            await print_all(md, feed, as_lines(_spelled), times)


def _spelled(book: Depth, now: datetime) -> str:
    return f"{_alone(book, now)}\n"


def _alone(book: Depth, _: datetime) -> str:
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(draw_ladder(book, console.width), soft_wrap=True, end="")
    return capture.get()
