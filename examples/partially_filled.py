"""Cookbook: which of my orders are partially filled?

It reads the user from the environment, on the live API or on a sandbox, as all_orders.py explains.
"""

from __future__ import annotations

import asyncio
import os

from connecttrade_async import ConnectTrade, analytics


async def main() -> None:
    """One call. Orders that were cancelled after a partial fill are included: see their status."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        orders = [order async for order in user.orders.list(status="all", limit=500)]
    for order in analytics.partially_filled(orders):
        quantity = order.order_qty if order.order_qty is not None else f"${order.order_notional}"
        print(f"{order.order_id}: {order.filled_qty} of {quantity} {order.symbol}, {order.status}")


if __name__ == "__main__":
    asyncio.run(main())
