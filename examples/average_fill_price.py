"""Cookbook: what did I pay for a share on average?

It reads the user from the environment, on the live API or on a sandbox, as all_orders.py explains. An argument names
another symbol than AAPL.
"""

from __future__ import annotations

import asyncio
import os
import sys

from connecttrade_async import ConnectTrade, analytics


async def main(symbol: str) -> None:
    """One call over all the orders that bought it, weighted by volume."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        bought = [order async for order in user.orders.list(status="all", side="BUY", symbols=symbol)]
        average = analytics.average_fill_price(bought)
        print(f"{symbol}: {average.quantity} bought at {average.price} on average, in {average.counted} executions")
        if average.missing:
            print(f"{average.missing} more have no price or no quantity, and are left out")


if __name__ == "__main__":
    asyncio.run(main((*sys.argv, "AAPL")[1]))
