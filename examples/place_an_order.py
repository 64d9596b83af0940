"""Place an order, replace it, cancel it; and handle an order with an unknown outcome.

It makes its own sandbox, with a fault in it. ``place`` is the part to reuse.
"""

from __future__ import annotations

import asyncio

from connecttrade_async import (
    APIError,
    ConnectTrade,
    Order,
    OrderOutcomeUnknownError,
    OrderTicket,
    TicketError,
    Timeouts,
    User,
    tickets,
)
from connecttrade_async.sandbox import Fault, Sandbox

REDIRECT = "https://app.example/done"


async def place(user: User, ticket: OrderTicket) -> Order | None:
    """Place an order; return it, or None if it certainly does not exist.

    Keep ``ticket.cl_order_id`` before the call: with it the order can be found even if this process dies.
    """
    try:
        return await user.orders.place(ticket)
    except OrderOutcomeUnknownError as unknown:
        print(f"outcome unknown, so the order is looked up again: {unknown.cl_order_id}")
        return await unknown.resolve(timeout=60)  # never place it again: it may be live
    except APIError as refused:
        print(f"refused: {refused.message}")
        return None


async def trade(user: User, sandbox: Sandbox, account_id: str) -> None:
    """Trade one order from its ticket to its end, and one with a lost response."""
    try:
        tickets.limit("MSFT", "BUY", qty=0, price="1e3", account_id=account_id, broker="ALPACA")
    except TicketError as error:
        for problem in error.problems:
            print(f"not sent: {problem}")

    ticket = tickets.limit("MSFT", "BUY", qty=1, price="100.50", account_id=account_id, broker="ALPACA")
    print("would send", await user.orders.place(ticket, dry_run=True))
    order = await place(user, ticket)
    if order is None:
        return
    print(f"placed: {order.order_qty} at {order.order_limit_price}, {order.status}")
    sandbox.clock.advance(1)
    order = await user.orders.replace(order, qty=2)
    print(f"replaced: {order.order_qty} at {order.order_limit_price}, {order.status}")
    sandbox.clock.advance(1)
    order = await user.orders.cancel(order)
    print(f"cancelled: {order.status}")

    sandbox.faults.add(Fault("drop", method="POST", path="/orders", when="after"))
    sandbox.faults.add(Fault("status", method="GET", path="/orders", status=500, times=3))
    order = await place(user, tickets.market("AAPL", "BUY", qty=1, account_id=account_id, broker="ALPACA"))
    print(f"found: {order.status if order else 'nothing'}")


async def main() -> None:
    """Make a sandbox with a user in it, and trade."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(
            sandbox.client_id,
            sandbox.client_secret,
            endpoints=sandbox.endpoints,
            timeouts=Timeouts(settle=0.2),  # short, to show an unknown outcome; keep the default
        ) as ct,
    ):
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url=REDIRECT, broker="ALPACA")
        await sandbox.approve(request.url)
        account = (await user.accounts.list())[0]
        await trade(user, sandbox, account.account_id)
        bought = [one async for one in user.orders.list(status="all", symbols="AAPL", sort="desc", limit=500)]
        posts = sandbox.requests.count("POST", "/orders")
        print(f"orders sent: {posts}, the newest in AAPL: {bought[0].order_qty}, {bought[0].status}")


if __name__ == "__main__":
    asyncio.run(main())
