"""Cookbook: what have all my positions gained or lost since they were opened?

It reads the user from the environment, on the live API or on a sandbox, as all_orders.py explains.
"""

from __future__ import annotations

import asyncio
import os

from connecttrade_async import ConnectTrade, analytics


async def main() -> None:
    """One call. A value that a broker does not provide is counted as missing, and never taken for zero."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        total = analytics.total_unrealized_pl(await user.positions.list())
        print(f"unrealized: {total.total} in {total.counted} positions; {total.missing} gave no number")


if __name__ == "__main__":
    asyncio.run(main())
