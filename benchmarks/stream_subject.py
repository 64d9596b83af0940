"""One side of ``peers_stream.py``: either stream with one consumer, in a process of its own.

python benchmarks/stream_subject.py URL orders 20000
"""

from __future__ import annotations

import asyncio

from connecttrade_async import ConnectTrade, Endpoints
from measurement import EventCounter, arguments


async def orders(url: str, count: int) -> None:
    """Count typed events."""
    counter = EventCounter(count)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", capacity=count + 1)
        async with stream:
            async for _ in events:
                if counter.add():
                    break


async def quotes(url: str, count: int) -> None:
    """Count typed quotes."""

    async def token() -> str:
        return "token"

    counter = EventCounter(count)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(market_data=url)) as ct:
        user = ct.user("user", "secret")
        async with (
            user.market_data("connection", token_source=token) as md,
            md.quotes("MSFT", capacity=count + 1, overflow="drop_oldest") as feed,
        ):
            async for _ in feed:
                if counter.add():
                    break


CASES = {"orders": orders, "quotes": quotes}


def main() -> None:
    """Measure the case of the arguments."""
    url, case, count = arguments()
    asyncio.run(CASES[case](url, count))


if __name__ == "__main__":
    main()
