"""The command ``stream``: print the events of the brokerage stream."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click
from rich.console import Console

from connecttrade_async.cli.credentials import open_client
from connecttrade_async.cli.event_text import UPDATES, event_line, event_object, lifecycle_text
from connecttrade_async.cli.options import (
    in_event_loop,
    json_option,
    nonblank,
    seconds_option,
    until_stopped,
    until_terminated,
)
from connecttrade_async.cli.output import echo_line, print_object
from connecttrade_async.cli.progress import spinner
from connecttrade_async.clock import SystemClock
from connecttrade_async.models.events import StreamLive
from connecttrade_async.streaming.filters import TOPICS, EventFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["stream"]

CLOCK = SystemClock()


@click.command(short_help="Follow all your users live: a line for each update.")
@click.option("--topic", "topics", multiple=True, type=click.Choice(TOPICS), help="Only this topic; may be repeated.")
@click.option("--account", "account_id", metavar="ID", callback=nonblank, help="Only this account, by its account_id.")
@click.option("--user", "user_id", metavar="ID", callback=nonblank, help="Only this user.")
@click.option("--symbol", metavar="AAPL", callback=nonblank, help="Only this symbol.")
@seconds_option
@click.option("--times", type=click.IntRange(min=1), help="End after this many updates.")
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

    A lost stream is reconnected. The server does not repeat missed events: a line `gap` reports the time, and data that
    you keep has to be read again. With --json, lifecycle events are printed too.

    Only one program at a time may use the stream (the API allows one session).
    """
    selected = tuple(dict.fromkeys(topics)) or TOPICS
    event_filter = EventFilter(selected, account_id, user_id, symbol)
    async with until_terminated(), open_client() as ct, AsyncExitStack() as stack:
        brokerage_stream = ct.brokerage_stream(topics=selected)
        # A slow terminal or pipe gets a gap, as after a lost connection; it must not block the stream.
        events = brokerage_stream.subscribe(*selected, "unknown", "lifecycle", overflow="drop_oldest")
        async with spinner("Connecting to the stream", ct):
            await stack.enter_async_context(brokerage_stream)
        async with until_stopped(seconds):
            print_event = _print_object if as_json else _LinePrinter(selected).print
            await _print_events(events, event_filter, print_event, times)


async def _print_events(
    events: Subscription, event_filter: EventFilter, print_event: Callable[[Event], None], times: int | None
) -> None:
    """Print the updates that match the filter and every other event, until a number of updates is printed."""
    shown = 0
    async for event in events:
        # Gaps pass every filter: without them, missed updates would look like a quiet market.
        if isinstance(event, UPDATES):
            if not event_filter.matches(event):
                continue
            shown += 1
        print_event(event)
        if shown == times:
            return


def _print_object(event: Event) -> None:
    print_object(event_object(event, CLOCK.wall()))


class _LinePrinter:
    """Prints updates as lines on stdout, and lifecycle events on stderr."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._console = Console(highlight=False)

    def print(self, event: Event) -> None:
        """Print an event and flush it."""
        if isinstance(event, StreamLive):
            echo_line(f"Following {', '.join(self._topics)}. Ctrl-C ends it.")
        elif sentence := lifecycle_text(event):
            echo_line(sentence)
        elif (text := event_line(event, CLOCK.wall())) is not None:
            with self._console.capture() as capture:
                self._console.print(text, soft_wrap=True)
            click.echo(capture.get(), nl=False)
