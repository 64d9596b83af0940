"""Options that commands share, the parsing of days and times, and how a command ends."""

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
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence

__all__ = [
    "SuggestingGroup",
    "account_option",
    "connection_option",
    "day",
    "end_time",
    "in_event_loop",
    "json_option",
    "nonblank",
    "seconds_option",
    "start_time",
    "symbols_option",
    "until_stopped",
    "until_terminated",
    "yes_option",
]


class SuggestingGroup(click.Group):
    """A group of commands that suggests the nearest name for a mistyped one."""

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command, or fail with a suggestion."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            path = ctx.command_path.split()[1:]  # without the name of the program
            suggestion = f" did you mean `{' '.join([*path, *near])}`?" if near else ""
            ctx.fail(f"there is no command {' '.join([*path, args[0]])!r}:{suggestion or ' see the list of them.'}")
        return super().resolve_command(ctx, args)


P = ParamSpec("P")


def day(_ctx: click.Context, _param: click.Parameter, text: str | None) -> date | None:
    """Read an option that is a day, ``2026-01-31`` or ``today``.

    Raises:
        click.BadParameter: the text is neither a day nor ``today``.
    """
    if text is None:
        return None
    try:
        return _day(text.strip())
    except ValueError:
        msg = f"must be a day such as 2026-01-31 or today, got {text!r}"
        raise click.BadParameter(msg) from None


def start_time(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Read an option that is a time, by default in UTC. A day means its first moment.

    Raises:
        click.BadParameter: the text is not a time.
    """
    return None if text is None else _moment(text, time.min)


def end_time(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """Read an option that is a time, by default in UTC. A day means its last moment.

    Raises:
        click.BadParameter: the text is not a time.
    """
    return None if text is None else _moment(text, time.max)


def nonblank(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """Read an option that must not be empty, stripped of white space.

    Raises:
        click.BadParameter: the text is empty.
    """
    if text is not None and not text.strip():
        msg = "must not be empty"
        raise click.BadParameter(msg)
    return None if text is None else text.strip()


def _duration(_ctx: click.Context, _param: click.Parameter, seconds: float | None) -> float | None:
    # Written as one chained comparison with ``not``, so that NaN is rejected too.
    if seconds is not None and not 0 < seconds < math.inf:
        msg = f"must be a positive number of seconds, got {seconds}"
        raise click.BadParameter(msg)
    return seconds


def _day(text: str) -> date:
    return datetime.now(UTC).date() if text == "today" else date.fromisoformat(text)


def _moment(text: str, time_of_day: time) -> datetime:
    text = text.strip()
    try:
        # ``datetime.fromisoformat`` reads a day as its midnight, which is wrong for an end.
        if text == "today" or len(text) == len("2026-01-31"):
            return datetime.combine(_day(text), time_of_day, UTC)
        when = datetime.fromisoformat(text)
        return (when.replace(tzinfo=UTC) if when.tzinfo is None else when).astimezone(UTC)
    except (ValueError, OverflowError):
        msg = f"must be a time such as 2026-01-31, today or 2026-01-31T14:30:00Z, got {text!r}"
        raise click.BadParameter(msg) from None


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs, one object a line.")
account_option = click.option("--account", "account_id", metavar="ID", help="Only this account.")
connection_option = click.option("--connection", "connection_id", metavar="ID", help="Only this connection.")
symbols_option = click.option("--symbols", metavar="AAPL,MSFT", help="Only these symbols, separated by commas.")
seconds_option = click.option(
    "--for", "seconds", type=float, metavar="SECONDS", callback=_duration, help="End after this many seconds."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def in_event_loop(command: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Make a coroutine function a callback of click."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(command(*args, **kwargs))

    return run


@contextlib.asynccontextmanager
async def until_stopped(
    seconds: float | None = None, signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
) -> AsyncGenerator[None]:
    """Run the block until it ends, the time is up or a signal arrives; each is an ordinary end.

    Only the first signal cancels the block. A second one has its usual effect, so that a hanging close can be stopped.

    Args:
        seconds: the time limit; None for no limit.
        signals: the signals that end the block.
    """
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            with _on_signal(scope, signals):
                yield
    except TimeoutError:
        if not scope.expired():  # the block itself raised it
            raise


def until_terminated() -> contextlib.AbstractAsyncContextManager[None]:
    """Run the block until it ends or SIGTERM arrives, which is an ordinary end: for the phase of connecting.

    Ctrl-C stays an interruption in this phase, for nothing of what was requested has been shown yet.
    """
    return until_stopped(signals=(signal.SIGTERM,))


@contextlib.contextmanager
def _on_signal(scope: asyncio.Timeout, signals: Sequence[signal.Signals]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []

    def cancel() -> None:
        remove_handlers()
        if not scope.expired():
            # Not ``task.cancel()``: a Timeout distinguishes its own end from a cancellation by others.
            scope.reschedule(loop.time())

    def remove_handlers() -> None:
        while handled:
            loop.remove_signal_handler(handled.pop())

    for number in signals:
        # Windows has Ctrl-C only, which asyncio handles. A thread beside the main one cannot install handlers.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, cancel)
            handled.append(number)
    try:
        yield
    finally:
        remove_handlers()
