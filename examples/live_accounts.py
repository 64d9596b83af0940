"""Keep an account's book complete through a connection loss in the middle of a fill, on the embedded sandbox.

``follow`` is the part to reuse: a program that acts on every fill.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connecttrade_async import ConnectTrade, Gap, OrderChanged, User, tickets
from connecttrade_async.config import Reconnect
from connecttrade_async.sandbox import Sandbox

if TYPE_CHECKING:
    from connecttrade_async import LiveAccounts

BROKER = "ALPACA"


async def follow(live: LiveAccounts, account_id: str) -> None:
    """Print every fill once, with the cause of the change."""
    async with live.changes("orders", account_id=account_id) as changes:
        async for change in changes:
            match change:
                case OrderChanged(after=order, fills=fills, cause=cause):
                    for fill in fills:
                        print(f"filled: {fill.quantity} {order.symbol} at {fill.price} ({cause})")
                case Gap(dropped=dropped):
                    print(f"{dropped} changes were dropped: this program was too slow")
                case _:
                    pass


async def connected_user(ct: ConnectTrade, sandbox: Sandbox) -> tuple[User, str]:
    """Make a user with a broker connected; return an account too."""
    user = ct.user("ada", (await ct.users.create("ada")).user_secret)
    request = await user.connections.create("trade", redirect_url="https://app.example/done", broker=BROKER)
    await sandbox.approve(request.url)
    return user, (await user.accounts.list())[0].account_id


async def main() -> None:
    """Place an order, and drop the connection while it is filled."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(
            sandbox.client_id,
            sandbox.client_secret,
            endpoints=sandbox.endpoints,
            reconnect=Reconnect(base=0.01),
        ) as ct,
    ):
        user, account_id = await connected_user(ct, sandbox)
        async with ct.live([user]) as live:
            follower = asyncio.create_task(follow(live, account_id))
            ticket = tickets.limit("MSFT", "BUY", qty=10, price="1.00", account_id=account_id, broker=BROKER)
            order = await user.orders.place(ticket)
            await live.wait(lambda live: order.order_id in live.book(account_id).orders, timeout=10)
            sandbox.broker.fill(order.order_id, 4, "1.00")
            await live.wait(lambda live: live.book(account_id).orders[order.order_id].filled_qty == 4, timeout=10)  # noqa: PLR2004
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 6, "0.99")  # no stream delivers this fill
            done = await live.order_done(order, timeout=10)
            await live.wait(lambda live: live.is_current, timeout=10)
            book = live.book(account_id)
            print(f"{done.status}: {done.filled_qty} {done.symbol} at {done.avg_fill_price} on average")
            print(book)
        await follower


if __name__ == "__main__":
    asyncio.run(main())
