"""Follow the fills of all users over the brokerage stream: each is reported once, also those lost in a gap.

It makes its own sandbox, which drops the connection once. ``follow`` and ``Fills`` are the parts to reuse.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from connecttrade_async import (
    AuthenticationRefusedError,
    ConnectTrade,
    Gap,
    Order,
    OrderUpdate,
    SessionTakenError,
    SlowConsumerError,
    User,
    tickets,
)
from connecttrade_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NONE = Decimal(0)


class Fills:
    """The known filled quantity of each order. The stream and REST may both report a fill, in either order."""

    def __init__(self) -> None:
        self._known: dict[str, Decimal] = {}

    def new_in(self, order: Order) -> Decimal:
        """Return the quantity filled since the last call; an update may be old, or contain no quantity."""
        known = self._known.get(order.order_id, NONE)
        filled = max(known, order.filled_qty or NONE)
        self._known[order.order_id] = filled
        return filled - known


async def all_orders(users: list[User]) -> AsyncIterator[tuple[str, Order]]:
    """Yield the orders of all users. A failed request raises, so that missing data is never taken for no orders."""
    for user in users:
        async for order in user.orders.list(status="all", limit=500):
            yield user.user_id, order


async def follow(ct: ConnectTrade, users: list[User], lines: asyncio.Queue[str]) -> None:
    """Report every fill from now on, once."""
    fills = Fills()

    def report(user_id: str | None, order: Order, how: str) -> None:
        if new := fills.new_in(order):
            lines.put_nowait(f"{user_id}: {new} {order.symbol} {how}, the order is {order.status}")

    async with ct.brokerage_stream(topics=("orders",)) as stream, stream.subscribe("orders") as events:
        async for _, order in all_orders(users):  # subscribe first, then read: so no fill is lost in between
            fills.new_in(order)
        lines.put_nowait("following")
        async for event in events:
            match event:
                case OrderUpdate(order=order, user_id=user_id):
                    report(user_id, order, "filled")
                case Gap(cause=cause):
                    # The stream does not repeat events, so read all orders again. New events wait in the queue.
                    lines.put_nowait(f"{cause}, so all orders are read again")
                    async for user_id, order in all_orders(users):
                        report(user_id, order, "filled during the gap")
                case _:
                    print("unexpected event:", event)


async def follow_until_refused(ct: ConnectTrade, users: list[User], lines: asyncio.Queue[str]) -> str:
    """Follow, and return what a person must do before it can continue. The stream reconnects by itself."""
    try:
        await follow(ct, users, lines)
    except AuthenticationRefusedError as refused:
        return f"check the credentials: {refused.cause}"
    except SessionTakenError as taken:
        return f"only one program may follow: {taken.cause}"
    except SlowConsumerError as slow:
        return f"do less for each event, or elsewhere: {slow}"
    return "closed"


async def main() -> None:
    """Fill an order in three parts, the second during a gap; then let another program take the session."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
        await sandbox.approve(request.url)
        account_id = (await user.accounts.list())[0].account_id

        lines: asyncio.Queue[str] = asyncio.Queue()
        following = asyncio.create_task(follow_until_refused(ct, [user], lines))
        print(await lines.get())
        ticket = tickets.limit("MSFT", "BUY", qty=6, price="100.50", account_id=account_id, broker="ALPACA")
        order = await user.orders.place(ticket)
        sandbox.broker.fill(order.order_id, 1)
        print(await lines.get())
        sandbox.stream.reset()
        sandbox.broker.fill(order.order_id, 2)
        print(await lines.get())
        print(await lines.get())
        sandbox.broker.fill(order.order_id, 3)
        print(await lines.get())
        sandbox.stream.displace()
        print(await following)


if __name__ == "__main__":
    asyncio.run(main())
