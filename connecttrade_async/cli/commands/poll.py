"""The front door: ``poll``, the same question for many users, over and over."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

from connecttrade_async.cli.credentials import open_client, open_user
from connecttrade_async.cli.errors import explain, fail
from connecttrade_async.cli.options import in_event_loop, json_option, until_stopped
from connecttrade_async.cli.output import announce, echo_line, print_object
from connecttrade_async.polling.outage import ErrorScope, classify_error
from connecttrade_async.polling.results import Outage, OutageEnded, PollResult, RateLimited
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

    from connecttrade_async.client import ConnectTrade, User
    from connecttrade_async.polling.poller import Poller
    from connecttrade_async.polling.results import PollEvent

__all__ = ["poll"]

BEAT = 0.2
FREE = 4  # columns of the last line: where Ctrl-C is echoed into a full one, it goes on in the next
_FETCH: Mapping[str, Callable[[User], Awaitable[Any]]] = {
    "positions": lambda user: user.positions.list(),
    "balances": lambda user: user.balances.list(),
    "orders": lambda user: user.orders.list(),
}


@click.command(short_help="Ask for many users over and over; tell what changed.")
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
    """Ask for many users over and over, and tell what has changed, and what failed, until Ctrl-C.

    The users are those of --users, or the one of CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET. A user that keeps
    failing is asked more and more rarely. Where the secret of every user is refused from the start, the command ends.
    """
    async with (
        _whom(file) as (ct, users),
        until_stopped(),
        ct.poll(users, _FETCH[what], every=every) as poller,
        _last_line(poller) as line,
    ):
        names = {user.user_id for user in users}
        left = dict.fromkeys(names, times or 0)
        untaken: set[str] | None = set()  # users whose secret was refused, until one is taken
        async for told in poller.with_events():
            if not isinstance(told, PollResult):
                with line.aside():
                    echo_line(_event(told))
                continue
            if show_all or told.changed:
                with line.aside():
                    _show(told, what, as_json=as_json)
            if untaken is not None:
                untaken = _noted(untaken, told)
            if untaken == names:
                fail("nobody is left to poll: every secret was refused")
            _count_down(left, told.user.user_id)
            if times is not None and _is_done(left, poller):
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


def _noted(untaken: set[str], told: PollResult[Any]) -> set[str] | None:
    """Note a user whose secret was refused; None once a secret was taken, for refusals may be a gateway's from then on.

    A failure of another kind says nothing about the secret.
    """
    if told.error is None:
        return None
    return untaken | {told.user.user_id} if classify_error(told.error) is ErrorScope.CREDENTIALS else untaken


def _event(told: PollEvent) -> str:
    match told:
        case Outage(failures=failures, error=error):
            return (
                f"Everything fails, {failures} in a row, so one probe at a time looks for the end: {explain(error)[0]}"
            )
        case OutageEnded(seconds=seconds):
            return f"The platform answers again, after {seconds:.0f} s."
        case RateLimited(seconds=seconds):
            return f"Asked to slow down: nobody is asked for {seconds:.0f} s."


def _count_down(left: dict[str, int], user_id: str) -> None:
    # A user that has had its polls is polled on while others have not: it is no longer counted.
    if user_id in left:
        left[user_id] -= 1
        if not left[user_id]:
            del left[user_id]


def _is_done(left: dict[str, int], poller: Poller[Any]) -> bool:
    # Counted first, for this is asked after every poll, of who may be ten thousand.
    return len(left) <= poller.statistics().parked and left.keys() <= poller.parked.keys()


class _Line:
    """How a poller is doing, on the last line of a terminal. What is printed in ``aside`` stands above it."""

    def __init__(self, poller: Poller[Any], console: Console | None) -> None:
        self._poller = poller
        self._console = console
        self._is_shown = False

    def show(self) -> None:
        """Write it, or write it anew."""
        if self._console is None:
            return
        self.hide()
        seen = self._poller.statistics()
        words = (
            f"{seen.state.lower()}: {seen.users:,} users, {seen.polls:,} polls, {seen.failing:,} failing,"
            f" {seen.parked:,} parked ({seen.late:.1f} s late)"
        )
        self._console.print(words[: self._console.width - FREE], end="", style="dim", highlight=False, soft_wrap=True)
        self._is_shown = True

    def hide(self) -> None:
        """Leave no trace of it."""
        if self._console is not None and self._is_shown:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._is_shown = False

    @contextlib.contextmanager
    def aside(self) -> Generator[None]:
        """Let something else be printed."""
        was_shown = self._is_shown
        self.hide()
        yield
        if was_shown:
            self.show()


@asynccontextmanager
async def _last_line(poller: Poller[Any]) -> AsyncGenerator[_Line]:
    """Show how the poller is doing, at a terminal only."""
    console = Console(stderr=True)
    if not (console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()):
        yield _Line(poller, None)
        return
    line = _Line(poller, console)
    showing = asyncio.create_task(_beat(line), name="connecttrade progress")
    try:
        yield line
    finally:
        showing.cancel()
        await asyncio.wait([showing])
        line.hide()


async def _beat(line: _Line) -> None:
    while True:
        line.show()
        await asyncio.sleep(BEAT)
