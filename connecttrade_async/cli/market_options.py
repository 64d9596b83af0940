"""The front door: the market data of a connection, opened. The user's one connection for it, or the one that was named.

Its vow: of two that may be meant, neither is guessed: a token that is made replaces the one that another program uses.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import a_name
from connecttrade_async.cli.progress import waiting
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

    from connecttrade_async.client import User
    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.market_data.stream import MarketDataStream
    from connecttrade_async.models import Connection

__all__ = ["choose_connection", "open_feed", "open_market", "symbol", "symbols", "times_option", "which_option"]

T = TypeVar("T")
STREAM = "STREAM"
_LINK = "`connecttrade connect --type market_data` links one"
_ADVICE: dict[type[ConnectTradeError], str] = {
    AuthenticationRefusedError: "see with `connecttrade connections` whether the connection is still there",
    SessionTakenError: "end the other program that follows market data for this user, and run this again",
}

which_option = click.option(
    "--connection", "connection_id", metavar="ID", callback=a_name, help="By which connection; needed if you have two."
)
times_option = click.option("--times", type=click.IntRange(min=1), help="End after so many updates.")


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
    """Read arguments that are symbols, each once.

    Raises:
        click.BadParameter: one of them is none.
    """
    return tuple(dict.fromkeys(symbol(ctx, param, text) for text in texts))


@asynccontextmanager
async def open_market(connection_id: str | None) -> AsyncGenerator[MarketDataStream]:
    """Open the market data of the connection that is meant, for the user of the environment.

    Args:
        connection_id: which; None for the user's only one.

    Raises:
        click.UsageError: it is not clear which is meant, or a credential is missing.
        ConnectTradeError: it cannot be opened, with advice.
    """
    async with open_user() as (ct, user), AsyncExitStack() as stack:
        async with waiting("Looking for the connection", ct) as progress:
            chosen = connection_id or await choose_connection(user)
            progress.words = "Connecting to the market data"
            stack.enter_context(_advised())
            md = await stack.enter_async_context(user.market_data(chosen))
        yield md


@asynccontextmanager
async def open_feed(feed: Feed[T]) -> AsyncGenerator[Feed[T]]:
    """Open a feed, with a line that turns while the server takes its time.

    Raises:
        MarketDataRefusedError: the server refuses a symbol.
        ConnectTradeError: the stream has ended, with why.
    """
    async with AsyncExitStack() as stack:
        async with waiting("Asking for market data"):
            await stack.enter_async_context(feed)
        yield feed


async def choose_connection(user: User) -> str:
    """Return the id of the user's only connection for market data.

    Raises:
        click.UsageError: there is none, or more than one.
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    every = await user.connections.list()
    fitting = [one for one in every if one.connection_type == ConnectionType.MARKET_DATA]
    if len(fitting) != 1:
        raise click.UsageError(_question(every, fitting))
    return fitting[0].connection_id


def _question(every: Sequence[Connection], fitting: Sequence[Connection]) -> str:
    if fitting:
        return f"say with --connection which one is meant: {_listed(fitting)}"
    others = f"; to try another, say with --connection which: {_listed(every)}" if every else ""
    return f"there is no connection for market data: {_LINK}{others}"


def _listed(connections: Sequence[Connection]) -> str:
    return ", ".join(
        f"{one.connection_id} ({one.connection_type or 'of no type'} at {one.broker or 'a broker'})"
        for one in connections
    )


@contextmanager
def _advised() -> Generator[None]:
    """Say with an error what to do, where that is another thing than for the brokerage stream."""
    try:
        yield
    except ConnectError as exc:
        if exc.method == STREAM:
            exc.add_note("check the network, and CONNECTTRADE_MDSTREAM_URL if you set it")
        raise
    except (AuthenticationRefusedError, SessionTakenError) as exc:
        exc.add_note(_ADVICE[type(exc)])
        raise
