"""The front door: ``chain`` shows the options on a stock that expire on one day."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.failures import fail
from connecttrade_async.cli.market import open_feed, open_market, symbol, which_option
from connecttrade_async.cli.options import day, in_event_loop, json_option
from connecttrade_async.cli.sheet import SHEET, build_sheet
from connecttrade_async.cli.tables import print_table
from connecttrade_async.cli.telling import echo_line, plain
from connecttrade_async.cli.ticking import as_objects
from connecttrade_async.cli.waiting import waiting
from connecttrade_async.models.market import OptionsChain
from connecttrade_async.symbology import is_option

if TYPE_CHECKING:
    from datetime import date

    from connecttrade_async.streaming.feeds import Feed

__all__ = ["chain"]

QUIET = 0.5
PATIENCE = 10.0


def _underlying(ctx: click.Context, param: click.Parameter, text: str) -> str:
    name = symbol(ctx, param, text)
    if is_option(name):
        msg = f"{name} is an option: give the symbol of the stock that it is on"
        raise click.BadParameter(msg)
    return name


@click.command(short_help="Show the options on a stock that expire on one day.")
@click.argument("name", metavar="SYMBOL", callback=_underlying)
@click.option("--expiry", metavar="DAY", callback=day, help="When they expire, 2026-12-18; by default the nearest day.")
@which_option
@json_option
@in_event_loop
async def chain(*, name: str, expiry: date | None, connection_id: str | None, as_json: bool) -> None:
    """Show the options on a stock that expire on one day: calls left, strikes in the middle, puts right.

    Greeks are rounded for people: delta, and the implied volatility (IV) in per cent a year; --json has them whole.
    Without --expiry the other days are named, as far as they came within half a second of quiet.
    """
    async with (
        open_market(connection_id) as md,
        open_feed(md.options_chain(name, expiry)) as feed,
        waiting(f"Asking for options on {name}"),
    ):
        found = await _gather(feed, is_one=expiry is not None)
    if not found:
        on_day = f" that expire on {expiry}" if expiry else ""
        fail(f"no options on {name}{on_day} came within {PATIENCE:.0f} s")
    nearest, *others = sorted(found, key=lambda one: one.expiration_text or "")
    if as_json:
        as_objects(nearest)
    else:
        _print(nearest)
    if others:
        days = ", ".join(plain(one.expiration_text or "a day that is not told") for one in others)
        echo_line(f"There are others, for --expiry: {days}.")


async def _gather(feed: Feed[OptionsChain], *, is_one: bool) -> list[OptionsChain]:
    """Return the chains that come, one for each day, until no other has come for a while."""
    found: dict[str | None, OptionsChain] = {}
    limit = asyncio.timeout(PATIENCE)
    try:
        async with limit:
            async for event in feed:
                if not isinstance(event, OptionsChain):
                    continue
                if event.expiration_text not in found:
                    limit.reschedule(asyncio.get_running_loop().time() + QUIET)
                found[event.expiration_text] = event
                if is_one:
                    break
    except TimeoutError:
        if not limit.expired():  # it came from the feed
            raise
    return list(found.values())


def _print(one: OptionsChain) -> None:
    sheet = build_sheet(one)
    if sheet.pairs:
        click.echo(plain(f"{one.underlying}, options that expire on {one.expiration_text or 'a day that is not told'}"))
        print_table(sheet.pairs, SHEET)
    else:
        echo_line(f"There are no options on {plain(one.underlying)} for {plain(one.expiration_text or 'that day')}.")
    if sheet.unread:
        echo_line(f"Options left out, whose symbols cannot be read: {sheet.unread}.")
