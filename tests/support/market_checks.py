"""The market data stream in any dialect: every event right, or said in time; never silent."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connecttrade_async import ConnectTradeError
from connecttrade_async.models.events import Gap
from connecttrade_async.sandbox.dialect import PRESETS
from dialect_world import quick, said_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connecttrade_async import Dialect
    from connecttrade_async.sandbox.dialect import SandboxDialect
    from dialect_world import DialectWorld

__all__ = ["check_market"]

CALM = 2.0  # seconds without a further frame after which no more of them come
PATIENCE = 20.0
AT = "2026-03-02T14:30:02Z"
SYMBOLS = ("AAPL", "MSFT")


def payloads(channel: str, mark: str) -> dict[str, Any]:
    """Return a payload of a channel, with a number of its own."""
    if channel == "quotes":
        return {"bid_price": mark, "bid_size": "300", "ask_price": "999.5", "last_price": "0.25", "timestamp": AT}
    if channel == "trades":
        return {"price": mark, "size": "7", "session": "regular", "timestamp": AT}
    return {"interval": "5m", "open": mark, "high": "999.5", "low": "0.5", "close": "7.25", "volume": "10"}


async def _token(world: DialectWorld) -> str:
    """Return a connection for market data of a new user."""
    sandbox = world.sandbox
    user = sandbox.world.users.get("mia") or sandbox.world.create_user("mia")
    if not user.connections:
        link = sandbox.world.invite(user, "market_data", "https://app.example/", sandbox.clock.now())
        await sandbox.approve(f"{sandbox.url}/connect/{link.token}", "ALPACA")
    return next(iter(user.connections))


async def check_market(
    world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, *, login: float = 0.5
) -> list[str]:
    """Subscribe to quotes, trades and bars, receive events of each, lose the connection, and receive again.

    Returns:
        What was said where something is not right; empty if everything is.

    Raises:
        AssertionError: an event is wrong, or lost in silence.
    """
    world.speak(PRESETS["assumed"])
    connection_id = await _token(world)
    sandbox = world.sandbox

    async def token() -> str:
        return sandbox.market.replace_token(connection_id)

    world.speak(spoken)
    said: list[str] = []
    async with world.client(dialect, **quick(login)) as ct, AsyncExitStack() as stack:
        md = ct.user("mia", "pretend-secret").market_data(connection_id, token_source=token)
        unknown = md.subscribe("unknown")
        try:
            async with asyncio.timeout(PATIENCE):
                await stack.enter_async_context(md)
                feeds = {
                    "quotes": await stack.enter_async_context(md.quotes(*SYMBOLS, overflow="drop_oldest")),
                    "trades": await stack.enter_async_context(md.trades(*SYMBOLS, hours="regular")),
                    "bars": await stack.enter_async_context(md.bars(*SYMBOLS, interval="5m", backfill=1)),
                }
        except ConnectTradeError as error:
            return [said_by(error)]
        for label in (1, 2):
            if label == 2:
                sandbox.market.drop(1001)
                if problem := await _gaps(feeds):
                    return [*said, problem]
            if problem := await _held(world):
                return [*said, problem]
            for number, (channel, symbol) in enumerate((channel, symbol) for channel in feeds for symbol in SYMBOLS):
                mark = f"{label}{number}.0625"
                options = {"interval": "5m"} if channel == "bars" else {}
                sandbox.market.publish(channel, symbol, payloads(channel, mark), **options)
                said += await _said_of(feeds[channel], unknown, symbol, payloads(channel, mark), md)
    return said


async def _held(world: DialectWorld) -> str:
    """Wait until the server holds all subscriptions; return the state otherwise."""
    market = world.sandbox.market
    wanted = {(channel, symbol) for channel in ("quotes", "trades", "bars") for symbol in SYMBOLS}
    try:
        async with asyncio.timeout(CALM):
            await market.log.until(
                lambda: any(
                    {(one.channel, one.symbol) for one in each} >= wanted for each in market.listened().values()
                )
            )
    except TimeoutError:
        # A step was assumed: whether the server refuses it shows later.
        assert not market.listened(), "live without the subscriptions"
        return "not live"
    return ""


async def _gaps(feeds: Mapping[str, Any]) -> str:
    """Take events of each feed up to its gap; return why the stream ended, or ``""``."""
    try:
        async with asyncio.timeout(PATIENCE):
            for feed in feeds.values():
                while not isinstance(await feed.receive(), Gap):
                    pass
    except ConnectTradeError as error:
        return said_by(error)
    return ""


async def _said_of(feed: Any, unknown: Any, symbol: str, sent: dict[str, Any], md: Any) -> list[str]:
    """Return what was said of an event: nothing where it is right."""
    mark = next(value for value in sent.values() if value.endswith(".0625")).encode()
    task = asyncio.ensure_future(_found(feed, mark))
    aside = asyncio.ensure_future(_found(unknown, mark))
    try:
        await asyncio.wait([task, aside], timeout=CALM, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            event = task.result()
            return [said_by(event)] if isinstance(event, ConnectTradeError) else _wrong(event, symbol, sent, md)
        if not aside.done() and md.health().state != "LIVE":
            return ["the stream was lost"]
        assert aside.done(), f"{type(feed)} {mark!r} was lost in silence"
        found = aside.result()
        return [said_by(found) if isinstance(found, ConnectTradeError) else f"set aside: {found.problem}"]
    finally:
        for each in (task, aside):
            each.cancel()
        await asyncio.wait([task, aside])


async def _found(events: Any, mark: bytes) -> Any:
    """Return the first event with a mark in its frame, or the error that ends the events."""
    try:
        while True:
            event = await events.receive()
            if mark in getattr(event, "raw", b""):
                return event
            if isinstance(event, Gap):
                return ConnectTradeError(f"a gap: {event.cause}")
    except ConnectTradeError as error:
        return error


def _wrong(event: Any, symbol: str, sent: dict[str, Any], md: Any) -> list[str]:
    """Return the fields that are missing; a value that is wrong fails."""
    assert event.symbol == symbol, f"{event.symbol} in place of {symbol}"
    names = dict(zip(event.__struct_encode_fields__, event.__struct_fields__, strict=True))
    missing: list[str] = []
    for name, value in sent.items():
        found = getattr(event, names[name])
        if found is None:
            missing.append(name)
        elif name in {"timestamp", "session", "interval"}:
            assert found == value, f"{name} is {found}"
        else:
            assert Decimal(found) == Decimal(value), f"{name} is {found}"
    if missing:
        assert any(md.health().unread.values()), f"{missing} are missing, and no name is reported as not read"
        return [f"lacks {', '.join(missing)}"]
    return []
