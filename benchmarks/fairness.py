"""Do all get their turn? 1,000 workers on 100 requests in flight, beside aiohttp's own limit and a semaphore.

    python benchmarks/fairness.py [--rounds 5] [--requests 20000] [--workers 1000]

Each worker asks again as soon as it has its answer. What is counted: how many answers the most and the least served
worker got, and how long a request took from its call, the time in line included.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from connecttrade_async import ConnectTrade, Endpoints, Limits
from interleave import Row, parser, row, show, turns
from measurement import IN_FLIGHT
from processes import server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from processes import Server


class Served(NamedTuple):
    """One turn of one side.

    Attributes:
        least: answers to the worker with the fewest.
        most: answers to the worker with the most.
        p50: seconds that half of the requests did not exceed.
        p99: seconds that 99 of a hundred did not exceed.
        cpu: seconds of this process for each request.
        server: seconds of the server for each request; 0 where the platform does not say.
    """

    least: int
    most: int
    p50: float
    p99: float
    cpu: float
    server: float


async def serve(ask: Callable[[], Awaitable[object]], requests: int, workers: int, there: Server) -> Served:
    """Let the workers ask so often together."""
    took: list[list[float]] = [[] for _ in range(workers)]
    left = requests

    async def worker(own: list[float]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await ask()
            own.append(time.perf_counter() - began)

    cpu, served = time.process_time(), there.cpu()
    await asyncio.gather(*(worker(own) for own in took))
    cpu, served = time.process_time() - cpu, there.cpu() - served
    # The first request of each worker found no line yet, and opened the connections.
    steady = sorted(each for own in took for each in own[1:]) or [each for own in took for each in own]
    counts = [len(own) for own in took]
    p50, p99 = (steady[int(len(steady) * share)] for share in (0.5, 0.99))
    return Served(min(counts), max(counts), p50, p99, cpu / requests, served / requests)


async def ours(there: Server, requests: int, workers: int) -> Served:
    """Measure the client, whose gate is first come, first served."""
    limits = Limits(connections=IN_FLIGHT)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(there.url), limits=limits) as ct:
        return await serve(ct.user("user", "secret").balances.list, requests, workers, there)


async def pooled(there: Server, requests: int, workers: int) -> Served:
    """Measure the limit of aiohttp's connector."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as http:

        async def ask() -> object:
            async with http.get(there.url + "/balances") as reply:
                return await reply.read()

        return await serve(ask, requests, workers, there)


async def queued(there: Server, requests: int, workers: int) -> Served:
    """Measure a semaphore in front of aiohttp."""
    places = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask() -> object:
            async with places, http.get(there.url + "/balances") as reply:
                return await reply.read()

        return await serve(ask, requests, workers, there)


SIDES = {"ours": ours, "aiohttp's own limit": pooled, "asyncio.Semaphore": queued}


def rows(found: dict[str, list[Served]], workers: int) -> Iterator[Row]:
    """Yield two lines a side; only ours has a goal."""
    for name, turns_of in found.items():
        shortest, busiest = min(each.least for each in turns_of), max(each.most for each in turns_of)
        cpu, fed = (statistics.median(each[at] for each in turns_of) * 1e6 for at in (4, 5))
        goal = "at most 2" if name == "ours" else ""
        yield row(
            f"{workers:,} workers on {IN_FLIGHT}, most less least served: {name}",
            [float(each.most - each.least) for each in turns_of],
            unit="",
            goal=goal,
            figures=f"{shortest} to {busiest} answers each; CPU {cpu:.0f} us (server {fed:.0f} us)",
        )
        p50, p99 = (statistics.median(each[at] for each in turns_of) * 1e3 for at in (2, 3))
        yield row(
            f"{workers:,} workers on {IN_FLIGHT}, p99 to p50: {name}",
            [each.p99 / each.p50 for each in turns_of],
            goal=goal,
            figures=f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        )


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("Fairness of the limit on requests in flight.")
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--workers", type=int, default=1000)
    chosen = options.parse_args()
    found: dict[str, list[Served]] = defaultdict(list)
    with server("load_server.py") as there:
        for name in turns(chosen.rounds, SIDES):
            found[name].append(asyncio.run(SIDES[name](there, chosen.requests, chosen.workers)))
    show(rows({name: found[name] for name in SIDES}, chosen.workers), as_json=chosen.json)


if __name__ == "__main__":
    main()
