"""Explain an error in one sentence with what to do next, and map it to an exit code.

Neither a traceback nor the text of a foreign error is printed: such a text may hold a secret.
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
    RelayError,
    ServerError,
    SessionTakenError,
    TicketError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExitCode", "explain", "fail", "print_error", "report"]


class ExitCode(IntEnum):
    """Exit codes of the command."""

    OK = 0
    REMOTE_ERROR = 1
    USAGE_ERROR = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_REMOTE_ERRORS = (BrokerError, TransportError, RelayError, OrderOutcomeUnknownError)
_PACKAGE = Path(__file__).parents[1]
_USERS = "/users"
_STREAM = "STREAM"
_ENTITLED = "if they are right, the account is not entitled to this"
_CLIENT = "check CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET"
_USER = f"{_CLIENT}, and CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET"
_HINTS: Mapping[type[ConnectTradeError], str] = {
    BadRequestError: "correct the value that it names and run the command again",
    NotFoundError: "look up the right id with `connecttrade users`, `connections` or `accounts`",
    ConflictError: "use the one that exists, or delete it first",
    ServerError: "the failure is on their side, so try again in a few minutes",
    AuthenticationRefusedError: f"{_CLIENT}; {_ENTITLED}",
    SessionTakenError: "end the other program that follows the stream with these credentials, and run this again",
    RelayError: "check the server, and CONNECTTRADE_RELAY_URL if you set it",
    ConnectError: "check the network, and CONNECTTRADE_API_URL if you set it",
    TransportError: "try again in a moment",
    MalformedResponseError: (
        "something other than the API may have answered, such as a proxy: check CONNECTTRADE_API_URL and the network"
    ),
    OrderNotReplacedError: "it had ended before, and no order replaced it",
    OAuthError: "start again with `connecttrade connect` when the person is ready",
    APIError: "check CONNECTTRADE_API_URL if you set it, else try again later",
}


def explain(error: Exception) -> tuple[str, ExitCode]:
    """Return a sentence for an error, and the exit code."""
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(f"`{name}`" for name in error.possibilities or ())
        suggestion = f": did you mean {near}?" if near else ""
        return plain(f"there is no option {error.option_name!r}{suggestion}"), ExitCode.USAGE_ERROR
    if isinstance(error, click.ClickException):
        return plain(error.format_message()), ExitCode.USAGE_ERROR
    if isinstance(error, ConnectTradeError):
        code = ExitCode.REMOTE_ERROR if isinstance(error, _REMOTE_ERRORS) else ExitCode.USAGE_ERROR
        return _joined(_fact(error), _hint(error)), code
    return f"this is a bug in connecttrade ({_location(error)}): please report it.", ExitCode.REMOTE_ERROR


def report(error: Exception) -> ExitCode:
    """Print an error, each problem of a ticket as a sentence of its own, and return the exit code."""
    sentence, code = explain(error)
    problems = [_joined(problem, "") for problem in error.problems] if isinstance(error, TicketError) else [sentence]
    for problem in problems:
        print_error(problem)
    return code


def fail(sentence: str) -> NoReturn:
    """Print why the command failed, for failures without an exception, and exit.

    Raises:
        click.exceptions.Exit: always, with the code of a remote error.
    """
    print_error(_joined(sentence, ""))
    raise click.exceptions.Exit(ExitCode.REMOTE_ERROR)


def print_error(sentence: str) -> None:
    """Print a sentence on stderr."""
    echo_line(f"connecttrade: {sentence}")


def _fact(error: ConnectTradeError) -> str:
    if isinstance(error, APIError):
        return f"{error.method} {error.path} answered {error.status}: {error.message}"
    if isinstance(error, OAuthError):
        return f"the broker was not connected: {error.details or error.error}"
    return str(error)


def _hint(error: ConnectTradeError) -> str:
    if notes := getattr(error, "__notes__", None):
        return str(notes[0])
    if isinstance(error, AuthenticationError):
        # Every path but /users takes the credentials of a user as well (documented), and they may be wrong too.
        return f"{_CLIENT if error.path.startswith(_USERS) else _USER}; {_ENTITLED}"
    if isinstance(error, OrderOutcomeUnknownError):
        lookup = f"`connecttrade orders --find {error.cl_order_id or error.order_id}`"
        return f"it may have happened, so check with {lookup} before you send anything again"
    if isinstance(error, RateLimitedError):
        wait = "a minute" if error.retry_after is None else f"{error.retry_after:.0f} s"
        return f"too many requests, so wait {wait} and try again"
    if isinstance(error, ConnectError) and error.method == _STREAM:
        return "check the network, and CONNECTTRADE_STREAM_URL or CONNECTTRADE_MDSTREAM_URL if you set it"
    return next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), "")


def _joined(fact: str, hint: str) -> str:
    fact = plain(fact).rstrip(".")
    return f"{fact}; {hint}." if hint else f"{fact}."


def _location(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    frame = next(reversed(ours or frames), None)
    place = f" at {Path(frame.filename).name}:{frame.lineno}" if frame else ""
    return f"{type(error).__name__}{place}"
