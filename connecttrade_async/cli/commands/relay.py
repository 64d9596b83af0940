"""The command ``relay``: lead a relay for other processes, or show its state."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.credentials import open_client, relay_address
from connecttrade_async.cli.event_text import event_object, lifecycle_text
from connecttrade_async.cli.options import in_event_loop, json_option, seconds_option, until_stopped, until_terminated
from connecttrade_async.cli.output import echo_line, print_object
from connecttrade_async.cli.progress import spinner
from connecttrade_async.clock import SystemClock
from connecttrade_async.models.events import Gap
from connecttrade_async.relay import Keep, Relay

if TYPE_CHECKING:
    from collections.abc import Generator

    from connecttrade_async.relay import RelayStatus
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["relay"]

CLOCK = SystemClock()
INTERVAL = 1.0  # seconds between two looks at the role


class WarningPrinter(logging.Handler):
    """Prints warnings as sentences on stderr: this command runs unwatched. Errors end it, and are its last sentence."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning."""
        if record.levelno == logging.WARNING:
            click.echo(f"connecttrade: {record.getMessage()}", err=True)


@contextmanager
def printed_warnings() -> Generator[None]:
    """Print the warnings of the relay, unless ``--verbose`` shows them."""
    logger, printer = logging.getLogger("connecttrade_async.relay"), WarningPrinter()
    is_shown = logger.isEnabledFor(logging.INFO)
    if not is_shown:
        logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)


@click.command(short_help="Hold the stream's session for other processes, on Redis.")
@click.option("--status", is_flag=True, help="Print the leader and the log, and end.")
@click.option("--lease", type=float, default=3.0, show_default=True, help="Seconds until another worker leads.")
@click.option("--keep-events", type=int, default=100_000, show_default=True, help="Entries of the log that are kept.")
@click.option("--keep-age", type=float, default=900.0, show_default=True, help="Their greatest age in seconds.")
@click.option("--prefix", default="ct", show_default=True, help="The beginning of all keys.")
@seconds_option
@json_option
@in_event_loop
async def relay(
    *,
    status: bool,
    lease: float,
    keep_events: int,
    keep_age: float,
    prefix: str,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Hold the one session of the stream for other processes, until Ctrl-C, and do nothing else.

    The processes open their streams with the same relay. CONNECTTRADE_RELAY_URL is the address of its Redis or Valkey
    server, by default redis://localhost. Several of these commands can run: one leads, the others take over.
    """
    keep = Keep(events=keep_events, age=keep_age)
    here = Relay(relay_address(), lease=lease, keep=keep, prefix=prefix)
    async with until_terminated(), open_client() as ct, AsyncExitStack() as stack:
        if status:
            _print_status(await here.status(ct.client_id), as_json=as_json)
            return
        stream = ct.brokerage_stream(relay=here)
        events = stream.subscribe("lifecycle", overflow="drop_oldest")
        stack.enter_context(printed_warnings())
        async with spinner("Connecting to the relay", ct):
            await stack.enter_async_context(stream)
        async with until_stopped(seconds), asyncio.TaskGroup() as group:
            watch = group.create_task(_print_roles(stream, as_json=as_json))
            await _print_events(events, as_json=as_json)
            watch.cancel()


async def _print_events(events: Subscription, *, as_json: bool) -> None:
    async for event in events:
        if as_json:
            print_object(event_object(event, CLOCK.wall()))
        elif isinstance(event, Gap):
            echo_line(f"Events may be missing since {event.since:%H:%M:%S}: {event.cause}.")
        elif sentence := lifecycle_text(event):
            echo_line(sentence)


async def _print_roles(stream: BrokerageStream, *, as_json: bool) -> None:
    """Print the role of this worker whenever it changes."""
    shown: tuple[str, str | None] | None = None
    while True:
        health = stream.health()
        if (health.role, health.leader) != shown:
            shown = health.role, health.leader
            if as_json:
                print_object({"role": health.role, "leader": health.leader, "epoch": health.epoch})
            elif health.role == "LEADER":
                echo_line("This worker leads. Ctrl-C ends it.")
            else:
                echo_line(f"{health.leader or 'Nothing'} leads; this worker takes over when that ends.")
        await asyncio.sleep(INTERVAL)


def _print_status(found: RelayStatus, *, as_json: bool) -> None:
    if as_json:
        print_object(
            {
                "leader": found.leader,
                "epoch": found.epoch,
                "lease": found.lease,
                "standby": found.standby,
                "is_live": found.is_live,
                "position": found.position,
                "entries": found.entries,
                "age": found.age,
            }
        )
        return
    if found.leader is None:
        standby = f"; the relay stands by for {found.standby:.0f} s, as another client has the session"
        click.echo("leader    none" + (standby if found.standby else ""))
    else:
        live = "live" if found.is_live else "not live"
        click.echo(f"leader    {found.leader}, {live}, lease for {found.lease:.1f} s")
        click.echo(f"epoch     {found.epoch}")
    age = "" if found.age is None else f", the latest {found.age:.1f} s ago"
    click.echo(f"log       {found.entries} entries{age}")
    click.echo(f"position  {found.position or 'none'}")
