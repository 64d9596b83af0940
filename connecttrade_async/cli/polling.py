"""The front door: ``poll``, the same question for many users, over and over."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console

from connecttrade_async.cli.credentials import open_client, open_user
from connecttrade_async.cli.failures import explain, fail
from connecttrade_async.cli.options import in_event_loop, json_option
from connecttrade_async.cli.output import print_object
from connecttrade_async.cli.telling import announce, tell
from connecttrade_async.live.polled import Outage, PollResult, Recovered, Slowed
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from connecttrade_async.client import ConnectTrade, User
    from connecttrade_async.live.polled import PollEvent
    from connecttrade_async.live.poller import Poller

__all__ = ["poll"]

BEAT = 0.2
_FETCH: Mapping[str, Callable[[User], Awaitable[Any]]] = {
    "positions": lambda user: user.positions.list(),
    "balances": lambda user: user.balances.list(),
    "orders": lambda user: user.orders.list(),
}


@click.command()
@click.option("--what", type=click.Choice([*_FETCH]), default="positions", show_default=True, help="What to ask for.")
@click.option("--every", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="Seconds.")
@click.option("--times", type=click.IntRange(min=1), help="Polls of each user; without it, until Ctrl-C.")
@click.option("--all", "show_all", is_flag=True, help="Tell also what has not changed.")
@click.option(
    "--users", "file", type=click.File("r"), help="Lines of a user's id, a blank, and its secret; - is stdin."
)
@json_option
@in_event_loop
async def poll(
    *,
    what: str,
    every: float,
    times: int | None,
    show_all: bool,
    file: IO[str] | None,
    as_json: bool,
) -> None:
    """Ask for many users over and over, and tell what has changed, and what failed.

    The users are those of --users, or the one of CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET. A user that keeps
    failing is asked more and more rarely, and one whose secret is refused not again.
    """
    async with _whom(file) as (ct, users), ct.poll(users, _FETCH[what], every=every) as poller, _progress(poller):
        done: Counter[str] = Counter()
        async for told in poller.with_events():
            if not isinstance(told, PollResult):
                tell(_event(told))
                continue
            if show_all or told.changed:
                _show(told, what, as_json=as_json)
            done[told.user.user_id] += 1
            left = {user.user_id for user in users} - poller.parked.keys()
            if not left:
                fail("nobody is left to poll: every secret was refused")
            if times is not None and all(done[user_id] >= times for user_id in left):
                return


@asynccontextmanager
async def _whom(file: IO[str] | None) -> AsyncGenerator[tuple[ConnectTrade, list[User]]]:
    if file is None:
        async with open_user() as (ct, user):
            yield ct, [user]
    else:
        async with open_client() as ct:
            yield ct, _users(ct, file)


def _users(ct: ConnectTrade, file: IO[str]) -> list[User]:
    users: list[User] = []
    for number, line in enumerate(file, 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:  # noqa: PLR2004 - an id and a secret
            del line, words  # tracebacks can print variables
            msg = f"line {number} of the users is not an id, a blank and a secret"
            raise click.UsageError(msg)
        users.append(ct.user(words[0], Secret(words[1])))
    if not users:
        msg = "there are no users to poll in the file"
        raise click.UsageError(msg)
    return users


def _show(told: PollResult[Any], what: str, *, as_json: bool) -> None:
    found: Any = told.value
    items: list[object] = [] if told.error is not None else list(found.items if what == "orders" else found)
    error = None if told.error is None else explain(told.error)[0]
    if as_json:
        print_object(
            {
                "user_id": told.user.user_id,
                "due": told.due,
                "changed": told.changed,
                "latency": round(told.latency, 6),
                "late": round(told.late, 6),
                "error": error,
                what: None if error else items,
            },
        )
    else:
        news = f"failed: {error}" if error else f"{len(items)} {what}{'' if told.changed else ', as before'}"
        announce(f"{told.due:%H:%M:%S} {told.user.user_id}: {news}")


def _event(told: PollEvent) -> str:
    match told:
        case Outage(failures=failures, error=error):
            return (
                f"Everything fails, {failures} in a row, so one probe at a time looks for the end: {explain(error)[0]}"
            )
        case Recovered(seconds=seconds):
            return f"The platform answers again, after {seconds:.0f} s."
        case Slowed(seconds=seconds):
            return f"Asked to slow down: nobody is asked for {seconds:.0f} s."


@asynccontextmanager
async def _progress(poller: Poller[Any]) -> AsyncGenerator[None]:
    """Show how the poller is doing, at a terminal only; leaves no trace on the screen."""
    console = Console(stderr=True)
    if not (console.is_terminal and sys.stdout.isatty()):
        yield
        return
    showing = asyncio.create_task(_beat(poller, console), name="connecttrade progress")
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _beat(poller: Poller[Any], console: Console) -> None:
    with console.status("", spinner="dots") as status:
        while True:
            seen = poller.statistics()
            status.update(
                f"{seen.state.lower()}: {seen.users:,} users, {seen.polls:,} polls, {seen.failing:,} failing,"
                f" {seen.parked:,} parked [dim]({seen.late:.1f} s late)[/dim]",
            )
            await asyncio.sleep(BEAT)
