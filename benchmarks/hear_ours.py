"""One side of ``peers_stream.py``: the brokerage stream with one consumer, in a process of its own.

python benchmarks/hear_ours.py URL orders 20000
"""

from __future__ import annotations

import asyncio

from connecttrade_async import ConnectTrade, Endpoints
from measured import Tally, arguments


async def orders(url: str, count: int) -> None:
    """Count typed events."""
    tally = Tally(count)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", capacity=count + 1)
        async with stream:
            async for _ in events:
                if tally.add():
                    break


def main() -> None:
    """Measure the one case there is."""
    url, _, count = arguments()
    asyncio.run(orders(url, count))


if __name__ == "__main__":
    main()
