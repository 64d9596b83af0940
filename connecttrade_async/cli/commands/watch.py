"""The front door: ``watch`` keeps the books of the user's accounts live, on a screen, in lines, or as objects."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live

from connecttrade_async.cli.account_choice import named_accounts
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.event_text import change_line
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option, until_stopped, until_terminated
from connecttrade_async.cli.progress import waiting
from connecttrade_async.cli.watch_output import JsonWatchOutput, TextWatchOutput
from connecttrade_async.cli.watch_screen import WatchView, draw
from connecttrade_async.cli.watch_state import WatchState
from connecttrade_async.clock import SystemClock

if TYPE_CHECKING:
    from rich.text import Text

    from connecttrade_async.cli.watch_output import WatchOutput

__all__ = ["watch"]

CLOCK = SystemClock()
BEAT = 0.25
RECENT = 100


@click.command(short_help="Watch the user's accounts live, on one screen.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@seconds_option
@click.option("--times", type=click.IntRange(min=1), help="End after so many changes.")
@json_option
@in_event_loop
async def watch(*, accounts: tuple[str, ...], seconds: float | None, times: int | None, as_json: bool) -> None:
    """Watch money, positions and open orders live, until Ctrl-C: all accounts of the user, or those that are named.

    A lost link is made again and what was missed is looked up; until then the screen says that it is not current.
    An ACCOUNT is named by its id or the broker's number. Where stdout is no terminal, each change is a line; the
    mere passing of prices is on the screen and in --json only.

    Only one program at a time may follow (the API allows one session).
    """
    on_screen = sys.stdout.isatty() and not as_json and not Console().is_dumb_terminal
    async with until_terminated(), open_user() as (ct, user), AsyncExitStack() as stack:
        async with waiting("Asking for accounts", ct):
            names = await named_accounts(user, accounts)
        stream = ct.brokerage_stream()
        live = ct.live([user], stream)
        async with waiting("Connecting to the stream", ct) as progress:
            await stack.enter_async_context(stream)
            progress.words = "Reading the accounts"
            await stack.enter_async_context(live)
        vigil = WatchState(live, stream, names, is_all=not accounts, clock=CLOCK)
        async with until_stopped(seconds):
            if on_screen:
                await _show(vigil, times)
            else:
                await _tell(vigil, JsonWatchOutput(vigil) if as_json else TextWatchOutput(vigil), times)


async def _tell(vigil: WatchState, output: WatchOutput, times: int | None) -> None:
    """Tell news as it comes, up to so many changes."""
    news, left = vigil.take(), times
    while True:
        changes = tuple(filter(output.is_printed, news.changes))[:left]
        output.print(news._replace(changes=changes))
        if left is not None:
            left -= len(changes)
            if not left:
                return
        if news.ending is not None:
            raise news.ending
        news = await vigil.turn()


async def _show(vigil: WatchState, times: int | None) -> None:
    """Show the books, drawn anew at most every quarter of a second and only if they look otherwise."""
    console = Console(highlight=False)
    recent: deque[Text] = deque(maxlen=RECENT)
    left, shown = times, None
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            news = vigil.take()
            changes = [change for change in news.changes if change.is_material]
            now = CLOCK.wall()
            recent.extendleft(change_line(change, vigil.name(change.account_id), now) for change in changes)
            seen = _face(vigil, recent), console.size
            if seen != shown:
                screen.update(draw(seen[0], console), refresh=True)
                shown = seen
            if news.ending is not None:
                raise news.ending
            if left is not None:
                left -= len(changes)
                if left <= 0:
                    return
            await asyncio.sleep(BEAT)


def _face(vigil: WatchState, recent: deque[Text]) -> WatchView:
    trouble = vigil.trouble or (f"{vigil.failure}; it is tried again" if vigil.failure else "")
    return WatchView(vigil.books(), vigil.names, dict(vigil.since), trouble, vigil.healed, tuple(recent))
