"""One side of ``peers_rest.py``: the client, and bare aiohttp + msgspec, each in a process of its own.

    python benchmarks/rest_subject.py URL "ours balance" 4000

"numbers" is a page of 500 orders with every number read.
"""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Order
from measurement import arguments, measure_requests

HEADERS = {"client-id": "client", "client-secret": "secret", "user-id": "user", "user-secret": "secret"}


class Page(msgspec.Struct, gc=False):
    """A page of orders for the bare side."""

    orders: tuple[Order, ...]


def read_numbers(orders: tuple[Order, ...] | list[Order]) -> int:
    """Read every number of every order as a Decimal; return their count."""
    read = 0
    for order in orders:
        of_order = (
            order.order_qty,
            order.order_notional,
            order.order_limit_price,
            order.stop_price,
            order.filled_qty,
            order.avg_fill_price,
        )
        of_fills = [number for fill in order.fills for number in (fill.quantity, fill.price)]
        read += len(of_order) + len(of_fills)
    return read


async def ours(url: str, case: str, requests: int) -> None:
    """Measure the client."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(url)) as ct:
        user = ct.user("user", "secret")

        async def page() -> object:
            return await user.orders.list(status="all", limit=500)

        async def numbers() -> object:
            return read_numbers((await user.orders.list(status="all", limit=500)).items)

        await measure_requests({"balance": user.balances.list, "page": page, "numbers": numbers}[case], requests)


async def bare(url: str, case: str, requests: int) -> None:
    """Measure aiohttp and msgspec alone."""
    path = {"balance": "/balances", "page": "/orders?status=all&limit=500"}[case]
    shapes: dict[str, msgspec.json.Decoder[object]] = {
        "balance": msgspec.json.Decoder(list[Balance]),
        "page": msgspec.json.Decoder(Page),
    }
    decode = shapes[case].decode
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def send() -> object:
            async with http.get(url + path, headers=HEADERS) as reply:
                return decode(await reply.read())

        await measure_requests(send, requests)


def main() -> None:
    """Measure the side and case of the arguments."""
    url, name, requests = arguments()
    side, _, case = name.partition(" ")
    asyncio.run({"ours": ours, "bare": bare}[side](url, case, requests))


if __name__ == "__main__":
    main()
