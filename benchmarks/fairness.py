"""Does every worker get its turn? 1,000 workers on 100 requests in flight, beside aiohttp's own limit and a semaphore.

    python benchmarks/fairness.py [--rounds 5] [--requests 20000] [--workers 1000]

Each worker sends the next request as soon as it has a response. The figures are the responses of the most and the least
served worker, and how long a request took from its call, including its wait in the queue.
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


class Fairness(NamedTuple):
    """The result of one turn of one side.

    Attributes:
        least: Responses of the worker with the fewest.
        most: Responses of the worker with the most.
        p50: Seconds that half of the requests do not exceed.
        p99: Seconds that 99 of 100 requests do not exceed.
        cpu: CPU seconds of this process for each request.
        server: CPU seconds of the server for each request; 0 if the platform does not report it.
    """

    least: int
    most: int
    p50: float
    p99: float
    cpu: float
    server: float


async def serve(send: Callable[[], Awaitable[object]], requests: int, workers: int, rest: Server) -> Fairness:
    """Send a number of requests with all workers together."""
    took: list[list[float]] = [[] for _ in range(workers)]
    left = requests

    async def worker(own: list[float]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await send()
            own.append(time.perf_counter() - began)

    cpu, served = time.process_time(), rest.cpu()
    await asyncio.gather(*(worker(own) for own in took))
    cpu, served = time.process_time() - cpu, rest.cpu() - served
    # The first request of each worker opened a connection and met no queue.
    steady = sorted(each for own in took for each in own[1:]) or [each for own in took for each in own]
    counts = [len(own) for own in took]
    p50, p99 = (steady[int(len(steady) * share)] for share in (0.5, 0.99))
    return Fairness(min(counts), max(counts), p50, p99, cpu / requests, served / requests)


async def ours(rest: Server, requests: int, workers: int) -> Fairness:
    """Measure the client, with its first come, first served limiter."""
    limits = Limits(connections=IN_FLIGHT)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(rest.url), limits=limits) as ct:
        return await serve(ct.user("user", "secret").balances.list, requests, workers, rest)


async def pooled(rest: Server, requests: int, workers: int) -> Fairness:
    """Measure the limit of aiohttp's connector."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as http:

        async def send() -> object:
            async with http.get(rest.url + "/balances") as reply:
                return await reply.read()

        return await serve(send, requests, workers, rest)


async def queued(rest: Server, requests: int, workers: int) -> Fairness:
    """Measure a semaphore in front of aiohttp."""
    semaphore = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def send() -> object:
            async with semaphore, http.get(rest.url + "/balances") as reply:
                return await reply.read()

        return await serve(send, requests, workers, rest)


SIDES = {"ours": ours, "aiohttp's own limit": pooled, "asyncio.Semaphore": queued}


def rows(found: dict[str, list[Fairness]], workers: int) -> Iterator[Row]:
    """Yield two rows for each side; only ours has a goal."""
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
    found: dict[str, list[Fairness]] = defaultdict(list)
    with server("load_server.py") as rest:
        for name in turns(chosen.rounds, SIDES):
            found[name].append(asyncio.run(SIDES[name](rest, chosen.requests, chosen.workers)))
    show(rows({name: found[name] for name in SIDES}, chosen.workers), as_json=chosen.json)


if __name__ == "__main__":
    main()
