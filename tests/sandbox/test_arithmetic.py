"""The sandbox calculates the same in every decimal context of the program that runs it."""

import asyncio
import decimal
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.arithmetic import ARITHMETIC, with_arithmetic

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
CONTEXTS = st.builds(
    decimal.Context,
    prec=st.integers(1, 50),
    rounding=st.sampled_from([decimal.ROUND_UP, decimal.ROUND_DOWN, decimal.ROUND_HALF_UP, decimal.ROUND_CEILING]),
    traps=st.lists(st.sampled_from([decimal.Inexact, decimal.Rounded, decimal.FloatOperation]), unique=True),
)


async def story() -> list[Any]:
    """Connect, trade a stock and a pair, set a price, and return everything that the sandbox answers."""
    answers: list[Any] = []
    async with Sandbox(seed=7) as box, aiohttp.ClientSession() as http:
        box.clock.hold(NOON)
        user = box.world.create_user("jane")
        link = box.world.invite(user, "trade", "https://app.example/", box.clock.now())
        await box.approve(f"{box.url}/connect/{link.token}", "ALPACA")
        headers = {"client-id": box.client_id, "client-secret": box.client_secret}
        headers |= {"user-id": "jane", "user-secret": user.secret}

        async def request(method: str, path: str, body: Any = None) -> Any:
            async with http.request(method, box.url + path, headers=headers, json=body) as answer:
                answers.append((answer.status, json.loads(await answer.read())))
            return answers[-1][1]

        account = (await request("GET", "/accounts"))[0]["account_id"]
        ticket = {"account_id": account, "broker": "ALPACA", "side": "BUY", "order_type": "MKT", "order_tif": "DAY"}
        await request("POST", "/orders", ticket | {"cl_order_id": "a", "symbol": "AAPL", "order_notional": "77.77"})
        await request(
            "POST", "/orders", ticket | {"cl_order_id": "b", "symbol": "DOGE/USD", "order_qty": "0.123456789"}
        )
        box.broker.set_price("MSFT", Decimal("401.23"))
        box.clock.advance(60)
        answers.append(str(box.broker.quote("MSFT")))
        for path in ("/orders?status=all&limit=500", "/positions", "/balances", "/transactions"):
            await request("GET", path)
    return answers


@settings(max_examples=10, deadline=None)
@given(CONTEXTS)
def test_sandbox_answers_alike_in_every_decimal_context(context: decimal.Context) -> None:
    expected = asyncio.run(story())
    before = context.copy()
    with decimal.localcontext(context):
        assert asyncio.run(story()) == expected
        assert decimal.getcontext().prec == before.prec
    assert {entry[0] for entry in expected if isinstance(entry, tuple)} == {200}


def test_with_arithmetic_leaves_the_context_of_the_caller_alone() -> None:
    third = with_arithmetic(lambda: Decimal(1) / 3)
    with decimal.localcontext(decimal.Context(prec=3)):
        assert third() == ARITHMETIC.divide(Decimal(1), Decimal(3))
        assert str(Decimal(1) / 3) == "0.333"


def test_with_arithmetic_restores_the_context_after_an_error() -> None:
    fail = with_arithmetic(lambda: Decimal(1) / 0)
    with decimal.localcontext(decimal.Context(prec=4, traps=[])):
        with pytest.raises(decimal.DivisionByZero):
            fail()
        assert decimal.getcontext().prec == 4
