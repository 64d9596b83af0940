"""The front door: ``stream`` follows the brokerage stream, and tells each thing as it comes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
from rich.console import Console

from connecttrade_async.cli.credentials import open_client
from connecttrade_async.cli.event_text import UPDATES, aside, line, spelled
from connecttrade_async.cli.options import (
    a_name,
    in_event_loop,
    json_option,
    seconds_option,
    until_stopped,
    until_terminated,
)
from connecttrade_async.cli.output import echo_line, print_object
from connecttrade_async.cli.progress import waiting
from connecttrade_async.clock import SystemClock
from connecttrade_async.models.events import StreamLive
from connecttrade_async.streaming.brokerage_codec import TOPICS
from connecttrade_async.streaming.filters import EventFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["stream"]

CLOCK = SystemClock()


@click.command(short_help="Follow all your users live: a line for each update.")
@click.option("--topic", "topics", multiple=True, type=click.Choice(TOPICS), help="Only this, again for more.")
@click.option("--account", "account_id", metavar="ID", callback=a_name, help="Only this account, by its account_id.")
@click.option("--user", "user_id", metavar="ID", callback=a_name, help="Only this user of yours.")
@click.option("--symbol", metavar="AAPL", callback=a_name, help="Only this symbol.")
@seconds_option
@click.option("--times", type=click.IntRange(min=1), help="End after so many updates.")
@json_option
@in_event_loop
async def stream(
    *,
    topics: tuple[str, ...],
    account_id: str | None,
    user_id: str | None,
    symbol: str | None,
    seconds: float | None,
    times: int | None,
    as_json: bool,
) -> None:
    """Follow orders, positions and balances of all your users live, until Ctrl-C.

    A lost link is made again. What happened meanwhile does not come later: a line `gap` says so, and what you keep has
    to be asked for again. With --json, what becomes of the link is told among the rest.

    Only one program at a time may follow (the API allows one session).
    """
    wanted = tuple(dict.fromkeys(topics)) or TOPICS
    interest = EventFilter(wanted, account_id, user_id, symbol)
    async with until_terminated(), open_client() as ct, AsyncExitStack() as stack:
        following = ct.brokerage_stream(topics=wanted)
        # A reader that lingers is told of a gap, as if the link had been lost: it may take its time.
        events = following.subscribe(*wanted, "unknown", "lifecycle", overflow="drop_oldest")
        async with waiting("Connecting to the stream", ct):
            await stack.enter_async_context(following)
        async with until_stopped(seconds):
            await _tell(events, interest, _print_object if as_json else _Lines(wanted).print, times)


async def _tell(events: Subscription, interest: EventFilter, show: Callable[[Event], None], times: int | None) -> None:
    """Show what concerns the reader, in the order in which it came, up to so many updates."""
    shown = 0
    async for event in events:
        if isinstance(event, UPDATES):
            if not interest.matches(event):
                continue
            shown += 1
        show(event)
        if shown == times:
            return


def _print_object(event: Event) -> None:
    print_object(spelled(event, CLOCK.wall()))


class _Lines:
    """Lines for people: what was asked for on stdout, and aside what becomes of the link."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._console = Console(highlight=False)

    def print(self, event: Event) -> None:
        """Print an event, and let whoever reads it have it at once."""
        if isinstance(event, StreamLive):
            echo_line(f"Following {', '.join(self._topics)}. Ctrl-C ends it.")
        elif said := aside(event):
            echo_line(said)
        elif (text := line(event, CLOCK.wall())) is not None:
            with self._console.capture() as capture:
                self._console.print(text, soft_wrap=True)
            click.echo(capture.get(), nl=False)
