"""The front door: what a feed of market data tells, shown as it comes: in lines, as objects, or on a screen.

Its vow: what may have been missed is told to every reader, and a screen says first whether it is live.
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

from connecttrade_async.cli.event_text import aside, line, spelled
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

__all__ = ["LiveView", "as_lines", "as_objects", "as_rows", "has_screen", "market_object", "print_all", "show"]

T = TypeVar("T")
CLOCK = SystemClock()
BEAT = 0.1
OURS = {"_raw": None, "_is_backfill": "is_backfill"}


class LiveView(Protocol):
    """What a screen shows."""

    def update(self, update: Any, /) -> None:  # noqa: ANN401 - a picture is of one kind of update
        """Take an update."""

    def draw(self, console: Console) -> RenderableType:
        """Return how things stand, as large as the console at most."""
        ...


def has_screen(*, is_for_programs: bool) -> bool:
    """Whether there is a screen to draw on."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal and not is_for_programs


def market_object(event: Event | MarketUpdate | SymbolRefused, now: datetime) -> dict[str, object]:
    """Return an event as one object for programs: its members under the wire's names, with the wire's text.

    Args:
        event: what was told.
        now: the time of day, for what the wire gives no time.
    """
    if isinstance(event, MarketUpdate):
        members: dict[str, Any] = msgspec.to_builtins(event)
        return {name: value for key, value in members.items() if (name := OURS.get(key, key)) is not None}
    if isinstance(event, SymbolRefused):
        return {"type": "refused", "time": now, **msgspec.structs.asdict(event)}
    return spelled(event, now)


def as_objects(event: Event | MarketUpdate | SymbolRefused) -> None:
    """Print an event for programs."""
    print_object(market_object(event, CLOCK.wall()))


def as_lines(spell: Callable[[Any, datetime], str | None]) -> Callable[[Event | MarketUpdate | SymbolRefused], None]:
    """Return what prints each event for people: updates as they are spelled, and aside what becomes of the link."""

    def show_one(event: Event | MarketUpdate | SymbolRefused) -> None:
        now = CLOCK.wall()
        if isinstance(event, MarketUpdate):
            said = spell(event, now)
            if said is not None:
                click.echo(said)
        elif isinstance(event, SymbolRefused):
            echo_line(_refused(event))
        elif isinstance(event, LiveAgain):
            echo_line("The stream is live again.")
        elif words := aside(event):
            echo_line(words)
        elif (text := line(event, now)) is not None:
            click.echo(text.plain)

    return show_one


def as_rows(print_row: Callable[[Any], None]) -> Callable[[Event | MarketUpdate | SymbolRefused], None]:
    """Return what prints each update for a spreadsheet, and says everything else aside."""
    otherwise = as_lines(lambda _event, _now: None)

    def show_one(event: Event | MarketUpdate | SymbolRefused) -> None:
        if isinstance(event, MarketUpdate):
            print_row(event)
        elif isinstance(event, Gap | UnknownMessage) and (text := line(event, CLOCK.wall())) is not None:
            echo_line(text.plain)
        else:
            otherwise(event)

    return show_one


async def print_all(
    md: MarketDataStream,
    feed: Feed[T],
    print_one: Callable[[Any], None],
    times: int | None,
    *,
    is_told: Callable[[object], bool] = lambda _: True,
) -> None:
    """Tell what comes and what becomes of the link, up to so many updates.

    Args:
        md: the stream.
        feed: of what.
        print_one: prints what is told.
        times: how many updates; None for no end. What came of the past does not count.
        is_told: whether something that came is told at all.

    Raises:
        ConnectTradeError: the feed or the stream has ended, with why.

    Cancelling ends it between two events.
    """
    async with md.subscribe("lifecycle", "unknown", overflow="drop_oldest") as turns:
        beside = asyncio.create_task(_print_turns(turns, print_one), name="connecttrade turns")
        try:
            left = times
            async for event in feed:
                if not is_told(event):
                    continue
                print_one(event)
                left = _after(event, left)
                if left == 0:
                    return
        finally:
            await asyncio.sleep(0)  # what ended the feed may be a turn of the link, which is told as well
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)


async def show(md: MarketDataStream, feed: Feed[T], picture: LiveView, times: int | None) -> None:
    """Show a picture of what comes, drawn anew ten times a second at most, up to so many updates.

    Raises:
        ConnectTradeError: the feed or the stream has ended, with why.

    Cancelling leaves the last picture on the screen.
    """
    console, state = Console(highlight=False), StreamStatus()
    left, shown = times, None
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as screen:
        async for events in _batches(feed):
            for event in events:
                if isinstance(event, MarketUpdate):
                    picture.update(event)
                else:
                    state.update(event)
                left = _after(event, left)
                if left == 0:
                    break
            said = state.line(md)
            if events or (said, console.size) != shown:
                shown = said, console.size
                screen.update(Group(said, picture.draw(console)), refresh=True)
            if left == 0:
                return


class StreamStatus:
    """Whether what is seen is live, and what may be wrong with it."""

    def __init__(self) -> None:
        self._gaps = 0
        self._refused = ""

    def update(self, event: object) -> None:
        """Take what is no update."""
        if isinstance(event, SymbolRefused):
            self._refused = f"  {_refused(event)}"
        elif isinstance(event, Gap):
            self._gaps += 1

    def line(self, md: MarketDataStream) -> Text:
        """Return it in a line."""
        health = md.health()
        gaps = f"  Gaps so far: {self._gaps}." if self._gaps else ""
        if health.state == "LIVE":
            return Text.assemble(("LIVE", "bold green"), "  Ctrl-C ends it.", (gaps + self._refused, "yellow"))
        heard = "" if health.last_message is None else f" since {health.last_message:%H:%M:%S} UTC"
        return Text.assemble((f"NOT LIVE{heard}", "bold red"), "  The link is being made again.")


async def _batches(feed: Feed[T]) -> AsyncGenerator[list[object]]:
    """Return what came in each beat, though it be nothing."""
    while True:
        came: list[object] = []
        limit = asyncio.timeout(BEAT)
        try:
            async with limit:
                while True:
                    came.append(await feed.receive())
        except TimeoutError:
            if not limit.expired():
                raise
        yield came


async def _print_turns(turns: Subscription, print_one: Callable[[Any], None]) -> None:
    # Whatever ends the stream is met by who reads the feed.
    with suppress(ConnectTradeError):
        async for event in turns:
            if not isinstance(event, Gap):  # the feed tells it too
                print_one(event)


def _after(event: object, left: int | None) -> int | None:
    is_new = isinstance(event, MarketUpdate) and not getattr(event, "is_backfill", False)
    return left - 1 if left is not None and is_new else left


def _refused(event: SymbolRefused) -> str:
    return plain(f"No more {event.channel} of {event.symbol}: {event.cause}.")
