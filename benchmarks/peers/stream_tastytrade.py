"""One side of ``peers_stream.py``: tastytrade's AlertStreamer."""

from __future__ import annotations

import asyncio
import time

from tastytrade import Account, AlertStreamer, Session
from tastytrade.order import PlacedOrder

from measurement import EventCounter, arguments
from vendors import TASTYTRADE_ACCOUNT


async def orders(url: str, count: int) -> None:
    """Count typed events."""
    counter = EventCounter(count)
    async with Session("secret", "refresh") as session:
        session.session_expiration = time.time() + 3600
        streamer = AlertStreamer(session)
        streamer.base_url = url
        async with streamer:
            await streamer.subscribe_accounts([Account.model_construct(account_number=TASTYTRADE_ACCOUNT)])
            async for _ in streamer.listen(PlacedOrder):
                if counter.add():
                    break


def main() -> None:
    """Measure the one case there is."""
    url, _, count = arguments()
    asyncio.run(orders(url, count))


if __name__ == "__main__":
    main()
