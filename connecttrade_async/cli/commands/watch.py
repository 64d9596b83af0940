"""The command ``watch``: show the live books of a user's accounts, on a screen, as lines or as JSON."""

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
from connecttrade_async.cli.progress import spinner
from connecttrade_async.cli.watch_output import JsonWatchOutput, TextWatchOutput
from connecttrade_async.cli.watch_screen import WatchView, draw
from connecttrade_async.cli.watch_state import WatchState
from connecttrade_async.clock import SystemClock

if TYPE_CHECKING:
    from rich.text import Text

    from connecttrade_async.cli.watch_output import WatchOutput

__all__ = ["watch"]

CLOCK = SystemClock()
INTERVAL = 0.25
RECENT = 100


@click.command(short_help="Watch the user's accounts live, on one screen.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@seconds_option
@click.option("--times", type=click.IntRange(min=1), help="End after this many changes.")
@json_option
@in_event_loop
async def watch(*, accounts: tuple[str, ...], seconds: float | None, times: int | None, as_json: bool) -> None:
    """Watch money, positions and open orders live, until Ctrl-C: in all accounts of the user, or in the named ones.

    A lost stream is reconnected and the accounts are read again; until then the screen says that they are not current.
    An ACCOUNT is its id or its number at the broker. If stdout is not a terminal, each change is a line. Changes of
    prices alone are on the screen and in --json only.

    Only one program at a time may use the stream (the API allows one session).
    """
    on_screen = sys.stdout.isatty() and not as_json and not Console().is_dumb_terminal
    async with until_terminated(), open_user() as (ct, user), AsyncExitStack() as stack:
        async with spinner("Asking for accounts", ct):
            names = await named_accounts(user, accounts)
        stream = ct.brokerage_stream()
        live = ct.live([user], stream)
        async with spinner("Connecting to the stream", ct) as progress:
            await stack.enter_async_context(stream)
            progress.text = "Reading the accounts"
            await stack.enter_async_context(live)
        state = WatchState(live, stream, names, is_all=not accounts, clock=CLOCK)
        async with until_stopped(seconds):
            if on_screen:
                await _show(state, times)
            else:
                await _print_updates(state, JsonWatchOutput(state) if as_json else TextWatchOutput(state), times)


async def _print_updates(state: WatchState, output: WatchOutput, times: int | None) -> None:
    """Print updates until a number of changes is printed; None for no end."""
    update, left = state.take(), times
    while True:
        changes = tuple(filter(output.is_printed, update.changes))[:left]
        output.print(update._replace(changes=changes))
        if left is not None:
            left -= len(changes)
            if not left:
                return
        if update.ending is not None:
            raise update.ending
        update = await state.wait()


async def _show(state: WatchState, times: int | None) -> None:
    """Draw the books at most four times a second, and only if the screen changes."""
    console = Console(highlight=False)
    recent: deque[Text] = deque(maxlen=RECENT)
    left, shown = times, None
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            update = state.take()
            changes = [change for change in update.changes if change.is_material]
            now = CLOCK.wall()
            recent.extendleft(change_line(change, state.name(change.account_id), now) for change in changes)
            content = _view(state, recent), console.size
            if content != shown:
                screen.update(draw(content[0], console), refresh=True)
                shown = content
            if update.ending is not None:
                raise update.ending
            if left is not None:
                left -= len(changes)
                if left <= 0:
                    return
            await asyncio.sleep(INTERVAL)


def _view(state: WatchState, recent: deque[Text]) -> WatchView:
    problem = state.stream_problem or (f"{state.failure}; it will be retried" if state.failure else "")
    return WatchView(state.books(), state.names, dict(state.since), problem, state.recovery, tuple(recent))
