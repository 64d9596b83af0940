"""What the other side writes never steers a terminal, whatever the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from click.testing import Result

    Call = Callable[..., Awaitable[Result]]

# Screen clearing, a window title, C1 controls, a reversal of the direction, separators of lines, a bell and a null.
HOSTILE = "x\x1b[2J\x1b]0;t\x07\x9b31m\x85\u202ey\u2066\u2028\u2029\r\nz\x00\x7f\u200f"
LIST = [
    {
        "user_id": HOSTILE,
        "connection_id": HOSTILE,
        "connection_type": HOSTILE,
        "status": HOSTILE,
        "broker_status": HOSTILE,
        "reject_reason": HOSTILE,
        "broker": HOSTILE,
        "account_id": HOSTILE,
        "account_number": HOSTILE,
        "institution_name": HOSTILE,
        "currency": HOSTILE,
        "cash": HOSTILE,
        "buying_power": HOSTILE,
        "symbol": HOSTILE,
        "instrument": HOSTILE,
        "quantity": HOSTILE,
        "unrealized_pl": HOSTILE,
        "market_value": HOSTILE,
        "order_id": HOSTILE,
        "cl_order_id": HOSTILE,
        "side": HOSTILE,
        "order_type": HOSTILE,
        "order_tif": HOSTILE,
        "order_qty": HOSTILE,
        "filled_qty": HOSTILE,
        "order_limit_price": HOSTILE,
        "avg_fill_price": HOSTILE,
        "created_at": HOSTILE,
        "updated_at": HOSTILE,
        "fills": [{"fill_id": HOSTILE, "time": HOSTILE, "quantity": HOSTILE, "price": HOSTILE}],
        "transaction_id": HOSTILE,
        "type": HOSTILE,
        "date": HOSTILE,
        "amount": HOSTILE,
        "description": HOSTILE,
        "accounts": [{"account_id": HOSTILE, "account_number": HOSTILE, "institution_name": HOSTILE}],
    }
]
COMMANDS = [
    "users",
    "connections",
    "accounts",
    "balances",
    "positions",
    "orders",
    "orders --status all",
    "orders --find mine",
    "transactions",
    "buy AAPL 1 --account a --broker PUBLIC --yes",
    "buy AAPL 1 --account a --broker PUBLIC --dry-run",
    "replace mine --qty 2 --broker PUBLIC --dry-run",
    "buy AAPL 1 --yes",
    "buy AAPL 1 --account a --yes",
    "replace mine --qty 2 --yes",
    "cancel mine --yes",
    "poll accounts --times 1",
    "poll positions --times 1",
]


async def served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://127.0.0.1:{1}".format(*runner.addresses[0])
    await runner.cleanup()


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            mine: list[dict[str, Any]] = [LIST[0] | {"cl_order_id": "mine", "order_id": "o-1", "account_id": "a"}]
            return web.json_response(mine if request.path in {"/orders", "/accounts"} else LIST)
        return web.json_response(LIST[0])

    async for url in served(answer):
        yield url


@pytest.fixture
async def refusing() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"message": HOSTILE}, status=400 if request.method == "GET" else 401)

    async for url in served(answer):
        yield url


def is_harmless(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["", " --json"])
async def test_a_brokers_texts_do_not_steer_the_terminal(call: Call, hostile: str, command: str, form: str) -> None:
    result = await call(*(command + form).split(), CONNECTTRADE_API_URL=hostile)
    assert is_harmless(result.stdout), ascii(result.stdout)
    assert is_harmless(result.stderr), ascii(result.stderr)
    assert result.stdout + result.stderr


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_errors_words_do_not_steer_the_terminal(call: Call, refusing: str, command: str) -> None:
    result = await call(*command.split(), CONNECTTRADE_API_URL=refusing)
    assert is_harmless(result.stdout), ascii(result.stdout)
    assert is_harmless(result.stderr), ascii(result.stderr)
    assert result.stderr


async def test_json_is_escaped_and_reads_as_it_came(call: Call, hostile: str) -> None:
    result = await call("accounts", "--json", CONNECTTRADE_API_URL=hostile)
    assert json.loads(result.stdout)["institution_name"] == HOSTILE
