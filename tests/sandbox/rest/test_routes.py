"""Strict mode: the sandbox refuses names that the wire contract does not have, and takes all that it has."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connecttrade_async.sandbox import Sandbox

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]

KNOWN = {
    "/accounts": "broker=ALPACA",
    "/balances": "",
    "/positions": "symbols=AAPL,MSFT",
    "/orders": "status=all&symbols=AAPL&side=BUY&sort=asc&limit=5&start_time=1767225600&end_time=1796000000",
    "/transactions": "start_date=2026-01-01&end_date=2026-12-31",
    "/connections": "",
}


@pytest.mark.parametrize("path", sorted(KNOWN))
async def test_strict_sandbox_takes_every_known_parameter(
    fetch: Fetch, connect: Connect, sandbox: Sandbox, path: str
) -> None:
    await connect()
    sandbox.strict = True
    assert (await fetch("GET", f"{path}?{KNOWN[path]}", "jane"))[0] == 200


@pytest.mark.parametrize("name", ["symbol", "Symbols", "acount_id", "offset", "status "])
@pytest.mark.parametrize("path", [*sorted(KNOWN), "/users"])
async def test_strict_sandbox_refuses_an_unknown_parameter_by_name(
    fetch: Fetch, connect: Connect, sandbox: Sandbox, path: str, name: str
) -> None:
    await connect()
    url = f"{path}?{name.replace(' ', '%20')}=AAPL"
    assert (await fetch("GET", url, "jane"))[0] == 200
    sandbox.strict = True
    assert await fetch("GET", url, "jane") == (400, {"message": f"Unknown query parameters: {name}."})


async def test_strict_sandbox_refuses_an_unknown_member_of_a_body(
    fetch: Fetch, connect: Connect, sandbox: Sandbox
) -> None:
    await connect()
    account = (await fetch("GET", "/accounts", "jane"))[1][0]
    order = {
        "account_id": account["account_id"],
        "broker": "ALPACA",
        "cl_order_id": "one",
        "instrument": None,
        "legs": None,
        "order_limit_price": "1",
        "order_notional": None,
        "order_qty": "1",
        "order_tif": "DAY",
        "order_type": "LMT",
        "side": "BUY",
        "stop_price": None,
        "symbol": "AAPL",
    }
    sandbox.strict = True
    refused = await fetch("POST", "/orders", "jane", json=order | {"qty": "1", "note": "x"})
    assert refused == (400, {"message": "Unknown members of the body: note, qty."})
    assert (await fetch("POST", "/users", json={"user_id": "eve", "name": "Eve"}))[0] == 400
    assert (await fetch("POST", "/users", json={"user_id": "eve"}))[0] == 200
    status, placed = await fetch("POST", "/orders", "jane", json=order)
    assert status == 200
    path = f"/accounts/{account['account_id']}/orders/{placed['order_id']}"
    assert (await fetch("PATCH", path, "jane", json={"new_cl_order_id": "two", "broker": "ALPACA", "qty": "2"}))[
        0
    ] == 400


async def test_strict_mode_is_set_by_keyword_and_on_the_control_path(fetch: Fetch, sandbox: Sandbox) -> None:
    assert await fetch("GET", "/_sandbox/strict") == (200, {"strict": False})
    assert await fetch("POST", "/_sandbox/strict", json={"strict": True}) == (200, {"strict": True})
    assert sandbox.strict
    for wrong in ({"strict": "yes"}, {}, {"strict": False, "more": 1}):
        assert (await fetch("POST", "/_sandbox/strict", json=wrong))[0] == 400
    async with Sandbox(strict=True) as other:
        assert other.strict
