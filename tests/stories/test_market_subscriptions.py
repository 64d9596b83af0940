"""What is subscribed stays subscribed: after whatever happens, both sides hold the same."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from connecttrade_async import Timeouts
from connecttrade_async.models.market import SymbolRefused
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.world.symbols import ROOTS
from market_data_fixtures import agreed, market, story, taken, trade, until, until_held
from stream_fixtures import PATIENCE, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async.market_data.stream import MarketDataStream
    from connecttrade_async.sandbox import Sandbox

STOCKS = tuple(sorted(ROOTS))


@pytest.fixture
def anyio_backend() -> Any:
    """Without asyncio's debugging, which is what would be slow here."""
    return "asyncio"


async def test_resubscription_with_one_rejected_symbol_keeps_the_others() -> None:
    symbols = STOCKS[:100]
    async with market() as (sandbox, md), nothing_left(), md, md.trades(*symbols) as trades:
        refused = symbols[42]
        async with md.trades(refused, symbols[43]) as others, md.trades(refused) as lonely:
            sandbox.market.refuse(refused, "It was delisted.")
            sandbox.market.reset()
            for feed in (trades, others):
                told = await until(feed, SymbolRefused)
                assert (told.channel, told.symbol, told.code, told.cause) == (
                    "trades",
                    refused,
                    "403",
                    "It was delisted.",
                )
            with pytest.raises(Exception, match="It was delisted") as ended:
                await taken(lonely, 2)
            assert type(ended.value).__name__ == "MarketDataRefusedError"
        assert {symbol for _, symbol in await agreed(sandbox, md)} == set(symbols) - {refused}
        for number, symbol in enumerate(symbols):
            if symbol != refused:
                trade(sandbox, number, symbol=symbol)
        events = [event for event in await taken(trades, 100) if type(event).__name__ == "Trade"]
        assert story(events) == [number for number, symbol in enumerate(symbols) if symbol != refused]


async def test_subscription_with_a_lost_acknowledgement_is_requested_again() -> None:
    async with market(timeouts=Timeouts(login=0.4, close=1.0)) as (sandbox, md), nothing_left(), md:
        sandbox.market.faults.add(StreamFault("no_ack", times=2))
        async with md.trades("AAPL", "MSFT") as trades:
            assert sandbox.market.log.received["subscribe"] == 3
            trade(sandbox, 1)
            assert story(await taken(trades, 1)) == [1]
            sandbox.market.faults.add(StreamFault("no_ack", times=1))
            await trades.remove("MSFT")
            await sandbox.market.until_received("unsubscribe", 2)
            assert set(await agreed(sandbox, md)) == {("trades", "AAPL")}
        await sandbox.market.until_received("unsubscribe", 3)
        assert await agreed(sandbox, md) == {}


async def test_subscription_with_a_drop_before_its_acknowledgement_is_acknowledged_after_the_reconnect() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        sandbox.market.faults.add(StreamFault("cut_ack", times=3))
        async with md.trades("AAPL") as trades:
            assert sandbox.market.log.received["connect"] == 4
            trade(sandbox, 1)
            while story(await taken(trades, 1)) != [1]:
                pass


async def test_unsubscription_of_many_with_one_not_held_unsubscribes_the_others() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        async with md.trades("AAPL", "MSFT", "F"):
            [session] = sandbox.market._live_ones()  # the server forgets one
            for one in [one for one in session.subscriptions if one.symbol == "MSFT"]:
                del session.subscriptions[one]
        await sandbox.market.until_received("list_subscriptions")
        assert await agreed(sandbox, md) == {}


class Feeds(NamedTuple):
    """One feed of each channel that takes many symbols, and chains."""

    many: tuple[Any, ...]
    chains: tuple[Any, ...]


@contextlib.asynccontextmanager
async def five_channels(md: MarketDataStream, symbols: tuple[str, ...]) -> AsyncGenerator[Feeds]:
    async with contextlib.AsyncExitStack() as stack:
        many = (md.quotes(*symbols), md.trades(*symbols), md.bars(*symbols, backfill=0), md.depth(*symbols, levels=1))
        chains = tuple(md.options_chain(symbol, "2026-03-20", greeks=False) for symbol in symbols[:20])
        feeds: tuple[Any, ...] = (*many, *chains)
        for feed in feeds:
            await stack.enter_async_context(feed)
        yield Feeds(many, chains)


