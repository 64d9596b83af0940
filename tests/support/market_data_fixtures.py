"""Fixtures for the stories of market data: a user with a connection for it, a held clock, and published trades."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Trade
from connecttrade_async.sandbox import Sandbox
from manual_clock import BEGIN
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import ConnectTrade, User
    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.market_data.stream import MarketDataStream

E = TypeVar("E")


async def linked(sandbox: Sandbox, ct: ConnectTrade, user_id: str = "ada") -> tuple[User, str]:
    """Create a user with a connection for market data."""
    user = ct.user(user_id, (await ct.users.create(user_id)).user_secret)
    request = await user.connections.create("market_data", redirect_url="https://app.example/done", broker="ALPACA")
    await sandbox.approve(request.url)
    connection_id = (await user.connections.list())[0].connection_id
    assert connection_id is not None
    return user, connection_id


@contextlib.asynccontextmanager
async def market(**settings: Any) -> AsyncGenerator[tuple[Sandbox, MarketDataStream]]:
    """Yield a sandbox with its clock at a market opening, and a market data stream that is not open yet."""
    async with Sandbox(seed=7) as sandbox, client(sandbox, **settings) as ct:
        sandbox.clock.hold(BEGIN)
        user, connection_id = await linked(sandbox, ct)
        yield sandbox, user.market_data(connection_id)


def trade(sandbox: Sandbox, *numbers: int, symbol: str = "AAPL") -> None:
    """Publish a trade for each number, which is its size."""
    for number in numbers:
        sandbox.market.publish("trades", symbol, {"price": "1.00", "size": str(number), "session": "regular"})


async def taken(feed: Feed[Any], count: int) -> list[Any]:
    """Take ``count`` events."""
    async with asyncio.timeout(PATIENCE):
        return [await feed.receive() for _ in range(count)]


async def until(feed: Feed[Any], kind: type[E]) -> E:
    """Take events up to the first of a kind, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await feed.receive()
            if isinstance(event, kind):
                return event


def story(events: list[Any]) -> list[object]:
    """Return the sizes of trades, and the class names of other events."""
    return [int(each.size or 0) if isinstance(each, Trade) else type(each).__name__ for each in events]


async def agreed(sandbox: Sandbox, md: MarketDataStream) -> dict[tuple[str, str], dict[str, object]]:
    """Run reconciliation until both sides agree about the subscriptions; return them with their options."""
    async with asyncio.timeout(PATIENCE):
        while True:
            listed = await md.list_subscriptions()
            if not listed.missing and not listed.extra:
                break
    held = {(line.channel, symbol): line.options for line in listed.held for symbol in line.symbols}
    [listened] = sandbox.market.listened().values()
    assert {(one.channel, one.symbol): one.given for one in listened} == held
    return held


async def until_held(sandbox: Sandbox, wanted: set[tuple[str, str]]) -> None:
    """Wait until the server holds exactly these subscriptions, without a request for the list."""
    listened = sandbox.market.listened
    async with asyncio.timeout(PATIENCE):
        await sandbox.market.log.until(
            lambda: [{(one.channel, one.symbol) for one in each} for each in listened().values()] == [wanted],
        )


async def gap(feed: Feed[Any]) -> Gap:
    """Take events up to a gap."""
    return await until(feed, Gap)
