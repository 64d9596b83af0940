"""One side of ``peers_rest.py``: the SnapTrade SDK's async calls, which yield plain dicts."""

from __future__ import annotations

import asyncio

from snaptrade_client import SnapTrade
from snaptrade_client.auth import SnapTradeAuth

from measurement import arguments, measure_requests
from vendors import ACCOUNT


async def measure(url: str, requests: int) -> None:
    """Read the orders of an account."""
    auth = SnapTradeAuth.commercial_api_key(consumer_key="key", client_id="client")
    snaptrade = SnapTrade(auth=auth, host=url)

    async def page() -> object:
        reply = await snaptrade.account_information.aget_user_account_orders(
            account_id=ACCOUNT,
            state="all",
            user_id="user",
            user_secret="secret",  # noqa: S106 - pretend
        )
        return reply.body

    await measure_requests(page, requests)


def main() -> None:
    """Measure the only case."""
    url, _, requests = arguments()
    asyncio.run(measure(url, requests))


if __name__ == "__main__":
    main()