async def test_five_hundred_symbols_over_five_channels_stay_subscribed_through_ten_drops() -> None:
    first = tuple(STOCKS[:120])
    async with market() as (sandbox, md), nothing_left(), md:
        async with five_channels(md, first) as feeds:
            wanted = {(channel, symbol) for channel in ("quotes", "trades", "bars", "depth") for symbol in first}
            wanted |= {("options_chain", symbol) for symbol in first[:20]}
            assert set(await agreed(sandbox, md)) == wanted
            channels = ("quotes", "trades", "bars", "depth")
            for number in range(10):
                sandbox.market.drop(1001 if number % 2 else None)
                feed, channel = feeds.many[number % 4], channels[number % 4]
                gone, come = first[number], STOCKS[120 + number]
                async with asyncio.timeout(PATIENCE):
                    await feed.remove(gone)
                    await feed.add(come)
                wanted = wanted - {(channel, gone)} | {(channel, come)}
                if number % 3 == 0:
                    sandbox.market.reset()
            held = await agreed(sandbox, md)
            assert len(held) == 500
            assert set(held) == wanted
            assert all(set(feed.symbols) <= {symbol for _, symbol in held} for feed in feeds.many)
        assert await agreed(sandbox, md) == {}
        assert md.health().gaps >= 1


DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.sampled_from(["drop", "reset", "turn", "deaf", "refuse"]), st.just(0), st.integers(0, 5)),
    ),
    max_size=14,
)


def held_by(sandbox: Sandbox) -> list[set[tuple[str, str]]]:
    """Return what the server holds, by connection."""
    return [{(one.channel, one.symbol) for one in each} for each in sandbox.market.listened().values()]


async def do(sandbox: Sandbox, feeds: list[Any], deed: tuple[str, int, int], adding: list[asyncio.Task[None]]) -> None:
    what, which, number = deed
    if what == "add":
        adding.append(asyncio.create_task(feeds[which].add(STOCKS[number])))
    elif what == "remove":
        await feeds[which].remove(STOCKS[number])
    elif what == "drop":
        sandbox.market.drop()
    elif what == "reset":
        sandbox.market.reset()
    elif what == "deaf":
        sandbox.market.faults.add(StreamFault("no_ack"))
    elif what == "refuse":
        sandbox.market.refused = {STOCKS[number]: "No."}
    await asyncio.sleep(0)
    if what == "turn":
        await asyncio.sleep(0.002)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("add", 2, 2), ("refuse", 0, 2), ("drop", 0, 0)])
@given(DEEDS)
async def test_any_sequence_of_adds_removes_and_drops_ends_with_both_sides_in_agreement(
    deeds: list[tuple[str, int, int]],
) -> None:
    async with market(timeouts=Timeouts(login=0.4, close=1.0)) as (sandbox, md), md:
        options: dict[str, Any] = {"overflow": "drop_oldest"}
        async with (
            md.trades("ZM", **options) as one,
            md.trades("ZM", hours="regular", **options) as two,
            md.depth("ZM", levels=2) as three,
        ):
            adding: list[asyncio.Task[None]] = []
            for deed in deeds:
                await do(sandbox, [one, two, three], deed, adding)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*adding, return_exceptions=True)
                sandbox.market.faults.clear()

            def wanted() -> set[tuple[str, str]]:
                trades = {("trades", symbol) for feed in (one, two) for symbol in feed.symbols}
                return trades | {("depth", symbol) for symbol in three.symbols}

            # Asked again each time: a symbol that was acknowledged before a drop may be refused after it.
            async with asyncio.timeout(PATIENCE):
                while held_by(sandbox) != [wanted()]:  # noqa: ASYNC110 - a refusal changes a feed without an event
                    await asyncio.sleep(0.005)
            assert set(await agreed(sandbox, md)) == wanted()
        await until_held(sandbox, set())
