"""The front door: what went wrong, as one sentence with what to do, and the exit code.

Its vow: no traceback, and no text of an error whose class is not ours, for such a text may hold anything.
"""

from __future__ import annotations

import traceback
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from connecttrade_async.cli.output import echo_line, plain
from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    AuthenticationRefusedError,
    BadRequestError,
    BrokerError,
    ConflictError,
    ConnectError,
    ConnectTradeError,
    MalformedResponseError,
    NotFoundError,
    OAuthError,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    RateLimitedError,
    ServerError,
    SessionTakenError,
    TicketError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExitCode", "explain", "fail", "report", "say"]


class ExitCode(IntEnum):
    """How a run ends."""

    FINE = 0
    THEIRS = 1
    YOURS = 2
    INTERRUPTED = 130
    NOBODY_READS = 141


_THEIRS = (BrokerError, TransportError, OrderOutcomeUnknownError)
_HOUSE = Path(__file__).parents[1]
_USERS = "/users"
_STREAM = "STREAM"
_ENTITLED = "if they are right, the account is not entitled to this"
_CLIENT = "check CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET"
_USER = f"{_CLIENT}, and CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET"
_ADVICE: Mapping[type[ConnectTradeError], str] = {
    BadRequestError: "correct the value that it names and run the command again",
    NotFoundError: "look up the right id with `connecttrade users`, `connections` or `accounts`",
    ConflictError: "use the one that exists, or delete it first",
    ServerError: "the trouble is on their side, so try again in a few minutes",
    AuthenticationRefusedError: f"{_CLIENT}; {_ENTITLED}",
    SessionTakenError: "end the other program that follows the stream with these credentials, and run this again",
    ConnectError: "check the network, and CONNECTTRADE_API_URL if you set it",
    TransportError: "try again in a moment",
    MalformedResponseError: (
        "something other than the API may have answered, such as a proxy: check CONNECTTRADE_API_URL and the network"
    ),
    OrderNotReplacedError: "it had ended before, and nothing came in its place",
    OAuthError: "start again with `connecttrade connect` when the person is ready",
    APIError: "check CONNECTTRADE_API_URL if you set it, else try again later",
}


def explain(error: Exception) -> tuple[str, ExitCode]:
    """Return the sentence for an error, and how the run ends."""
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(f"`{name}`" for name in error.possibilities or ())
        guess = f": did you mean {near}?" if near else ""
        return plain(f"there is no option {error.option_name!r}{guess}"), ExitCode.YOURS
    if isinstance(error, click.ClickException):
        return plain(error.format_message()), ExitCode.YOURS
    if isinstance(error, ConnectTradeError):
        code = ExitCode.THEIRS if isinstance(error, _THEIRS) else ExitCode.YOURS
        return _joined(_fact(error), _advice(error)), code
    return f"this is a mistake in connecttrade itself ({_place(error)}): please report it.", ExitCode.THEIRS


def report(error: Exception) -> ExitCode:
    """Say what went wrong, each problem of a ticket as its own sentence, and return how the run ends."""
    sentence, code = explain(error)
    problems = [_joined(problem, "") for problem in error.problems] if isinstance(error, TicketError) else [sentence]
    for problem in problems:
        say(problem)
    return code


def fail(sentence: str) -> NoReturn:
    """Say why what was asked for did not happen, where no error of ours tells it, and end the run.

    Raises:
        click.exceptions.Exit: always.
    """
    say(_joined(sentence, ""))
    raise click.exceptions.Exit(ExitCode.THEIRS)


def say(sentence: str) -> None:
    """Say a sentence on stderr."""
    echo_line(f"connecttrade: {sentence}")


def _fact(error: ConnectTradeError) -> str:
    if isinstance(error, APIError):
        return f"{error.method} {error.path} answered {error.status}: {error.message}"
    if isinstance(error, OAuthError):
        return f"the broker was not connected: {error.details or error.error}"
    return str(error)


def _advice(error: ConnectTradeError) -> str:
    if notes := getattr(error, "__notes__", None):
        return str(notes[0])
    if isinstance(error, AuthenticationError):
        # Everything but /users is asked in the name of a user (documented), whose credentials may be the wrong ones.
        return f"{_CLIENT if error.path.startswith(_USERS) else _USER}; {_ENTITLED}"
    if isinstance(error, OrderOutcomeUnknownError):
        look = f"`connecttrade orders --find {error.cl_order_id or error.order_id}`"
        return f"it may have happened, so look with {look} before you send anything again"
    if isinstance(error, RateLimitedError):
        wait = "a minute" if error.retry_after is None else f"{error.retry_after:.0f} s"
        return f"too many requests, so wait {wait} and try again"
    if isinstance(error, ConnectError) and error.method == _STREAM:
        return "check the network, and CONNECTTRADE_STREAM_URL if you set it"
    return next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), "")


def _joined(fact: str, advice: str) -> str:
    fact = plain(fact).rstrip(".")
    return f"{fact}; {advice}." if advice else f"{fact}."


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _HOUSE in Path(frame.filename).parents]
    frame = next(reversed(ours or frames), None)
    where = f" at {Path(frame.filename).name}:{frame.lineno}" if frame else ""
    return f"{type(error).__name__}{where}"
