"""Options: a single one by its OSI symbol, and the strategies that have names, each as one order.

It makes its own sandbox. The broker must allow options on the account.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from connecttrade_async import ConnectTrade, symbology, tickets
from connecttrade_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from connecttrade_async import OrderTicket

FRIDAY = 4


class AccountArguments(TypedDict):
    """The account of an order, as keyword arguments of the builders."""

    account_id: str
    broker: str


def strategies(expiry: date, middle: int, account: AccountArguments) -> Iterator[tuple[str, OrderTicket]]:
    """Yield one ticket of each kind. A price is the net price of one unit; None means a market order."""
    call = symbology.build_option("SPY", expiry, "C", middle)
    yield "call", tickets.limit(str(call), "BUY_TO_OPEN", qty=1, price=25, **account)
    yield (
        "bull call spread",
        tickets.bull_call_spread("SPY", expiry=expiry, low=middle, high=middle + 10, price=9, qty=1, **account),
    )
    yield (
        "bear put spread",
        tickets.bear_put_spread("SPY", expiry=expiry, low=middle - 10, high=middle, price=9, qty=1, **account),
    )
    yield "long straddle", tickets.long_straddle("SPY", expiry=expiry, strike=middle, price=None, qty=1, **account)
    yield (
        "iron condor",
        tickets.iron_condor(
            "SPY",
            expiry=expiry,
            put_low=middle - 20,
            put_high=middle - 10,
            call_low=middle + 10,
            call_high=middle + 20,
            price="1.50",
            qty=1,
            **account,
        ),
    )
    yield (
        "ratio spread",
        tickets.ratio_spread("SPY", expiry=expiry, right="C", buy=middle, sell=middle + 40, price=20, qty=1, **account),
    )


async def main() -> None:
    """Place one order of each kind, let a second pass, and print what became of them."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="TRADESTATION")
        await sandbox.approve(request.url)
        account = (await user.accounts.list())[0]
        in_a_month = sandbox.clock.now().date() + timedelta(days=30)
        expiry = in_a_month + timedelta(days=(FRIDAY - in_a_month.weekday()) % 7)
        middle = int(sandbox.broker.quote("SPY").last) // 5 * 5
        for name, ticket in strategies(expiry, middle, {"account_id": account.account_id, "broker": "TRADESTATION"}):
            await user.orders.place(ticket)
            sandbox.clock.advance(1)
            order = await user.orders.find(ticket.cl_order_id)
            outcome = "not listed" if order is None else f"{order.status} at {order.avg_fill_price}"
            print(f"{name}: {ticket.side}, {len(ticket.legs) or 1} in one order, {outcome}")


if __name__ == "__main__":
    asyncio.run(main())
