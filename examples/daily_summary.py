"""Cookbook: how did the day go? Cash, buying power, and gain or loss in each symbol.

It reads the user from the environment, on the live API or on a sandbox, as all_orders.py explains.
"""

from __future__ import annotations

import asyncio
import os

from connecttrade_async import ConnectTrade, analytics


async def main() -> None:
    """One call, over all accounts; each number says how much of it is missing."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        balances, positions = await asyncio.gather(user.balances.list(), user.positions.list())
    summary = analytics.daily_summary(balances, positions)
    print(f"cash {summary.cash}")
    print(f"buying power {summary.buying_power}")
    for profit in summary.symbols:
        print(f"{profit.symbol}: today {profit.daily_pl}, unrealized {profit.unrealized_pl}")
    print(f"today in all {summary.daily_pl}")


if __name__ == "__main__":
    asyncio.run(main())
