"""How much does the client cost on top of bare aiohttp + msgspec? CPU for each request, both sides in one process.

    python benchmarks/rest.py [--rounds 7] [--requests 4000]

Both sides read from the same server, which is a process of its own, through one session with 100 requests in flight,
and decode into structs of text. They share a process, so their turns are close together, and this comparison is the
most precise.
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
from measurement import send_in_flight
from processes import server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from interleave import Row
    from processes import Server


class Page(msgspec.Struct, gc=False):
    """A page of orders for the bare side."""

    orders: tuple[Order, ...]


class Case(NamedTuple):
    """One question: its requests on each side, their number, and its goal."""

    name: str
    sides: dict[str, Callable[[], Awaitable[object]]]
    requests: int
    goal: str


def cases(url: str, http: aiohttp.ClientSession, ct: ConnectTrade, requests: int) -> list[Case]:
    """Return the cases."""
    headers = {"client-id": "client", "client-secret": "secret", "user-id": "user", "user-secret": "secret"}
    user = ct.user("user", "secret")

    def bare(path: str, shape: msgspec.json.Decoder[object]) -> Callable[[], Awaitable[object]]:
        async def send() -> object:
            async with http.get(url + path, headers=headers) as reply:
                return shape.decode(await reply.read())

        return send

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


async def measured(case: Case, rounds: int, rest: Server) -> Row:
    """Run the sides in turn, and return the row."""
    spent: dict[str, list[float]] = defaultdict(list)
    served, wall = rest.cpu(), time.perf_counter()
    for name in turns(rounds, case.sides):
        started = time.process_time()
        await send_in_flight(case.sides[name], case.requests)
        spent[name].append((time.process_time() - started) / case.requests)
    served, wall = rest.cpu() - served, time.perf_counter() - wall
    bare, ours = (statistics.median(spent[name]) * 1e6 for name in ("bare", "ours"))
    figures = f"ours {ours:.0f} us, bare {bare:.0f} us (server busy {served / wall:.0%})"
    what = f"{case.name}, CPU, one process: ours to bare"
    return row(what, ratios(spent["ours"], spent["bare"]), goal=case.goal, figures=figures)


async def measure(rest: Server, rounds: int, requests: int) -> list[Row]:
    """Return one row for each case."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ConnectTrade("client", "secret", endpoints=Endpoints(rest.url)) as ct,
    ):
        found: list[Row] = []
        for case in cases(rest.url, http, ct, requests):
            for send in case.sides.values():
                await send_in_flight(send, case.requests // 10)
            found.append(await measured(case, rounds, rest))
        return found


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("CPU for each request, beside bare aiohttp + msgspec.", rounds=7)
    options.add_argument("--requests", type=int, default=4000)
    chosen = options.parse_args()
    with server("load_server.py") as rest:
        rows = asyncio.run(measure(rest, chosen.rounds, chosen.requests))
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
