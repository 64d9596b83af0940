"""The front door: the options that commands share, and how a day or a time is written on a command line."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import math
import signal
from datetime import UTC, date, datetime, time
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import click

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

__all__ = [
    "SuggestingGroup",
    "a_name",
    "account_option",
    "beginning",
    "connection_option",
    "day",
    "end",
    "for_a_while",
    "in_event_loop",
    "json_option",
    "seconds_option",
    "symbols_option",
    "yes_option",
]


class SuggestingGroup(click.Group):
    """A group of commands that guesses what a mistyped one was to be."""

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may have been meant."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            path = ctx.command_path.split()[1:]  # as it is written behind the program's own name
            guess = f" did you mean `{' '.join([*path, *near])}`?" if near else ""
            ctx.fail(f"there is no command {' '.join([*path, args[0]])!r}:{guess or ' see the list of them.'}")
        return super().resolve_command(ctx, args)


P = ParamSpec("P")


def day(_ctx: click.Context, _param: click.Parameter, text: str | None) -> date | None:
    """Read an option that is a day, ``2026-01-31`` or ``today``.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    try:
        return _day(text.strip())
    except ValueError:
        msg = f"{text!r} is no day: write it as 2026-01-31, or today"
        raise click.BadParameter(msg) from None


def beginning(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Read an option that is a time, in UTC where it names no zone. A day means its first moment.

    Raises:
        click.BadParameter: it is none.
    """
    return None if text is None else _moment(text, time.min)


def end(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Read an option that is a time, in UTC where it names no zone. A day means its last moment.

    Raises:
        click.BadParameter: it is none.
    """
    return None if text is None else _moment(text, time.max)


def a_name(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """Read an option that names something.

    Raises:
        click.BadParameter: it is empty, and so nothing could be it.
    """
    if text is not None and not text.strip():
        msg = "it names nothing"
        raise click.BadParameter(msg)
    return None if text is None else text.strip()


def _duration(_ctx: click.Context, _param: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds < math.inf:
        msg = f"{seconds} is no number of seconds above zero"
        raise click.BadParameter(msg)
    return seconds


def _day(text: str) -> date:
    return datetime.now(UTC).date() if text == "today" else date.fromisoformat(text)


def _moment(text: str, of_a_day: time) -> datetime:
    text = text.strip()
    try:
        if text == "today" or len(text) == len("2026-01-31"):
            return datetime.combine(_day(text), of_a_day, UTC)
        when = datetime.fromisoformat(text)
        return (when.replace(tzinfo=UTC) if when.tzinfo is None else when).astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"{text!r} is no time: write it as 2026-01-31, today or 2026-01-31T14:30:00Z"
        raise click.BadParameter(msg) from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs, one object a line.")
account_option = click.option("--account", "account_id", metavar="ID", help="Only this account.")
connection_option = click.option("--connection", "connection_id", metavar="ID", help="Only this connection.")
symbols_option = click.option("--symbols", metavar="AAPL,MSFT", help="Only these symbols, separated by commas.")
seconds_option = click.option(
    "--for", "seconds", type=float, metavar="SECONDS", callback=_duration, help="End after so many seconds."
)
yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")


def in_event_loop(command: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Let click call a coroutine."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(command(*args, **kwargs))

    return run


@contextlib.asynccontextmanager
async def for_a_while(seconds: float | None = None) -> AsyncGenerator[None]:
    """Let the block run until it ends by itself, the time is up, or Ctrl-C or SIGTERM comes: each is an ordinary end.

    Whoever presses Ctrl-C a second time interrupts whatever is left to do.

    Args:
        seconds: how long; None for no end.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            with _on_signal(limit):
                yield
    except TimeoutError:
        if not limit.expired():  # it came from what ran inside
            raise


@contextlib.contextmanager
def _on_signal(limit: asyncio.Timeout) -> Generator[None]:
    loop = asyncio.get_running_loop()
    heard: list[signal.Signals] = []

    def end() -> None:
        forget()
        if not limit.expired():
            limit.reschedule(loop.time())

    def forget() -> None:
        while heard:
            loop.remove_signal_handler(heard.pop())

    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has Ctrl-C only, which asyncio handles, and a thread beside the main one hears no signal.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, end)
            heard.append(number)
    try:
        yield
    finally:
        forget()
