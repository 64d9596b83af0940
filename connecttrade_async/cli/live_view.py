"""Show a feed of market data: as lines, as JSON objects, or redrawn on a screen.

Every format reports gaps, and the first line of a screen says whether the stream is live.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from connecttrade_async.cli.event_text import event_line, event_object, lifecycle_text
from connecttrade_async.cli.output import echo_line, plain, print_object
from connecttrade_async.clock import SystemClock
from connecttrade_async.errors import ConnectTradeError
from connecttrade_async.models.events import Gap, StreamLive as LiveAgain, UnknownMessage
from connecttrade_async.models.market import MarketUpdate, SymbolRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from rich.console import RenderableType

    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.market_data.stream import MarketDataStream
    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = [
    "LiveView",
    "has_screen",
    "line_printer",
    "market_object",
    "print_events",
    "print_market_object",
    "row_printer",
    "show",
]

T = TypeVar("T")
CLOCK = SystemClock()
INTERVAL = 0.1
OURS = {"_raw": None, "_is_backfill": "is_backfill"}


class LiveView(Protocol):
    """A view of one kind of update, drawn on a screen."""

    def update(self, update: Any, /) -> None:  # noqa: ANN401 - each view takes one kind of update
        """Add an update."""

    def draw(self, console: Console) -> RenderableType:
        """Render the view, at most as large as the console."""
        ...


def has_screen(*, is_machine_readable: bool) -> bool:
    """Return whether stdout is a terminal that can be redrawn, and the output is for people."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal and not is_machine_readable


def market_object(event: Event | MarketUpdate | SymbolRefused, now: datetime) -> dict[str, object]:
    """Return an event as a JSON object with the member names and texts of the wire.

    Args:
        event: the event.
        now: the time for events without a time of their own.
    """
    if isinstance(event, MarketUpdate):
        members: dict[str, Any] = msgspec.to_builtins(event)
        return {name: value for key, value in members.items() if (name := OURS.get(key, key)) is not None}
    if isinstance(event, SymbolRefused):
        return {"type": "refused", "time": now, **msgspec.structs.asdict(event)}
    return event_object(event, now)


def print_market_object(event: Event | MarketUpdate | SymbolRefused) -> None:
    """Print an event as a JSON object."""
    print_object(market_object(event, CLOCK.wall()))


def line_printer(
    format_update: Callable[[Any, datetime], str | None],
) -> Callable[[Event | MarketUpdate | SymbolRefused], None]:
    """Return a function that prints updates on stdout and lifecycle events on stderr."""

    def print_event(event: Event | MarketUpdate | SymbolRefused) -> None:
        now = CLOCK.wall()
        if isinstance(event, MarketUpdate):
            text = format_update(event, now)
            if text is not None:
                click.echo(text)
        elif isinstance(event, SymbolRefused):
            echo_line(_refused(event))
        elif isinstance(event, LiveAgain):
            echo_line("The stream is live again.")
        elif sentence := lifecycle_text(event):
            echo_line(sentence)
        elif (line := event_line(event, now)) is not None:
            click.echo(line.plain)

    return print_event


def row_printer(print_row: Callable[[Any], None]) -> Callable[[Event | MarketUpdate | SymbolRefused], None]:
    """Return a function that prints updates as rows on stdout, and every other event on stderr."""
    print_other = line_printer(lambda _event, _now: None)

    def print_event(event: Event | MarketUpdate | SymbolRefused) -> None:
        if isinstance(event, MarketUpdate):
            print_row(event)
        elif isinstance(event, Gap | UnknownMessage) and (text := event_line(event, CLOCK.wall())) is not None:
            echo_line(text.plain)
        else:
            print_other(event)

    return print_event


