"""Cryptocurrency in the sandbox: pairs trade around the clock, with nine digits, at the brokers that offer them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.world import Hours, World, tick_of
from connecttrade_async.sandbox.world.symbols import PAIRS, instrument_of, price_step

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]

SATURDAY = datetime(2026, 3, 7, 3, tzinfo=UTC)
CRYPTO = {"symbol": "BTC/USD", "side": "BUY", "order_type": "MKT", "order_tif": "GTC"}


async def account(fetch: Fetch, connect: Connect, broker: str) -> dict[str, str]:
    await connect(broker=broker)
    row = (await fetch("GET", f"/accounts?broker={broker}", "jane"))[1][0]
    return {"account_id": row["account_id"], "broker": broker}


async def settled(fetch: Fetch, sandbox: Sandbox, order: dict[str, Any]) -> dict[str, Any]:
    sandbox.clock.advance(600)
    _, page = await fetch("GET", "/orders?status=all&limit=500", "jane")
    (found,) = [each for each in page if each["order_id"] == order["order_id"]]
    return dict(found)


@pytest.mark.parametrize("symbol", sorted(PAIRS))
@pytest.mark.parametrize("instrument", [None, "CRYPTO"])
async def test_order_in_a_pair_fills_at_night_on_a_weekend(
    fetch: Fetch, connect: Connect, sandbox: Sandbox, symbol: str, instrument: str | None
) -> None:
    sandbox.world.market.hours.keeping = "real"
    sandbox.clock.hold(SATURDAY)
    where = await account(fetch, connect, "ALPACA")
    wanted = {"cl_order_id": "c-1", "order_notional": "50", "symbol": symbol, "instrument": instrument}
    status, order = await fetch("POST", "/orders", "jane", json=CRYPTO | where | wanted)
    assert (status, order["instrument"]) == (200, "CRYPTO")
    done = await settled(fetch, sandbox, order)
    assert done["status"] == "filled"
    assert re.fullmatch(r"\d+(\.\d{1,9})?", done["filled_qty"])
    assert 45 < Decimal(done["filled_qty"]) * Decimal(done["avg_fill_price"]) <= 50
    rows = (await fetch("GET", f"/positions?account_id={where['account_id']}&symbols={symbol}", "jane"))[1]
    assert [(row["instrument"], row["quantity"]) for row in rows] == [("CRYPTO", done["filled_qty"])]


async def test_stock_order_waits_on_a_weekend_where_a_pair_fills(
    fetch: Fetch, connect: Connect, sandbox: Sandbox
) -> None:
    sandbox.world.market.hours.keeping = "real"
    sandbox.clock.hold(SATURDAY)
    where = await account(fetch, connect, "ALPACA")
    stock = {"cl_order_id": "s", "symbol": "AAPL", "order_qty": "1"}
    _, order = await fetch("POST", "/orders", "jane", json=CRYPTO | where | stock)
    assert (await settled(fetch, sandbox, order))["status"] == "working"


async def test_order_of_nine_decimals_is_filled_exactly_in_parts(
    fetch: Fetch, connect: Connect, sandbox: Sandbox
) -> None:
    where = await account(fetch, connect, "WEBULL")
    wanted = {"cl_order_id": "c-2", "order_qty": "0.123456789"}
    _, order = await fetch("POST", "/orders", "jane", json=CRYPTO | where | wanted)
    done = await settled(fetch, sandbox, order)
    parts = [Decimal(fill["quantity"]) for fill in done["fills"]]
    assert (done["status"], sum(parts)) == ("filled", Decimal("0.123456789"))


@pytest.mark.parametrize("broker", ["TRADESTATION", "LIGHTSPEED", "TRADEZERO"])
async def test_broker_without_cryptocurrency_rejects_a_pair_with_its_reason(
    fetch: Fetch, connect: Connect, broker: str
) -> None:
    where = await account(fetch, connect, broker)
    status, order = await fetch("POST", "/orders", "jane", json=CRYPTO | where | {"cl_order_id": "x", "order_qty": "1"})
    assert (status, order["status"]) == (200, "rejected")
    assert order["reject_reason"].endswith("does not trade cryptocurrency.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": "SELL_SHORT", "order_qty": "0.1"}, "Cryptocurrency cannot be sold short."),
        ({"side": "SELL", "order_qty": "0.1"}, "Insufficient quantity to SELL BTC/USD: 0 there."),
        ({"symbol": "ZZZ/USD", "order_qty": "1"}, "Unknown symbol ZZZ/USD: it is not listed."),
        ({"order_qty": "999999"}, "Insufficient buying power"),
    ],
    ids=["short", "not held", "unlisted", "too dear"],
)
async def test_order_in_a_pair_that_the_broker_does_not_want_is_rejected(
    fetch: Fetch, connect: Connect, changes: dict[str, str], reason: str
) -> None:
    where = await account(fetch, connect, "ALPACA")
    status, order = await fetch("POST", "/orders", "jane", json=CRYPTO | where | {"cl_order_id": "y"} | changes)
    assert (status, order["status"]) == (200, "rejected")
    assert order["reject_reason"].startswith(reason)


async def test_instrument_that_contradicts_the_symbol_is_a_400(fetch: Fetch, connect: Connect) -> None:
    where = await account(fetch, connect, "ALPACA")
    sent = CRYPTO | where | {"cl_order_id": "z", "order_qty": "1", "instrument": "STK"}
    assert (await fetch("POST", "/orders", "jane", json=sent))[0] == 400


@pytest.mark.parametrize("symbol", sorted(PAIRS))
def test_price_of_a_pair_has_nine_decimals_at_most_and_moves_while_stocks_rest(symbol: str) -> None:
    market = World(7, Hours("real")).market
    noon = SATURDAY.replace(hour=17)
    prices = {market.last(symbol, noon.replace(minute=minute)) for minute in range(0, 60, 10)}
    assert len(prices) > 1
    assert all(price > 0 and re.fullmatch(r"\d+\.\d{9}", f"{price:f}") for price in prices)
    assert len({market.last("AAPL", noon.replace(minute=minute)) for minute in range(0, 60, 10)}) == 1
    quote = market.quote(symbol, noon)
    assert quote.bid < quote.last < quote.ask


def test_trades_and_bars_of_a_pair_go_on_through_a_weekend() -> None:
    world = World(7, Hours("real"))
    start, end = tick_of(SATURDAY), tick_of(SATURDAY.replace(minute=5))
    assert list(world.tape.prints("ETH/USD", start, end))
    assert not list(world.tape.prints("AAPL", start, end))
    assert world.bars.bar("ETH/USD", "1m", SATURDAY) is not None


def test_instrument_and_price_step_distinguish_pairs_from_class_shares() -> None:
    assert [instrument_of(symbol) for symbol in ("BTC/USD", "IBM/B", "AAPL", "AAPL260821C00230000")] == [
        "CRYPTO",
        "STK",
        "STK",
        "OPT",
    ]
    assert (price_step("DOGE/USD"), price_step("IBM/B")) == (Decimal("0.000000001"), Decimal("0.01"))


async def test_market_data_of_a_pair_comes_on_every_channel_through_the_night(
    sandbox: Sandbox, tune: Callable[..., Awaitable[ClientConnection]]
) -> None:
    sandbox.world.market.hours.keeping = "real"
    sandbox.clock.hold(SATURDAY)
    link = await tune()
    channels: list[dict[str, Any]] = [
        {"channel": "quotes"},
        {"channel": "trades", "session": "all"},
        {"channel": "bars", "interval": "1m", "backfill": 2},
        {"channel": "depth", "levels": 2},
    ]
    for number, options in enumerate(channels):
        await link.send(json.dumps({"action": "subscribe", "id": str(number), "symbols": ["SHIB/USD"]} | options))
    seen: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(10):
        while not {"quote", "trade", "bar", "depth"} <= seen.keys():
            sandbox.clock.advance(5)
            message = json.loads(await link.recv())
            assert message["type"] != "error", message
            seen[message["type"]] = message
    prices = [
        seen["quote"]["bid_price"],
        seen["trade"]["price"],
        seen["bar"]["close"],
        seen["depth"]["asks"][0]["price"],
    ]
    assert all(re.fullmatch(r"0\.\d{9}", price) for price in prices), prices
    assert Decimal(seen["trade"]["size"]) > 0
