"""The events of the brokerage stream equal, to the last digit, what REST answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from connecttrade_async.sandbox import Sandbox, Spellings
from connecttrade_async.sandbox.world import Account, Leg, Order, Ticket

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]
Dial = Callable[..., Awaitable[ClientConnection]]


async def read(link: ClientConnection, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [json.loads(await link.recv()) for _ in range(count)]


def kinds(events: list[Any]) -> list[str]:
    return [event["data"]["status"] if event["type"] == "order" else event["type"] for event in events]


@pytest.fixture
async def account(sandbox: Sandbox, connect: Connect) -> Account:
    await connect()
    return next(sandbox.world.accounts(sandbox.world.users["jane"]))[1]


@pytest.fixture
def place(sandbox: Sandbox, account: Account) -> Callable[..., Order]:
    def place(name: str = "one", **changes: Any) -> Order:
        wanted: dict[str, Any] = {
            "cl_order_id": name,
            "side": "BUY",
            "order_type": "MKT",
            "order_tif": "GTC",
            "symbol": "F",
            "order_qty": Decimal(10),
        }
        return sandbox.world.floor.place(account, Ticket(**wanted | changes), sandbox.clock.now())

    return place


async def test_an_order_from_its_first_moment_to_its_last(
    sandbox: Sandbox, fetch: Fetch, listen: Dial, account: Account, place: Callable[..., Order]
) -> None:
    link = await listen()
    order = place()
    assert kinds(await read(link, 2)) == ["pending", "balance"]
    sandbox.clock.advance(0.02)
    assert kinds(await read(link, 2)) == ["working", "balance"]
    sandbox.clock.advance(0.02)
    filled, position, balance = await read(link, 3)
    assert kinds([filled, position, balance]) == ["filled", "position", "balance"]
    whose = {"user_id": "jane", "account_id": account.account_id}
    assert {name: filled[name] for name in whose} == whose
    assert filled["timestamp"] == "2026-07-01T12:00:00.040000Z" == filled["data"]["updated_at"]
    assert filled["data"]["order_id"] == order.order_id
    assert filled["data"] in (await fetch("GET", "/orders?status=all&limit=500", "jane"))[1]
    assert position["data"] in (await fetch("GET", f"/positions?account_id={account.account_id}", "jane"))[1]
    assert [balance["data"]] == (await fetch("GET", f"/balances?account_id={account.account_id}", "jane"))[1]


async def test_events_are_sent_as_real_time_passes(
    sandbox: Sandbox, listen: Dial, account: Account, place: Callable[..., Order]
) -> None:
    link = await listen("orders")
    place()
    await read(link, 1)
    sandbox.clock.release()
    assert kinds(await read(link, 2)) == ["working", "filled"]
    sandbox.broker.halt("F")
    place("two")
    assert kinds(await read(link, 2)) == ["pending", "working"]
    sandbox.broker.resume("F")
    [filled] = await read(link, 1)
    assert (filled["data"]["cl_order_id"], filled["data"]["status"]) == ("two", "filled")
    assert account.held("F")


async def test_order_under_way_before_the_first_session_is_sent_later(
    sandbox: Sandbox, listen: Dial, place: Callable[..., Order]
) -> None:
    sandbox.broker.latency = 0.2
    place()
    sandbox.clock.release()
    link = await listen("orders")
    assert kinds(await read(link, 2)) == ["working", "filled"]


async def test_pinned_price_is_visible_in_the_events_it_causes(
    sandbox: Sandbox, listen: Dial, place: Callable[..., Order]
) -> None:
    sandbox.broker.set_price("F", 20)
    link = await listen("orders")
    place(order_type="LMT", order_limit_price=Decimal(10))
    sandbox.clock.release()
    assert kinds(await read(link, 2)) == ["pending", "working"]
    sandbox.broker.set_price("F", 9)
    assert kinds(await read(link, 1)) == ["filled"]


async def test_every_piece_is_one_event(sandbox: Sandbox, listen: Dial, account: Account) -> None:
    link = await listen("orders")
    order = sandbox.world.add_order(account.account_id, sandbox.clock.now(), symbol="MSFT", qty=3)
    for qty in (1, 2):
        sandbox.broker.fill(order.order_id, qty)
    events = await read(link, 3)
    assert kinds(events) == ["working", "partially_filled", "filled"]
    assert [len(event["data"]["fills"]) for event in events] == [0, 1, 2]


async def test_closed_position_is_sent_with_quantity_zero(
    sandbox: Sandbox, listen: Dial, account: Account, place: Callable[..., Order]
) -> None:
    link = await listen("positions")
    place(side="SELL", symbol="MSFT", order_qty=account.held("MSFT"), order_tif="FOK")
    sandbox.clock.advance(1)
    [position] = await read(link, 1)
    assert (position["data"]["symbol"], position["data"]["quantity"]) == ("MSFT", "0")
    assert (position["data"]["average_price"], position["data"]["unrealized_pl"]) == ("0", "0.00")


async def test_a_spread_moves_the_position_of_each_leg(
    sandbox: Sandbox, listen: Dial, account: Account, place: Callable[..., Order]
) -> None:
    link = await listen("positions")
    held = [holding.symbol for holding in account.holdings.values() if len(holding.symbol) > 12 and holding.quantity]
    legs = tuple(Leg(symbol, "BUY_TO_OPEN", 1) for symbol in sorted(held)[:2])
    order = place(side="BUY_TO_OPEN", symbol=None, legs=legs, order_qty=Decimal(1))
    assert order.is_open
    sandbox.broker.fill(order.order_id)
    assert [event["data"]["symbol"] for event in await read(link, 2)] == [leg.symbol for leg in legs]


async def test_events_cover_every_user_but_deleted_ones(sandbox: Sandbox, listen: Dial, connect: Connect) -> None:
    await connect("jane")
    name = await connect("joe", "TRADESTATION")
    accounts = [next(sandbox.world.accounts(sandbox.world.users[user]))[1].account_id for user in ("jane", "joe")]
    link = await listen("orders")
    for account_id in accounts:
        sandbox.world.add_order(account_id, sandbox.clock.now())
    assert [event["user_id"] for event in await read(link, 2)] == ["jane", "joe"]
    sandbox.world.disconnect(sandbox.world.users["joe"], name)
    for account_id in reversed(accounts):
        sandbox.world.add_order(account_id, sandbox.clock.now())
    assert [event["user_id"] for event in await read(link, 1)] == ["jane"]
    sandbox.world.delete_user("jane")
    sandbox.world.add_order(accounts[0], sandbox.clock.now())
    sandbox.stream.publish("orders", "nobody", "none", {"status": "working"})
    assert [event["user_id"] for event in await read(link, 1)] == ["nobody"]


async def test_a_market_data_connection_shows_no_account(sandbox: Sandbox, connect: Connect) -> None:
    name = await connect("jane")
    jane = sandbox.world.users["jane"]
    account = next(sandbox.world.accounts(jane))[1]
    await connect("jane", kind="market_data")
    assert sandbox.world.owner(account) == "jane"
    sandbox.world.disconnect(jane, name)
    assert sandbox.world.owner(account) is None


async def test_nothing_is_replayed(
    sandbox: Sandbox, listen: Dial, account: Account, place: Callable[..., Order]
) -> None:
    place("before")
    link = await listen("balances")
    place("unsubscribed")
    assert kinds(await read(link, 1)) == ["balance"]
    await link.close()
    place("alone")
    again = await listen("orders")
    order = sandbox.world.add_order(account.account_id, sandbox.clock.now())
    [event] = await read(again, 1)
    assert event["data"]["order_id"] == order.order_id


async def test_event_is_sent_before_the_connection_is_cut(
    sandbox: Sandbox, listen: Dial, place: Callable[..., Order]
) -> None:
    link = await listen("orders")
    place()
    sandbox.clock.advance(1)
    sandbox.stream.drop()
    assert kinds(await read(link, 3)) == ["pending", "working", "filled"]


async def test_the_spellings_of_rest_are_the_streams(sandbox: Sandbox, listen: Dial, account: Account) -> None:
    sandbox.spellings = Spellings(times="epoch_milliseconds")
    link = await listen("orders")
    sandbox.world.add_order(account.account_id, sandbox.clock.now())
    [event] = await read(link, 1)
    assert event["timestamp"] == event["data"]["created_at"] == "1782907200000"


async def test_orders_placed_over_rest_are_sent(sandbox: Sandbox, fetch: Fetch, listen: Dial, account: Account) -> None:
    link = await listen("orders")
    wanted = {
        "account_id": account.account_id,
        "broker": "ALPACA",
        "cl_order_id": "one",
        "side": "BUY",
        "symbol": "F",
        "order_type": "LMT",
        "order_tif": "DAY",
        "order_qty": "1",
        "order_limit_price": "0.50",
    }
    _, placed = await fetch("POST", "/orders", "jane", json=wanted)
    path = f"/accounts/{account.account_id}/orders/{placed['order_id']}"
    sandbox.clock.advance(1)
    await fetch("DELETE", path, "jane")
    sandbox.clock.advance(1)
    assert kinds(await read(link, 4)) == ["pending", "working", "pending_cancel", "cancelled"]
    assert placed["status"] == "pending"
