"""Open market data by the user's only connection for it, or by the one that ``--connection`` names.

An ambiguous choice is an error: a new token replaces the one that another program may be using.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import nonblank
from connecttrade_async.cli.progress import spinner
from connecttrade_async.errors import (
    AuthenticationRefusedError,
    ConnectError,
    ConnectTradeError,
    SessionTakenError,
    SymbolError,
)
from connecttrade_async.models import ConnectionType
from connecttrade_async.symbology import classify_any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.market_data.stream import MarketDataStream
    from connecttrade_async.models import Connection
    from connecttrade_async.user import User

__all__ = ["choose_connection", "open_feed", "open_market", "symbol", "symbols", "times_option", "which_option"]

T = TypeVar("T")
STREAM = "STREAM"
_CREATE_HINT = "`connecttrade connect --type market_data` creates one"
_HINTS: dict[type[ConnectTradeError], str] = {
    AuthenticationRefusedError: "see with `connecttrade connections` whether the connection is still there",
    SessionTakenError: "end the other program that follows market data for this user, and run this again",
}

which_option = click.option(
    "--connection",
    "connection_id",
    metavar="ID",
    callback=nonblank,
    help="The connection to use; required if there are two.",
)
times_option = click.option("--times", type=click.IntRange(min=1), help="End after this many updates.")


def symbol(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    """Read an argument that is a symbol: CQS, OSI, or any other; the server decides which it quotes.

    Raises:
        click.BadParameter: the text is empty, longer than 64 characters or has a control character.
    """
    symbol = text.strip()
    try:
        return str(classify_any(symbol) or symbol)
    except SymbolError as exc:
        raise click.BadParameter(str(exc)) from None


def symbols(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Read arguments that are symbols, without duplicates.

    Raises:
        click.BadParameter: an argument cannot be a symbol.
    """
    return tuple(dict.fromkeys(symbol(ctx, param, text) for text in texts))


@asynccontextmanager
async def open_market(connection_id: str | None) -> AsyncGenerator[MarketDataStream]:
    """Open the market data stream of a connection of the environment's user.

    Args:
        connection_id: the connection; None for the user's only one for market data.

    Raises:
        click.UsageError: no connection or several match, or a credential is missing.
        ConnectTradeError: the stream cannot be opened; a note says what to do.

    Cancelling closes the stream and the client.
    """
    async with open_user() as (ct, user), AsyncExitStack() as stack:
        async with spinner("Looking for the connection", ct) as progress:
            chosen = connection_id or await choose_connection(user)
            progress.text = "Connecting to the market data"
            stack.enter_context(_with_hints())
            md = await stack.enter_async_context(user.market_data(chosen))
        yield md


@asynccontextmanager
async def open_feed(feed: Feed[T]) -> AsyncGenerator[Feed[T]]:
    """Open a feed, and show a spinner until the server confirms it.

    Raises:
        MarketDataRefusedError: the server refuses a symbol.
        ConnectTradeError: the stream has ended.
    """
    async with AsyncExitStack() as stack:
        async with spinner("Asking for market data"):
            await stack.enter_async_context(feed)
        yield feed


async def choose_connection(user: User) -> str:
    """Return the id of the user's only connection for market data.

    Raises:
        click.UsageError: there is no such connection, or more than one.
        TransportError: the request failed in transit.
        BrokerError: the API refused the request, or its response is malformed.
    """
    connections = await user.connections.list()
    matching = [one for one in connections if one.connection_type == ConnectionType.MARKET_DATA]
    if len(matching) != 1:
        raise click.UsageError(_choice_problem(connections, matching))
    return matching[0].connection_id


def _choice_problem(connections: Sequence[Connection], matching: Sequence[Connection]) -> str:
    if matching:
        return f"--connection must name one of: {_listed(matching)}"
    others = f"; to try another, name it with --connection: {_listed(connections)}" if connections else ""
    return f"there is no connection for market data: {_CREATE_HINT}{others}"


def _listed(connections: Sequence[Connection]) -> str:
    return ", ".join(
        f"{one.connection_id} ({one.connection_type or 'of no type'} at {one.broker or 'a broker'})"
        for one in connections
    )


@contextmanager
def _with_hints() -> Generator[None]:
    """Add a note with what to do to errors; the default hints are about the brokerage stream."""
    try:
        yield
    except ConnectError as exc:
        if exc.method == STREAM:
            exc.add_note("check the network, and CONNECTTRADE_MDSTREAM_URL if you set it")
        raise
    except (AuthenticationRefusedError, SessionTakenError) as exc:
        exc.add_note(_HINTS[type(exc)])
        raise
