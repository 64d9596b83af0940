"""Market data from one end to the other: every feed, the past, the list, and what the server refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from connecttrade_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    MarketDataRefusedError,
    SessionTakenError,
    parse_redirect,
)
from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Bar, Depth, OptionsChain, Quote, Trade
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.world import tick_of
from manual_clock import BEGIN
from market_data_fixtures import agreed, linked, market, taken, trade, until
from stream_fixtures import client, nothing_left


async def test_quotes_follow_the_best_bid_and_offer() -> None:
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.quotes("AAPL", "IBM/B") as quotes,
        md.depth("AAPL", levels=5) as books,
    ):
        for quote in await taken(quotes, 2):
            assert isinstance(quote, Quote)
            assert (quote.bid_price or 0) < (quote.ask_price or 0)
            assert quote.time == BEGIN
        await taken(books, 1)
        sandbox.clock.advance(60)
        while (quote := await until(quotes, Quote)).symbol != "AAPL":
            pass
        book = await until(books, Depth)
        assert (len(book.bids), len(book.asks)) == (5, 5)
        assert (book.bids[0].price, book.asks[0].price) == (quote.bid_price, quote.ask_price)
        assert (quote.time, book.time) == (BEGIN + timedelta(seconds=60),) * 2


async def test_trades_are_those_of_the_world_each_of_them_once() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL", "MSFT") as trades:
        events: dict[str, list[Any]] = {}
        sandbox.clock.advance(30)
        begin, end = tick_of(BEGIN) + 1, tick_of(BEGIN + timedelta(seconds=30)) + 1
        for symbol in ("AAPL", "MSFT"):
            prints = [(each.at, each.price, each.size) for each in sandbox.world.tape.prints(symbol, begin, end)]
            events[symbol] = await taken(trades, len(prints))
            assert [(each.time, each.price, each.size) for each in events[symbol]] == prints
            assert {each.hours for each in events[symbol]} == {"regular"}


async def test_trades_are_of_the_requested_hours() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        async with md.trades("AAPL", hours="regular") as regular, md.trades("AAPL", hours="extended") as extended:
            held = await agreed(sandbox, md)
            assert held == {("trades", "AAPL"): {"session": "all"}}
            sandbox.market.publish("trades", "AAPL", {"price": "1.00", "size": "1", "session": "regular"})
            sandbox.market.publish("trades", "AAPL", {"price": "1.00", "size": "2", "session": "extended"})
            gap, one = await taken(regular, 2)
            assert (type(gap), gap.could_send) == (Gap, True)  # what it had was given up for what both want
            [two] = await taken(extended, 1)
            assert (one.size, two.size) == (Decimal(1), Decimal(2))
        async with md.trades("AAPL", hours="extended"):
            assert await agreed(sandbox, md) == {("trades", "AAPL"): {"session": "extended"}}


async def test_options_chain_comes_for_every_expiration_and_for_one_with_and_without_greeks() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        async with md.options_chain("TSLA") as chains:
            days = {chain.expiration: chain for chain in await taken(chains, 3)}
            assert len(days) == 3
            assert all(contract.greeks is not None for chain in days.values() for contract in chain.contracts)
        first = min(days)
        async with md.options_chain("TSLA", first, greeks=False) as chains:
            [chain] = await taken(chains, 1)
            assert isinstance(chain, OptionsChain)
            assert (chain.expiration, chain.symbol) == (first, "TSLA")
            assert all(contract.greeks is None and contract.bid_price is not None for contract in chain.contracts)
            assert sandbox.market.subscriptions().popitem()[1] == [
                {
                    "channel": "options_chain",
                    "symbols": ["TSLA"],
                    "underlying": "TSLA",
                    "expiration": first.isoformat(),
                    "greeks": False,
                },
            ]


async def test_options_chain_with_greeks_yields_none_without_them_beside_a_feed_without_greeks() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.options_chain("TSLA") as every:
        first = min(chain.expiration for chain in await taken(every, 3))
        async with md.options_chain("TSLA", first, greeks=False) as plain:
            await taken(plain, 1)
            sandbox.clock.advance(60)
            await taken(plain, 1)
            chains = await taken(every, every.statistics().waiting)
            assert chains
            assert all(contract.greeks is not None for chain in chains for contract in chain.contracts)


async def test_depth_of_two_feeds_is_one_subscription_with_the_larger_number_of_levels() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.depth("AAPL", levels=3) as shallow:
        assert len((await taken(shallow, 1))[0].bids) == 3
        async with md.depth("AAPL", levels=8) as deep:
            assert await agreed(sandbox, md) == {("depth", "AAPL"): {"levels": "8"}}
            assert len((await until(deep, Depth)).asks) == 8
            assert len((await until(shallow, Depth)).asks) == 3
        # It costs nothing to go on with the deeper one, and a change back could miss something.
        assert await agreed(sandbox, md) == {("depth", "AAPL"): {"levels": "8"}}
        sandbox.clock.advance(60)
        assert len((await until(shallow, Depth)).bids) == 3


async def test_bars_begin_with_the_past_in_order_and_marked() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.bars("AAPL", backfill=5) as bars:
        past = await taken(bars, 5)
        assert [bar.start_time for bar in past] == [BEGIN - timedelta(minutes=left) for left in (5, 4, 3, 2, 1)]
        assert all(bar.is_backfill and bar.closed for bar in past)
        sandbox.clock.advance(60)
        while not (bar := await until(bars, Bar)).closed:
            pass
        assert (bar.start_time, bar.is_backfill) == (BEGIN, False)


async def test_history_with_many_concurrent_calls_answers_each() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        symbols = ("AAPL", "MSFT", "F", "GE", "TSLA")
        asked = [(symbol, interval) for symbol in symbols for interval in ("1m", "5m", "1d")]
        found = await asyncio.gather(*(md.history(symbol, interval=interval, limit=4) for symbol, interval in asked))
        for (symbol, interval), bars in zip(asked, found, strict=True):
            truth = sandbox.world.bars.before(symbol, interval, BEGIN, 4)
            assert [(bar.symbol, bar.interval) for bar in bars] == [(symbol, interval)] * 4
            facts: list[Any] = [(bar.start_time, bar.close, bar.volume) for bar in bars]
            assert facts == [(bar.start, bar.close, bar.volume) for bar in truth]
        part = await md.history("AAPL", start=BEGIN - timedelta(minutes=9), end=BEGIN - timedelta(minutes=4))
        assert [bar.start_time for bar in part] == [BEGIN - timedelta(minutes=left) for left in (9, 8, 7, 6, 5)]


async def test_feed_with_changing_symbols_requests_each_once() -> None:
    async with market() as (sandbox, md), nothing_left(), md:
        async with md.quotes("AAPL", "MSFT") as first, md.quotes("MSFT") as second:
            assert sandbox.market.log.received["subscribe"] == 1
            await first.add("F")
            await first.remove("AAPL", "MSFT")
            assert set(await agreed(sandbox, md)) == {("quotes", "F"), ("quotes", "MSFT")}
            await second.remove("MSFT")
            assert set(await agreed(sandbox, md)) == {("quotes", "F")}
        assert await agreed(sandbox, md) == {}


@pytest.mark.parametrize("takes", ["all", "some"])
async def test_feed_with_a_rejected_symbol_raises_at_the_call_and_affects_no_other(takes: str) -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        sandbox.market.takes = "some" if takes == "some" else "all"
        sandbox.market.refuse("F", "F is not for you.")
        with pytest.raises(MarketDataRefusedError) as caught:
            await trades.add("MSFT", "F", "GE")
        assert (caught.value.symbol, caught.value.code, caught.value.cause) == ("F", "403", "F is not for you.")
        with pytest.raises(MarketDataRefusedError, match="There is no QQQQZ"):
            async with md.quotes("QQQQZ"):
                pass
        with pytest.raises(MarketDataRefusedError, match="There is no QQQQZ"):
            await md.history("QQQQZ")
        assert set(await agreed(sandbox, md)) == {("trades", "AAPL")}
        trade(sandbox, 1)
        assert [each.size for each in await taken(trades, 1)] == [1]


async def test_stream_of_an_account_without_market_data_raises_on_entry() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user, connection_id = await linked(sandbox, ct)
        for name in (connection_id + "0", "nobody"):
            with pytest.raises(APIError):
                await user.market_data(name).__aenter__()
        sandbox.entitlements.market_data = False
        with pytest.raises(AuthenticationError, match="not entitled"):
            await user.market_data(connection_id).__aenter__()
        sandbox.entitlements.market_data = True
        await user.connections.delete(connection_id)
        with pytest.raises(APIError):
            await user.market_data(connection_id).__aenter__()
        stranger = ct.user("ada", "wrong")
        with pytest.raises(AuthenticationError):
            await stranger.market_data(connection_id).__aenter__()


@pytest.mark.parametrize("kind", ["trade", "readonly"])
async def test_stream_of_a_connection_of_another_type_raises_on_entry(kind: str) -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create(kind, redirect_url="https://app.example/done", broker="ALPACA")
        connection_id = parse_redirect(await sandbox.approve(request.url)).connection_id
        with pytest.raises(BadRequestError, match=f"of type {kind} has no market data"):
            await user.market_data(connection_id).__aenter__()


async def test_stream_of_a_deleted_connection_ends() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user, connection_id = await linked(sandbox, ct)
        async with user.market_data(connection_id) as md, md.trades("AAPL") as trades:
            await user.connections.delete(connection_id)
            with pytest.raises(SessionTakenError, match="revoked"):
                await taken(trades, 1)


@pytest.mark.parametrize("payload", ["flat", "nested"])
@pytest.mark.parametrize("name", ["type", "event", "topic"])
async def test_stream_decodes_every_spelling_of_a_message(name: str, payload: str) -> None:
    async with market() as (sandbox, md), nothing_left():
        wording = sandbox.market.wording
        sandbox.market.wording = replace(wording, **cast("dict[str, Any]", {"name": name, "payload": payload}))
        async with md, md.quotes("AAPL") as quotes, md.bars("AAPL", backfill=2) as bars, md.depth("AAPL") as books:
            assert isinstance((await taken(quotes, 1))[0], Quote)
            assert [bar.is_backfill for bar in await taken(bars, 2)] == [True, True]
            assert isinstance((await taken(books, 1))[0], Depth)
            async with md.trades("AAPL") as trades, md.options_chain("TSLA") as chains:
                trade(sandbox, 1)
                assert isinstance((await taken(trades, 1))[0], Trade)
                assert isinstance((await taken(chains, 1))[0], OptionsChain)
                assert len(await agreed(sandbox, md)) == 5
            assert md.health().set_aside == 0
