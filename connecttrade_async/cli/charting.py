"""The front door: ``bars`` shows what traded in each interval: as a candle chart, lines, CSV or objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from connecttrade_async.cli.endings import for_a_while
from connecttrade_async.cli.market import open_feed, open_market, symbol, times_option, which_option
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option
from connecttrade_async.cli.series import Series, bar_line, is_over, print_csv, print_header
from connecttrade_async.cli.telling import echo_line
from connecttrade_async.cli.ticking import as_lines, as_objects, as_rows, has_screen, print_all, show
from connecttrade_async.cli.waiting import waiting
from connecttrade_async.streaming.market_data import INTERVALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.models.market import Bar

__all__ = ["bars"]


@click.command(short_help="Show bars of the past as a chart of candles.")
@click.argument("name", metavar="SYMBOL", callback=symbol)
@click.option("--interval", type=click.Choice(INTERVALS), default="1m", show_default=True, help="How long a bar is.")
@click.option("--limit", type=click.IntRange(min=1), default=120, show_default=True, help="How many past bars.")
@click.option("--follow", is_flag=True, help="Go on with bars as they happen, until Ctrl-C.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each bar that is over.")
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
    """Show bars of a stock or an option as a chart of candles, or with --csv or --json in the wire's own text.

    The chart has as many of the last bars as there is room for. With --follow it goes on, and what a lost link has
    missed is fetched; where stdout is no terminal there is a line for each bar that is over. In JSON the bar of the
    present comes too, whenever it changes. --for and --times count from the end of the past.
    """
    _check(follow=follow, has_end=bool(seconds or times), formats=as_csv + as_json)
    series = Series(name, interval, limit)
    async with open_market(connection_id) as md:
        if not follow:
            async with waiting(f"Asking for bars of {name}"):
                past = await md.history(name, interval=interval, limit=limit)
            _print(past, series, as_csv=as_csv, as_json=as_json)
            return
        coming = md.bars(name, interval=interval, backfill=limit, fill_gaps=True)
        async with open_feed(coming) as feed, for_a_while(seconds):
            if has_screen(is_for_programs=as_json or as_csv):
                await show(md, feed, series, times)
            elif as_json:
                await print_all(md, feed, as_objects, times)
            elif as_csv:
                print_header()
                await print_all(md, feed, as_rows(print_csv), times, is_told=is_over)
            else:
                echo_line(f"Following bars of {name}. Ctrl-C ends it.")
                await print_all(md, feed, as_lines(bar_line), times, is_told=is_over)


def _check(*, follow: bool, has_end: bool, formats: int) -> None:
    if formats > 1:
        msg = "say either --csv or --json"
        raise click.UsageError(msg)
    if has_end and not follow:
        msg = "--for and --times are for --follow"
        raise click.UsageError(msg)


def _print(past: Sequence[Bar], series: Series, *, as_csv: bool, as_json: bool) -> None:
    if as_csv:
        print_header()
    for bar in past:
        if as_json:
            as_objects(bar)
        elif as_csv:
            print_csv(bar)
        series.update(bar)
    if as_json or as_csv:
        return
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(series.draw(console))
    click.echo("\n".join(line.rstrip() for line in capture.get().split("\n")), nl=False)
