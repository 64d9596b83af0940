"""Create a user, connect a broker, read what it holds: on the embedded sandbox."""

import asyncio

from connecttrade_async import ConnectTrade, parse_redirect
from connecttrade_async.sandbox import Sandbox


async def main() -> None:
    async with Sandbox() as box, ConnectTrade(box.client_id, box.client_secret, endpoints=box.endpoints) as ct:
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
        print("connected:", parse_redirect(await box.approve(request.url)).connection_id)
        for position in await user.positions.list():
            print(position.symbol, position.quantity, position.unrealized_pl)


asyncio.run(main())

# ruff: noqa: D103 - the first line says it all
