"""How much does the client cost on top of bare aiohttp + msgspec? CPU for each request, both sides in one process.

    python benchmarks/rest.py [--rounds 7] [--requests 4000]

Both sides ask the same server, which runs in its own process, through one session with 100 requests in flight, and
decode into structs of text. That they share a process brings their turns close together, so that this is the finest of
the comparisons.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Order
from interleave import parser, ratios, row, show, turns
from measurement import in_flight
from processes import server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from interleave import Row
    from processes import Server


class Page(msgspec.Struct, gc=False):
    """What the bare side decodes a page of orders into."""

    orders: tuple[Order, ...]


class Case(NamedTuple):
    """One question: how to ask it on each side, how often, and what is promised."""

    name: str
    sides: dict[str, Callable[[], Awaitable[object]]]
    requests: int
    goal: str


def cases(url: str, http: aiohttp.ClientSession, ct: ConnectTrade, requests: int) -> list[Case]:
    """Return what is measured."""
    headers = {"client-id": "client", "client-secret": "secret", "user-id": "user", "user-secret": "secret"}
    user = ct.user("user", "secret")

    def bare(path: str, shape: msgspec.json.Decoder[object]) -> Callable[[], Awaitable[object]]:
        async def ask() -> object:
            async with http.get(url + path, headers=headers) as reply:
                return shape.decode(await reply.read())

        return ask

    async def page() -> object:
        return await user.orders.list(status="all", limit=500)

    balances: msgspec.json.Decoder[object] = msgspec.json.Decoder(list[Balance])
    orders: msgspec.json.Decoder[object] = msgspec.json.Decoder(Page)
    small = {"bare": bare("/balances", balances), "ours": user.balances.list}
    large = {"bare": bare("/orders?status=all&limit=500", orders), "ours": page}
    return [
        Case("small GET, 100 in flight", small, requests, "at most 1.15"),
        Case("page of 500 orders, 100 in flight", large, requests // 10, "at most 1.05"),
    ]


async def measured(case: Case, rounds: int, there: Server) -> Row:
    """Let the sides take turns, and return the line."""
    spent: dict[str, list[float]] = defaultdict(list)
    served, wall = there.cpu(), time.perf_counter()
    for name in turns(rounds, case.sides):
        began = time.process_time()
        await in_flight(case.sides[name], case.requests)
        spent[name].append((time.process_time() - began) / case.requests)
    served, wall = there.cpu() - served, time.perf_counter() - wall
    bare, ours = (statistics.median(spent[name]) * 1e6 for name in ("bare", "ours"))
    figures = f"ours {ours:.0f} us, bare {bare:.0f} us (server busy {served / wall:.0%})"
    what = f"{case.name}, CPU, one process: ours to bare"
    return row(what, ratios(spent["ours"], spent["bare"]), goal=case.goal, figures=figures)


async def measure(there: Server, rounds: int, requests: int) -> list[Row]:
    """Return one line a case."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ConnectTrade("client", "secret", endpoints=Endpoints(there.url)) as ct,
    ):
        found: list[Row] = []
        for case in cases(there.url, http, ct, requests):
            for ask in case.sides.values():
                await in_flight(ask, case.requests // 10)
            found.append(await measured(case, rounds, there))
        return found


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("CPU for each request, beside bare aiohttp + msgspec.", rounds=7)
    options.add_argument("--requests", type=int, default=4000)
    chosen = options.parse_args()
    with server("load_server.py") as there:
        rows = asyncio.run(measure(there, chosen.rounds, chosen.requests))
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
