"""Three ways through a user's orders: every one, page by page, and back to the newer ones.

It reads the user from the environment, on the live API or on a sandbox:

    connecttrade sandbox                                        # in another terminal; export the lines it prints
    eval "$(connecttrade users create ada)"
    connecttrade connect --redirect-url https://app.example/done
    python examples/all_orders.py
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING

from connecttrade_async import ConnectTrade

if TYPE_CHECKING:
    from connecttrade_async import User


async def count(user: User) -> Counter[str]:
    """Iterate: every order, across pages; the next page is fetched while you work on this one."""
    return Counter([str(order.status) async for order in user.orders.list(status="all", limit=100)])


async def pages(user: User) -> list[int]:
    """Page by page, where a page is your unit of work."""
    return [len(page.items) async for page in user.orders.list(status="all", limit=100).pages()]


async def there_and_back(user: User) -> tuple[list[str], list[str]]:
    """Await one page, then the next one, then go back with its cursor."""
    first = await user.orders.list(status="all", limit=20)
    if first.next_cursor is None:
        return [], []
    second = await user.orders.list(status="all", limit=20, next_cursor=first.next_cursor)
    again = await user.orders.list(status="all", limit=20, prev_cursor=second.prev_cursor)
    return [order.order_id for order in first.items], [order.order_id for order in again.items]


async def main() -> None:
    """Run all three."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        for status, number in (await count(user)).most_common():
            print(f"{number:>5} {status}")
        print(f"pages of {await pages(user)}")
        there, back = await there_and_back(user)
        print("back on the same page" if there == back else "the page has changed meanwhile")


if __name__ == "__main__":
    asyncio.run(main())
