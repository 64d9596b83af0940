"""Orders placed, changed and cancelled over HTTP: what becomes of them as the clock is stepped, and what is refused."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Sandbox

Ask = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]
Place = Callable[..., Awaitable[dict[str, Any]]]

STEP = 0.02


@pytest.fixture
async def account(ask: Ask, connect: Connect) -> str:
    await connect()
    name: str = (await ask("GET", "/accounts", "jane"))[1][0]["account_id"]
    return name


@pytest.fixture
def ticket(account: str) -> dict[str, Any]:
    return {
        "account_id": account,
        "cl_order_id": "one",
        "broker": "ALPACA",
        "side": "BUY",
        "order_type": "MKT",
        "order_tif": "DAY",
        "symbol": "AAPL",
        "order_qty": "5",
    }


@pytest.fixture
def place(ask: Ask, ticket: dict[str, Any]) -> Place:
    async def place(**changes: Any) -> dict[str, Any]:
        status, order = await ask("POST", "/orders", "jane", json=ticket | changes)
        assert status == 200, order
        return dict(order)

    return place


async def found(ask: Ask, order: dict[str, Any]) -> dict[str, Any]:
    _, page = await ask("GET", "/orders?status=all&limit=500", "jane")
    [known] = [each for each in page["orders"] if each["order_id"] == order["order_id"]]
    return dict(known)


def path(order: dict[str, Any]) -> str:
    return f"/accounts/{order['account_id']}/orders/{order['order_id']}"


async def test_a_market_order_is_pending_then_working_then_filled(ask: Ask, sandbox: Sandbox, place: Place) -> None:
    before = (await ask("GET", "/balances", "jane"))[1][0]
    order = await place()
    assert (order["status"], order["cl_order_id"], order["order_qty"]) == ("pending", "one", "5")
    assert await found(ask, order) == order
    sandbox.clock.advance(STEP)
    assert (await found(ask, order))["status"] == "working"
    sandbox.clock.advance(STEP)
    done = await found(ask, order)
    assert (done["status"], done["filled_qty"], done["broker_status"]) == ("filled", "5", "filled")
    assert done["avg_fill_price"] == f"{sandbox.broker.quote('AAPL').ask}"
    assert [fill["quantity"] for fill in done["fills"]] == ["5"]
    after = (await ask("GET", "/balances", "jane"))[1][0]
    spent = 5 * Decimal(done["avg_fill_price"])
    assert Decimal(before["cash"]) - Decimal(after["cash"]) == spent
    newest = (await ask("GET", "/transactions", "jane"))[1]
    assert [item["amount"] for item in newest if item["transaction_id"] == done["fills"][0]["fill_id"]] == [f"-{spent}"]


async def test_a_limit_order_waits_for_its_price(ask: Ask, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.set_price("AAPL", "200")
    order = await place(order_type="LMT", order_limit_price="190.00", order_tif="GTC")
    sandbox.clock.advance(86_400)
    assert (await found(ask, order))["status"] == "working"
    sandbox.broker.set_price("AAPL", "189.50")
    done = await found(ask, order)
    assert (done["status"], done["avg_fill_price"]) == ("filled", "189.52")


async def test_an_order_is_replaced(ask: Ask, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.halt()
    old = await place(order_type="LMT", order_limit_price="190.00")
    sandbox.clock.advance(STEP)
    sent = {"new_cl_order_id": "two", "broker": "alpaca", "order_qty": "7"}
    status, new = await ask("PATCH", path(old), "jane", json=sent)
    assert (status, new["status"], new["replaces"], new["order_qty"]) == (200, "pending", old["order_id"], "7")
    assert (new["cl_order_id"], new["order_limit_price"]) == ("two", "190.00")
    assert (await found(ask, old))["status"] == "pending_replace"
    sandbox.clock.advance(STEP)
    gone = await found(ask, old)
    assert (gone["status"], gone["replaced_by"]) == ("replaced", new["order_id"])
    assert (await found(ask, new))["status"] == "working"


async def test_an_order_is_cancelled(ask: Ask, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.halt("AAPL")
    order = await place()
    status, leaving = await ask("DELETE", path(order), "jane")
    assert (status, leaving["status"]) == (200, "pending_cancel")
    assert await ask("DELETE", path(order), "jane") == (200, leaving)
    sandbox.clock.advance(STEP)
    assert (await found(ask, order))["status"] == "cancelled"
    status, refused = await ask("DELETE", path(order), "jane")
    assert (status, refused) == (400, {"message": f"Order {order['order_id']} is already cancelled."})


async def test_the_same_id_on_the_same_day_is_a_409(ask: Ask, sandbox: Sandbox, place: Place, ticket: Any) -> None:
    order = await place()
    status, refused = await ask("POST", "/orders", "jane", json=ticket)
    assert (status, list(refused)) == (409, ["message"])
    sent = {"new_cl_order_id": "one", "broker": "ALPACA", "order_qty": "7"}
    assert (await ask("PATCH", path(order), "jane", json=sent))[0] == 409
    sandbox.clock.advance(86_400)
    assert (await place())["order_id"] != order["order_id"]


async def test_with_the_clock_running_it_is_filled_in_no_time(
    ask: Ask, sandbox: Sandbox, place: Place, http: aiohttp.ClientSession
) -> None:
    del http
    sandbox.clock.release()
    order = await place()
    while (await found(ask, order))["status"] != "filled":
        pass
