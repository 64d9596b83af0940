"""An order with a lost answer, in every way: how often it was placed is known on this side of the wire."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import LOSSES, Fault, Sandbox

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]


def headers(sandbox: Sandbox) -> dict[str, str]:
    jane = sandbox.world.users["jane"]
    names = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
    return names | {"user-id": "jane", "user-secret": jane.secret}


def ticket(account: str, name: str = "mine") -> dict[str, str]:
    members = {"account_id": account, "cl_order_id": name, "broker": "ALPACA", "symbol": "AAPL"}
    return members | {"side": "BUY", "order_type": "MKT", "order_tif": "DAY", "order_qty": "1"}


def placed(sandbox: Sandbox, account: str, name: str = "mine") -> int:
    return sum(order.cl_order_id == name for order in sandbox.broker.orders(account))


@pytest.fixture
async def account(sandbox: Sandbox, connect: Connect) -> str:
    await connect()
    return next(sandbox.world.accounts(sandbox.world.users["jane"]))[1].account_id


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.when}")
async def test_an_answer_is_lost(fetch: Fetch, sandbox: Sandbox, account: str, fault: Fault) -> None:
    sandbox.faults.add(fault)
    with suppress(aiohttp.ClientError):
        status, _ = await fetch("POST", "/orders", "jane", json=ticket(account))
        assert status >= 500
    is_done = fault.is_after or fault.kind == "cut_body"
    assert placed(sandbox, account) == is_done
    assert sandbox.requests.count("POST", "/orders", worked=True) == is_done
    assert (await fetch("POST", "/orders", "jane", json=ticket(account)))[0] == (409 if is_done else 200)
    assert placed(sandbox, account) == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.when}")
async def test_the_answer_to_a_change_is_lost(
    fetch: Fetch, sandbox: Sandbox, account: str, fault: Fault, method: str
) -> None:
    sandbox.broker.halt()
    order = (await fetch("POST", "/orders", "jane", json=ticket(account)))[1]
    sandbox.faults.add(fault)
    await change(sandbox, method, f"/accounts/{account}/orders/{order['order_id']}")
    sandbox.clock.advance(0.02)
    is_done = fault.is_after or fault.kind == "cut_body"
    ends = {"PATCH": "replaced", "DELETE": "cancelled"}
    assert sandbox.broker.order(order["order_id"]).status == (ends[method] if is_done else "working")
    assert placed(sandbox, account, "new") == (is_done and method == "PATCH")


async def change(sandbox: Sandbox, method: str, path: str) -> None:
    """Fetch over a bare socket, for aiohttp would fetch again by itself."""
    body = json.dumps({"new_cl_order_id": "new", "broker": "ALPACA", "order_qty": "2"})
    lines = [f"{method} {path} HTTP/1.1", "Host: sandbox", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers(sandbox).items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    with suppress(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_looking_fails_three_times_and_then_works(fetch: Fetch, sandbox: Sandbox, account: str) -> None:
    sandbox.faults.add(Fault("drop", method="POST", path="/orders"))
    sandbox.faults.add(Fault("status", method="GET", path="/orders", times=3, status=503))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await fetch("POST", "/orders", "jane", json=ticket(account))
    answers = [await fetch("GET", "/orders?status=all", "jane") for _ in range(4)]
    assert [status for status, _ in answers] == [503, 503, 503, 200]
    assert [order["cl_order_id"] for order in answers[3][1]].count("mine") == 1


async def test_a_hundred_schedules_of_losses_in_a_moment() -> None:
    async with aiohttp.ClientSession() as http:
        for seed in range(100):
            async with Sandbox(seed=7) as sandbox:
                await lose(http, sandbox, seed)


async def lose(http: aiohttp.ClientSession, sandbox: Sandbox, seed: int) -> None:
    """Place an order again and again, whatever comes back, until one answer says that it is there."""
    jane = sandbox.world.create_user("jane")
    link = sandbox.world.invite(jane, "trade", "https://app.example/", sandbox.clock.now())
    await sandbox.approve(f"{sandbox.url}/connect/{link.token}", "ALPACA")
    account = next(sandbox.world.accounts(jane))[1].account_id
    sandbox.faults.schedule(seed, requests=4, share=0.7, method="POST", path="/orders")
    for _ in range(5):
        with suppress(aiohttp.ClientError):
            async with http.post(f"{sandbox.url}/orders", headers=headers(sandbox), json=ticket(account)) as answer:
                await answer.read()
                if answer.status in {200, 409}:
                    break
    assert placed(sandbox, account) == 1