async def print_events(
    md: MarketDataStream,
    feed: Feed[T],
    print_one: Callable[[Any], None],
    times: int | None,
    *,
    is_printed: Callable[[object], bool] = lambda _: True,
) -> None:
    """Print the events of a feed and the lifecycle of its stream.

    Args:
        md: the stream.
        feed: the open feed.
        print_one: prints one event.
        times: end after this many updates; None for no end. Backfilled updates do not count.
        is_printed: selects the events of the feed to print.

    Raises:
        ConnectTradeError: the feed or the stream has ended.

    Cancelling ends it between two events.
    """
    async with md.subscribe("lifecycle", "unknown", overflow="drop_oldest") as lifecycle:
        printer = asyncio.create_task(_print_lifecycle(lifecycle, print_one), name="connecttrade lifecycle")
        try:
            left = times
            async for event in feed:
                if not is_printed(event):
                    continue
                print_one(event)
                left = _count_down(event, left)
                if left == 0:
                    return
        finally:
            await asyncio.sleep(0)  # lets the printer print the lifecycle event that ended the feed
            printer.cancel()
            await asyncio.gather(printer, return_exceptions=True)


async def show(md: MarketDataStream, feed: Feed[T], view: LiveView, times: int | None) -> None:
    """Draw a view of a feed on the screen, at most ten times a second.

    Args:
        md: the stream.
        feed: the open feed.
        view: the view of its updates.
        times: end after this many updates; None for no end.

    Raises:
        ConnectTradeError: the feed or the stream has ended.

    Cancelling leaves the last drawing on the screen.
    """
    console, status = Console(highlight=False), StreamStatus()
    left, shown = times, None
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as screen:
        async for events in _batches(feed):
            for event in events:
                if isinstance(event, MarketUpdate):
                    view.update(event)
                else:
                    status.update(event)
                left = _count_down(event, left)
                if left == 0:
                    break
            line = status.line(md)
            if events or (line, console.size) != shown:
                shown = line, console.size
                screen.update(Group(line, view.draw(console)), refresh=True)
            if left == 0:
                return


class StreamStatus:
    """The first line of a screen: whether the stream is live, gaps, and refused symbols."""

    def __init__(self) -> None:
        self._gaps = 0
        self._refused = ""

    def update(self, event: object) -> None:
        """Count a gap, or note a refused symbol."""
        if isinstance(event, SymbolRefused):
            self._refused = f"  {_refused(event)}"
        elif isinstance(event, Gap):
            self._gaps += 1

    def line(self, md: MarketDataStream) -> Text:
        """Format the line."""
        health = md.health()
        gaps = f"  Gaps so far: {self._gaps}." if self._gaps else ""
        if health.state == "LIVE":
            return Text.assemble(("LIVE", "bold green"), "  Ctrl-C ends it.", (gaps + self._refused, "yellow"))
        since = "" if health.last_message is None else f" since {health.last_message:%H:%M:%S} UTC"
        return Text.assemble((f"NOT LIVE{since}", "bold red"), "  Reconnecting.")


async def _batches(feed: Feed[T]) -> AsyncGenerator[list[object]]:
    """Yield the events of each interval, also if there are none, so that the screen follows the status."""
    while True:
        events: list[object] = []
        limit = asyncio.timeout(INTERVAL)
        try:
            async with limit:
                while True:
                    events.append(await feed.receive())
        except TimeoutError:
            if not limit.expired():
                raise
        yield events


async def _print_lifecycle(lifecycle: Subscription, print_one: Callable[[Any], None]) -> None:
    # The error that ends the stream is raised by the feed as well, and is reported there.
    with suppress(ConnectTradeError):
        async for event in lifecycle:
            if not isinstance(event, Gap):  # the feed yields it too
                print_one(event)


def _count_down(event: object, left: int | None) -> int | None:
    is_new = isinstance(event, MarketUpdate) and not getattr(event, "is_backfill", False)
    return left - 1 if left is not None and is_new else left


def _refused(event: SymbolRefused) -> str:
    return plain(f"No more {event.channel} of {event.symbol}: {event.cause}.")
