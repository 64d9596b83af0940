"""The command ``poll``: poll positions, balances or orders of many users."""

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

    from connecttrade_async.client import ConnectTrade
    from connecttrade_async.polling.poller import Poller
    from connecttrade_async.polling.results import PollEvent
    from connecttrade_async.user import User

__all__ = ["poll"]

INTERVAL = 0.2
FREE = 4  # columns left free: the terminal echoes ^C into the status line, and a full line would wrap
_FETCH: Mapping[str, Callable[[User], Awaitable[Any]]] = {
    "positions": lambda user: user.positions.list(),
    "balances": lambda user: user.balances.list(),
    "orders": lambda user: user.orders.list(),
}


@click.command(short_help="Poll many users; print what changed.")
@click.option(
    "--what", type=click.Choice([*_FETCH]), default="positions", show_default=True, help="The resource to poll."
)
@click.option(
    "--every",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="The interval in seconds.",
)
@click.option("--times", type=click.IntRange(min=1), help="Polls of each user; by default until Ctrl-C.")
@click.option("--all", "show_all", is_flag=True, help="Print unchanged results too.")
@click.option(
    "--users",
    "file",
    type=click.File("r"),
    help="A file with a user id, a blank and its secret in each line; - is stdin.",
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
    """Poll many users, and print what changed and what failed, until Ctrl-C.

    The users are those of --users, or the one of CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET. A user that keeps
    failing is polled less and less often. The command ends if the secret of every user is refused from the start.
    """
    async with (
        _open_users(file) as (ct, users),
        until_stopped(),
        ct.poll(users, _FETCH[what], every=every) as poller,
        _status_line(poller) as line,
    ):
        names = {user.user_id for user in users}
        left = dict.fromkeys(names, times or 0)
        refused: set[str] | None = set()  # the users with a refused secret; None once a secret was accepted
        async for event in poller.with_events():
            if not isinstance(event, PollResult):
                with line.above():
                    echo_line(_event_text(event))
                continue
            if show_all or event.changed:
                with line.above():
                    _print_result(event, what, as_json=as_json)
            if refused is not None:
                refused = _with_refusal(refused, event)
            if refused == names:
                fail("every secret was refused, so no user is left to poll")
            _count_down(left, event.user.user_id)
            if times is not None and _is_done(left, poller):
                return


@asynccontextmanager
async def _open_users(file: IO[str] | None) -> AsyncGenerator[tuple[ConnectTrade, list[User]]]:
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


def _print_result(result: PollResult[Any], what: str, *, as_json: bool) -> None:
    found: Any = result.value
    items: list[object] = [] if result.error is not None else list(found.items if what == "orders" else found)
    error = None if result.error is None else explain(result.error)[0]
    if as_json:
        print_object(
            {
                "user_id": result.user.user_id,
                "due": result.due,
                "changed": result.changed,
                "latency": round(result.latency, 6),
                "late": round(result.late, 6),
                "error": error,
                what: None if error else items,
            },
        )
    else:
        outcome = f"failed: {error}" if error else f"{len(items)} {what}{'' if result.changed else ', as before'}"
        announce(f"{result.due:%H:%M:%S} {result.user.user_id}: {outcome}")


def _with_refusal(refused: set[str], result: PollResult[Any]) -> set[str] | None:
    """Add a user if its secret was refused; return None once a secret was accepted.

    After an accepted secret, later refusals may be an error of a gateway. Failures of another kind do not count.
    """
    if result.error is None:
        return None
    return refused | {result.user.user_id} if classify_error(result.error) is ErrorScope.CREDENTIALS else refused


def _event_text(event: PollEvent) -> str:
    match event:
        case Outage(failures=failures, error=error):
            return f"All polls fail, {failures} in a row, so one probe at a time is sent: {explain(error)[0]}"
        case OutageEnded(seconds=seconds):
            return f"The platform answers again, after {seconds:.0f} s."
        case RateLimited(seconds=seconds):
            return f"Rate limited: no request is sent for {seconds:.0f} s."


def _count_down(left: dict[str, int], user_id: str) -> None:
    # Polling goes on for a user that has had its polls until the others have theirs, so it may be gone from here.
    if user_id in left:
        left[user_id] -= 1
        if not left[user_id]:
            del left[user_id]


def _is_done(left: dict[str, int], poller: Poller[Any]) -> bool:
    # The counts are compared first: this runs after every poll, and there may be ten thousand users.
    return len(left) <= poller.statistics().parked and left.keys() <= poller.parked.keys()


class _StatusLine:
    """The state of a poller on the last line of a terminal. Output inside ``above`` is printed above it."""

    def __init__(self, poller: Poller[Any], console: Console | None) -> None:
        self._poller = poller
        self._console = console
        self._is_shown = False

    def show(self) -> None:
        """Draw or redraw the line."""
        if self._console is None:
            return
        self.hide()
        counts = self._poller.statistics()
        words = (
            f"{counts.state.lower()}: {counts.users:,} users, {counts.polls:,} polls, {counts.failing:,} failing,"
            f" {counts.parked:,} parked ({counts.late:.1f} s late)"
        )
        self._console.print(words[: self._console.width - FREE], end="", style="dim", highlight=False, soft_wrap=True)
        self._is_shown = True

    def hide(self) -> None:
        """Erase the line."""
        if self._console is not None and self._is_shown:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._is_shown = False

    @contextlib.contextmanager
    def above(self) -> Generator[None]:
        """Erase the line for the block, and redraw it afterwards."""
        was_shown = self._is_shown
        self.hide()
        yield
        if was_shown:
            self.show()


@asynccontextmanager
async def _status_line(poller: Poller[Any]) -> AsyncGenerator[_StatusLine]:
    """Show the state of a poller, on a terminal only."""
    console = Console(stderr=True)
    if not (console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()):
        yield _StatusLine(poller, None)
        return
    line = _StatusLine(poller, console)
    showing = asyncio.create_task(_refresh(line), name="connecttrade progress")
    try:
        yield line
    finally:
        showing.cancel()
        await asyncio.wait([showing])
        line.hide()


async def _refresh(line: _StatusLine) -> None:
    while True:
        line.show()
        await asyncio.sleep(INTERVAL)
