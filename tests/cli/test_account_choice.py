"""The account of an order, also with responses that hold only the required fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from click.testing import Result

    Call = Callable[..., Awaitable[Result]]


class PlainBroker:
    """An API that answers the least, and keeps what it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.accounts: list[dict[str, str]] = [{"account_id": "a-1"}]
        self.orders: list[dict[str, Any]] = [{"order_id": "o-1", "cl_order_id": "mine", "status": "working"}]
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response(self.accounts if request.path == "/accounts" else self.orders)
        body: dict[str, Any] = await request.json() if request.can_read_body else {}
        self.sent.append((request.method, request.path, body))
        return web.json_response({"order_id": "o-2", "status": "brand_new"})


@pytest.fixture
async def broker() -> AsyncIterator[PlainBroker]:
    broker = PlainBroker()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", broker.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    broker.url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
    yield broker
    await runner.cleanup()


async def test_account_choice_without_an_option_takes_the_only_account(call: Call, broker: PlainBroker) -> None:
    broker.accounts[0]["broker"] = "PUBLIC"
    result = await call("buy", "AAPL", "1", "--yes", CONNECTTRADE_API_URL=broker.url)
    assert result.stdout == (
        "Placed: buy 1 AAPL at the market's price, now brand new; `connecttrade orders --find o-2` shows more.\n"
    )
    assert broker.sent[0][2]["account_id"] == "a-1"
    assert broker.sent[0][2]["broker"] == "PUBLIC"


async def test_account_choice_without_a_broker_requires_the_option(call: Call, broker: PlainBroker) -> None:
    result = await call("buy", "AAPL", "1", "--yes", CONNECTTRADE_API_URL=broker.url)
    assert result.exit_code == 2
    assert "the account a-1 names no broker: give one with --broker" in result.stderr
    for line in (["buy", "AAPL", "1"], ["replace", "mine", "--qty", "2"]):
        result = await call(*line, "--yes", "--broker", "schwab", CONNECTTRADE_API_URL=broker.url)
        assert result.exit_code == 0
    assert [body["broker"] for _, _, body in broker.sent] == ["schwab", "schwab"]
    assert result.stdout.startswith("Replaced: order o-1, now brand new; ")
    assert broker.sent[-1][:2] == ("PATCH", "/accounts/a-1/orders/o-1")


async def test_account_choice_lists_accounts_of_equal_numbers_by_id(call: Call, broker: PlainBroker) -> None:
    broker.accounts = [{"account_id": name, "account_number": "****1", "broker": "PUBLIC"} for name in ("a-1", "a-2")]
    result = await call("buy", "AAPL", "1", "--yes", "--account", "****1", CONNECTTRADE_API_URL=broker.url)
    assert result.exit_code == 2
    assert "a-1 at PUBLIC, a-2 at PUBLIC" in result.stderr
    result = await call("buy", "AAPL", "1", "--yes", "--account", "a-2", CONNECTTRADE_API_URL=broker.url)
    assert "****1 at PUBLIC" in result.stderr
    assert broker.sent[0][2]["account_id"] == "a-2"
    broker.accounts = []
    result = await call("buy", "AAPL", "1", "--yes", CONNECTTRADE_API_URL=broker.url)
    assert (result.exit_code, len(broker.sent)) == (2, 1)
    assert "`connecttrade connect` connects a broker" in result.stderr


async def test_cancel_of_an_order_without_an_account_uses_the_only_account(
    call: Call,
    broker: PlainBroker,
) -> None:
    broker.accounts[0]["broker"] = "PUBLIC"
    result = await call("cancel", "mine", "--yes", CONNECTTRADE_API_URL=broker.url)
    assert result.stdout.startswith("Cancellation requested: order o-1, now brand new; ")
    assert broker.sent[0][:2] == ("DELETE", "/accounts/a-1/orders/o-1")


async def test_json_output_adds_nothing_to_the_response(call: Call, broker: PlainBroker) -> None:
    broker.orders[0] |= {"filled_qty": "not a number", "order_qty": "soon", "symbol": "\x1b[2J"}
    result = await call("orders", "--find", "o-1", "--json", CONNECTTRADE_API_URL=broker.url)
    assert json.loads(result.stdout)["filled_qty"] == "not a number"
