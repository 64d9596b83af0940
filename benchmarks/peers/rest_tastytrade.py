"""One side of ``peers_rest.py``: tastytrade's order history. Its address is a constant, which is set to ours."""

from __future__ import annotations

import asyncio
import time

import tastytrade.session
from tastytrade import Account, Session

from measurement import arguments, measure_requests
from vendors import TASTYTRADE_ACCOUNT


async def measure(url: str, requests: int) -> None:
    """Read pages through one shared session."""
    tastytrade.session.API_URL = url
    async with Session("secret", "refresh", timeout=None) as session:
        session.session_expiration = time.time() + 3600
        account = Account.model_construct(account_number=TASTYTRADE_ACCOUNT)

        async def page() -> object:
            return await account.get_order_history(session, per_page=500, page_offset=0)

        await measure_requests(page, requests)


def main() -> None:
    """Measure the only case."""
    url, _, requests = arguments()
    asyncio.run(measure(url, requests))


if __name__ == "__main__":
    main()
