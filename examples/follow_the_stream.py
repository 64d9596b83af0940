"""Follow the fills of all users over the brokerage stream: each is told once, also those that a lost link swallowed.

It makes its own sandbox, which cuts the link in the middle. ``follow`` and ``Fills`` are what you would take home.
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
    """What is known to be filled of each order. The stream and REST may both tell of it, in either order."""

    def __init__(self) -> None:
        self._known: dict[str, Decimal] = {}

    def new_in(self, order: Order) -> Decimal:
        """How much of an order was filled since it was last looked at; an update may not tell, or be an old one."""
        known = self._known.get(order.order_id, NONE)
        filled = max(known, order.filled_qty or NONE)
        self._known[order.order_id] = filled
        return filled - known


async def all_orders(users: list[User]) -> AsyncIterator[tuple[str, Order]]:
    """Ask for everybody's orders. A call that fails raises: what is not known must not be taken for nothing."""
    for user in users:
        async for order in user.orders.list(status="all", limit=500):
            yield user.user_id, order


async def follow(ct: ConnectTrade, users: list[User], told: asyncio.Queue[str]) -> None:
    """Tell every fill from now on, once."""
    fills = Fills()

    def tell(user_id: str | None, order: Order, how: str) -> None:
        if new := fills.new_in(order):
            told.put_nowait(f"{user_id}: {new} {order.symbol} {how}, the order is {order.status}")

    async with ct.brokerage_stream(topics=("orders",)) as stream, stream.subscribe("orders") as events:
        async for _, order in all_orders(users):  # listen first, then look: nothing can happen in between
            fills.new_in(order)
        told.put_nowait("following")
        async for event in events:
            match event:
                case OrderUpdate(order=order, user_id=user_id):
                    tell(user_id, order, "filled")
                case Gap(cause=cause):
                    # What happened meanwhile is not sent again, so look; what comes now waits in the queue.
                    told.put_nowait(f"{cause}, so look again")
                    async for user_id, order in all_orders(users):
                        tell(user_id, order, "filled while nobody listened")
                case _:
                    print("nothing else was subscribed:", event)


async def follow_until_refused(ct: ConnectTrade, users: list[User], told: asyncio.Queue[str]) -> str:
    """Follow, and return what somebody has to do before it can go on. Whatever passes by itself is waited out."""
    try:
        await follow(ct, users, told)
    except AuthenticationRefusedError as refused:
        return f"check the credentials: {refused.cause}"
    except SessionTakenError as taken:
        return f"only one program may follow: {taken.cause}"
    except SlowConsumerError as slow:
        return f"do less for each event, or elsewhere: {slow}"
    return "closed"


async def main() -> None:
    """Let an order be filled in three parts, the second of which nobody hears; then let another program come."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
        await sandbox.approve(request.url)
        account_id = (await user.accounts.list())[0].account_id

        told: asyncio.Queue[str] = asyncio.Queue()
        following = asyncio.create_task(follow_until_refused(ct, [user], told))
        print(await told.get())
        ticket = tickets.limit("MSFT", "BUY", qty=6, price="100.50", account_id=account_id, broker="ALPACA")
        order = await user.orders.place(ticket)
        sandbox.broker.fill(order.order_id, 1)
        print(await told.get())
        sandbox.stream.reset()
        sandbox.broker.fill(order.order_id, 2)
        print(await told.get())
        print(await told.get())
        sandbox.broker.fill(order.order_id, 3)
        print(await told.get())
        sandbox.stream.displace()
        print(await following)


if __name__ == "__main__":
    asyncio.run(main())
