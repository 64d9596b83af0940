"""Ten quotes, as they come: ``python examples/quotes.py CONNECTION_ID AAPL MSFT``.

Reads the client's credentials from the environment, and the user's too. The connection is one of type ``market_data``;
``connecttrade connect --type market_data`` makes one and prints its id.
"""

from __future__ import annotations

import asyncio
import os
import sys

from connecttrade_async import ConnectTrade, Gap, Quote, SymbolRefused

TEN = 10


async def main(connection_id: str, *symbols: str) -> None:
    """Print ten quotes. The stream makes its own token, and comes back when its link is lost."""
    async with ConnectTrade.from_env() as ct:
        user = ct.user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
        async with user.market_data(connection_id) as md, md.quotes(*symbols) as quotes:
            shown = 0
            async for event in quotes:
                match event:
                    case Quote(symbol=symbol, bid_price=bid, ask_price=ask):
                        print(f"{symbol:<8} {bid} / {ask}")
                        shown += 1
                    case Gap(cause=cause):
                        print("some may have been missed:", cause)
                    case SymbolRefused(symbol=symbol, cause=cause):
                        print("no more of", symbol, "because", cause)
                if shown == TEN:
                    return


if __name__ == "__main__":
    match sys.argv[1:]:
        case [connection, first, *more]:
            asyncio.run(main(connection, first, *more))
        case _:
            sys.exit("usage: python examples/quotes.py CONNECTION_ID SYMBOL...")
