"""Orders placed, changed and cancelled over HTTP: what becomes of them as the clock is stepped, and what is refused."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest

from connecttrade_async.sandbox import Sandbox

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]
Place = Callable[..., Awaitable[dict[str, Any]]]

STEP = 0.02


@pytest.fixture
async def account(fetch: Fetch, connect: Connect) -> str:
    await connect()
    name: str = (await fetch("GET", "/accounts", "jane"))[1][0]["account_id"]
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
def place(fetch: Fetch, ticket: dict[str, Any]) -> Place:
    async def place(**changes: Any) -> dict[str, Any]:
        status, order = await fetch("POST", "/orders", "jane", json=ticket | changes)
        assert status == 200, order
        return dict(order)

    return place


async def found(fetch: Fetch, order: dict[str, Any]) -> dict[str, Any]:
    _, page = await fetch("GET", "/orders?status=all&limit=500", "jane")
    [known] = [each for each in page if each["order_id"] == order["order_id"]]
    return dict(known)


def path(order: dict[str, Any]) -> str:
    return f"/accounts/{order['account_id']}/orders/{order['order_id']}"


async def test_a_market_order_is_pending_then_working_then_filled(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    before = (await fetch("GET", "/balances", "jane"))[1][0]
    order = await place()
    assert (order["status"], order["cl_order_id"], order["order_qty"]) == ("pending", "one", "5")
    assert await found(fetch, order) == order
    sandbox.clock.advance(STEP)
    assert (await found(fetch, order))["status"] == "working"
    sandbox.clock.advance(STEP)
    done = await found(fetch, order)
    assert (done["status"], done["filled_qty"], done["broker_status"]) == ("filled", "5", "filled")
    assert done["avg_fill_price"] == f"{sandbox.broker.quote('AAPL').ask}"
    assert [fill["quantity"] for fill in done["fills"]] == ["5"]
    after = (await fetch("GET", "/balances", "jane"))[1][0]
    spent = 5 * Decimal(done["avg_fill_price"])
    assert Decimal(before["cash"]) - Decimal(after["cash"]) == spent
    newest = (await fetch("GET", "/transactions", "jane"))[1]
    assert [item["amount"] for item in newest if item["transaction_id"] == done["fills"][0]["fill_id"]] == [f"-{spent}"]


async def test_a_limit_order_waits_for_its_price(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.set_price("AAPL", "200")
    order = await place(order_type="LMT", order_limit_price="190.00", order_tif="GTC")
    sandbox.clock.advance(86_400)
    assert (await found(fetch, order))["status"] == "working"
    sandbox.broker.set_price("AAPL", "189.50")
    done = await found(fetch, order)
    assert (done["status"], done["avg_fill_price"]) == ("filled", "189.52")


async def test_an_order_is_replaced(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.halt()
    old = await place(order_type="LMT", order_limit_price="190.00")
    sandbox.clock.advance(STEP)
    sent = {"new_cl_order_id": "two", "broker": "alpaca", "order_qty": "7"}
    status, new = await fetch("PATCH", path(old), "jane", json=sent)
    assert (status, new["status"], new["replaces"], new["order_qty"]) == (200, "pending", old["order_id"], "7")
    assert (new["cl_order_id"], new["order_limit_price"]) == ("two", "190.00")
    assert (await found(fetch, old))["status"] == "pending_replace"
    sandbox.clock.advance(STEP)
    gone = await found(fetch, old)
    assert (gone["status"], gone["replaced_by"]) == ("replaced", new["order_id"])
    assert (await found(fetch, new))["status"] == "working"


async def test_an_order_is_cancelled(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.halt("AAPL")
    order = await place()
    status, leaving = await fetch("DELETE", path(order), "jane")
    assert (status, leaving["status"]) == (200, "pending_cancel")
    assert await fetch("DELETE", path(order), "jane") == (200, leaving)
    sandbox.clock.advance(STEP)
    assert (await found(fetch, order))["status"] == "cancelled"
    status, refused = await fetch("DELETE", path(order), "jane")
    assert (status, refused) == (400, {"message": f"Order {order['order_id']} is already cancelled."})


async def test_the_same_id_on_the_same_day_is_a_409(fetch: Fetch, sandbox: Sandbox, place: Place, ticket: Any) -> None:
    order = await place()
    status, refused = await fetch("POST", "/orders", "jane", json=ticket)
    assert (status, list(refused)) == (409, ["message"])
    sent = {"new_cl_order_id": "one", "broker": "ALPACA", "order_qty": "7"}
    assert (await fetch("PATCH", path(order), "jane", json=sent))[0] == 409
    sandbox.clock.advance(86_400)
    assert (await place())["order_id"] != order["order_id"]


async def test_market_order_with_the_clock_running_is_filled_within_seconds(
    fetch: Fetch, sandbox: Sandbox, place: Place
) -> None:
    sandbox.clock.release()
    order = await place()
    assert (order["status"], order["filled_qty"]) == ("pending", "0")
    seen: list[str] = []
    with anyio.fail_after(10):
        while (now := await found(fetch, order))["status"] != "filled":
            seen.append(now["status"])
    assert set(seen) <= {"pending", "working", "partially_filled"}
    assert now["filled_qty"] == "5"
    assert sum(Decimal(fill["quantity"]) for fill in now["fills"]) == 5


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"account_id": None}, "account_id is needed"),
    ({"cl_order_id": ""}, "cl_order_id is needed"),
    ({"cl_order_id": "x" * 65}, "cl_order_id must be at most 64"),
    ({"cl_order_id": "a\nb"}, "cl_order_id must be at most 64"),
    ({"broker": None}, "broker is needed"),
    ({"broker": "ROBINHOOD"}, "There is no broker"),
    ({"broker": "PUBLIC"}, "broker must be ALPACA"),
    ({"side": None}, "side is needed"),
    ({"side": "BUY_TO_OPEN"}, "side must be one of BUY, SELL"),
    ({"side": "BUY_TO_COVER"}, "side BUY_TO_COVER is for TRADESTATION only"),
    ({"order_type": "LIMIT"}, "order_type must be one of MKT"),
    ({"order_tif": "GTD"}, "order_tif must be one of DAY"),
    ({"symbol": "aapl"}, "symbol 'aapl' is neither"),
    ({"symbol": "AAPL  260918C00230000"}, "is neither"),
    ({"symbol": None}, "symbol is needed, or legs"),
    ({"symbol": 5}, "symbol is needed"),
    ({"instrument": "OPT"}, "instrument must be STK"),
    ({"instrument": "FUT"}, "instrument must be one of"),
    ({"order_qty": None}, "Either order_qty or order_notional"),
    ({"order_notional": "5"}, "Either order_qty or order_notional"),
    ({"order_qty": 5}, "order_qty must be a number above 0"),
    ({"order_qty": "0"}, "order_qty must be a number above 0"),
    ({"order_qty": "0.000"}, "order_qty must be a number above 0"),
    ({"order_qty": "-1"}, "order_qty must be a number above 0"),
    ({"order_qty": "1e3"}, "order_qty must be a number above 0"),
    ({"order_qty": "NaN"}, "order_qty must be a number above 0"),
    ({"order_qty": "1.0000000001"}, "order_qty must be a number above 0"),
    ({"order_qty": " 1"}, "order_qty must be a number above 0"),
    ({"order_qty": "\u0661"}, "order_qty must be a number above 0"),
    ({"order_limit_price": "5"}, "order_limit_price is not wanted"),
    ({"order_type": "LMT"}, "order_limit_price is needed"),
    ({"order_type": "STP"}, "stop_price is needed"),
    ({"order_type": "STPLMT", "order_limit_price": "5"}, "stop_price is needed"),
    ({"order_type": "LMT", "order_limit_price": "5", "stop_price": "5"}, "stop_price is not wanted"),
]
CALL, HIGHER = "AAPL270115C00230000", "AAPL270115C00240000"
LEG = {"symbol": CALL, "action": "BUY_TO_OPEN", "ratio": "1"}
OTHER = {"symbol": HIGHER, "action": "SELL_TO_OPEN", "ratio": "1"}
SPREAD: dict[str, Any] = {"symbol": None, "side": "BUY_TO_OPEN", "legs": [LEG, OTHER]}
WRONG_SPREADS: list[tuple[dict[str, Any], str]] = [
    (SPREAD | {"legs": [LEG]}, "legs must be 2 to 4"),
    (SPREAD | {"legs": [LEG] * 5}, "legs must be 2 to 4"),
    (SPREAD | {"legs": [LEG, LEG]}, "legs must each have another symbol"),
    (SPREAD | {"legs": LEG}, "legs must be an array"),
    (SPREAD | {"legs": ["AAPL", LEG]}, "legs[0] must be an object"),
    (SPREAD | {"legs": [LEG, OTHER | {"ratio": "0"}]}, "legs[1].ratio must be a whole number"),
    (SPREAD | {"legs": [LEG, OTHER | {"ratio": 1}]}, "legs[1].ratio is needed"),
    (SPREAD | {"legs": [LEG, OTHER | {"action": "SELL"}]}, "legs[1].action must be one of"),
    (SPREAD | {"legs": [LEG, OTHER | {"symbol": "AAPL"}]}, "legs[1].symbol 'AAPL' is no OSI option"),
    (SPREAD | {"symbol": "AAPL"}, "not both"),
    (SPREAD | {"side": "BUY"}, "side must be one of BUY_TO_OPEN"),
    (SPREAD | {"order_qty": "1.5"}, "whole number of contracts"),
    (SPREAD | {"order_qty": None, "order_notional": "100"}, "order_notional is for stocks and cryptocurrency only"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG + WRONG_SPREADS)
async def test_an_order_that_makes_no_sense_is_a_400(
    fetch: Fetch, ticket: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    status, refused = await fetch("POST", "/orders", "jane", json=ticket | change)
    assert (status, list(refused)) == (400, ["message"])
    assert sentence in refused["message"]
    assert (await fetch("POST", "/orders", "jane", json=ticket))[0] == 200


async def test_a_spread_over_the_wire(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    order = await place(**SPREAD, order_qty="2", instrument="MLEG_OPT")
    assert (order["instrument"], order["symbol"], order["legs"]) == ("MLEG_OPT", None, [LEG, OTHER])
    sandbox.clock.advance(2 * STEP)
    assert (await found(fetch, order))["status"] == "filled"
    held = (await fetch("GET", f"/positions?symbols={CALL},{HIGHER}&account_id={order['account_id']}", "jane"))[1]
    assert [item["quantity"] for item in held] == ["2", "-2"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"symbol": "ZZTOP"}, "Unknown symbol ZZTOP: it is not listed."),
        ({"order_qty": "900000"}, "Insufficient buying power"),
        ({"side": "SELL", "order_qty": "900"}, "Insufficient quantity to SELL AAPL"),
        ({"symbol": "AAPL260601C00230000", "side": "BUY_TO_OPEN"}, "has expired."),
    ],
)
async def test_what_the_broker_does_not_like_is_a_rejected_order(
    fetch: Fetch, place: Place, ticket: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    order = await place(**change)
    assert order["status"] == "rejected"
    assert reason in order["reject_reason"]
    assert await found(fetch, order) == order
    assert (await fetch("POST", "/orders", "jane", json=ticket))[0] == 409


async def test_order_without_a_trade_connection_is_refused(
    fetch: Fetch, sandbox: Sandbox, connect: Connect, ticket: dict[str, Any]
) -> None:
    async def post(user: str, **changes: Any) -> int:
        return (await fetch("POST", "/orders", user, json=ticket | changes))[0]

    await connect("john", "ALPACA", "readonly")
    await connect("jack", "CHASE", "readonly")
    [john, jack] = [(await fetch("GET", "/accounts", name))[1][0]["account_id"] for name in ("john", "jack")]
    assert await post("john") == 404
    assert await post("john", account_id="none") == 404
    assert await post("john", account_id=john) == 401
    assert await post("jack", account_id=jack, broker="CHASE") == 400
    assert await post("jane") == 200
    sandbox.entitlements.trading = False
    assert await post("jane", cl_order_id="two") == 401


async def test_other_peoples_orders_are_not_there(fetch: Fetch, connect: Connect, place: Place) -> None:
    order = await place(order_type="LMT", order_limit_price="1")
    await connect("john")
    mine = (await fetch("GET", "/accounts", "john"))[1][0]["account_id"]
    sent = {"new_cl_order_id": "two", "broker": "ALPACA", "order_qty": "7"}
    for user, url in (
        ("john", path(order)),
        ("john", f"/accounts/{mine}/orders/{order['order_id']}"),
        ("jane", f"/accounts/{order['account_id']}/orders/none"),
    ):
        assert (await fetch("DELETE", url, user))[0] == 404
        assert (await fetch("PATCH", url, user, json=sent))[0] == 404
    assert (await found(fetch, order))["status"] == "pending"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"new_cl_order_id": None}, "new_cl_order_id is needed"),
        ({"broker": None}, "broker is needed"),
        ({"broker": "PUBLIC"}, "broker must be ALPACA"),
        ({"order_qty": None}, "At least one of order_qty"),
        ({"order_qty": "x"}, "order_qty must be a number above 0"),
        ({"order_notional": "100"}, "The order is by order_qty"),
        ({"stop_price": "100"}, "stop_price is not wanted"),
    ],
)
async def test_a_replacement_that_makes_no_sense_is_a_400(
    fetch: Fetch, place: Place, change: dict[str, Any], sentence: str
) -> None:
    order = await place(order_type="LMT", order_limit_price="1")
    sent = {"new_cl_order_id": "two", "broker": "ALPACA", "order_qty": "7"}
    status, refused = await fetch("PATCH", path(order), "jane", json=sent | change)
    assert (status, list(refused)) == (400, ["message"])
    assert sentence in refused["message"]
    assert (await fetch("PATCH", path(order), "jane", json=sent))[0] == 200
    status, refused = await fetch("PATCH", path(order), "jane", json=sent | {"new_cl_order_id": "three"})
    assert (status, "is being replaced by" in refused["message"]) == (400, True)


async def test_replacing_what_is_on_its_way_out_or_gone_is_a_400(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    order = await place(order_type="LMT", order_limit_price="1")
    await fetch("DELETE", path(order), "jane")
    sent = {"new_cl_order_id": "two", "broker": "ALPACA", "order_limit_price": "2"}
    for word in ("is being cancelled", "is already cancelled"):
        status, refused = await fetch("PATCH", path(order), "jane", json=sent)
        assert (status, word in refused["message"]) == (400, True)
        sandbox.clock.advance(STEP)


async def test_an_order_by_notional_is_replaced_by_notional(fetch: Fetch, sandbox: Sandbox, place: Place) -> None:
    sandbox.broker.halt()
    order = await place(order_qty=None, order_notional="250.50")
    assert (order["order_qty"], order["order_notional"]) == (None, "250.50")
    sent = {"new_cl_order_id": "two", "broker": "ALPACA", "order_notional": "300"}
    new = (await fetch("PATCH", path(order), "jane", json=sent))[1]
    sandbox.clock.advance(STEP)
    sandbox.broker.resume()
    sandbox.clock.advance(STEP)
    done = await found(fetch, new)
    assert (done["status"], len(done["filled_qty"].partition(".")[2]) <= 6) == ("filled", True)
