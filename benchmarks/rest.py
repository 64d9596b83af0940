"""How much does the client cost on top of bare aiohttp + msgspec? CPU for each request, both sides in one run.

    python benchmarks/rest.py [--rounds 7] [--requests 4000]

Both sides ask the same server, which runs in its own process, through one session with 100 requests in flight, and
decode into structs of text. The sides take turns within a round, and ratios are taken inside a round, so that a machine
whose speed drifts does not lean to either.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IN_FLIGHT = 100


class Page(msgspec.Struct, gc=False):
    """What the bare side decodes a page of orders into."""

    orders: tuple[Order, ...]


class Case(NamedTuple):
    """One question: how to ask it bare and through the client, and how often."""

    name: str
    bare: Callable[[], Awaitable[object]]
    ours: Callable[[], Awaitable[object]]
    requests: int


async def cpu_per_request(ask: Callable[[], Awaitable[object]], requests: int) -> float:
    """Return the CPU seconds of this process for one request."""
    left = requests

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - began) / requests


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
    return [
        Case("small GET, 100 in flight", bare("/balances", balances), user.balances.list, requests),
        Case("page of 500 orders, 100 in flight", bare("/orders?status=all&limit=500", orders), page, requests // 10),
    ]


async def measure(url: str, rounds: int, requests: int) -> None:
    """Print one line a case."""
    print(f"{'':36}{'ratio to bare':>14}{'[min .. max]':>18}{'bare us':>10}{'ours us':>10}")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ConnectTrade("client", "secret", endpoints=Endpoints(url)) as ct,
    ):
        for case in cases(url, http, ct, requests):
            pairs: list[tuple[float, float]] = []
            for turn in range(rounds):
                sides = (case.bare, case.ours) if turn % 2 else (case.ours, case.bare)
                spent = {side: await cpu_per_request(side, case.requests) for side in sides}
                pairs.append((spent[case.bare], spent[case.ours]))
            ratios = [ours / bare for bare, ours in pairs]
            spread = f"[{min(ratios):.2f} .. {max(ratios):.2f}]"
            bare_us, ours_us = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
            print(f"{case.name:36}{statistics.median(ratios):>14.3f}{spread:>18}{bare_us:>10.0f}{ours_us:>10.0f}")


def main() -> None:
    """Start the server, measure, and stop it."""
    parser = argparse.ArgumentParser(description="CPU for each request, beside bare aiohttp + msgspec.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=4000)
    options = parser.parse_args()
    command = [sys.executable, str(Path(__file__).with_name("load_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own file
        assert server.stdout is not None  # noqa: S101 - a pipe was asked for
        asyncio.run(measure(server.stdout.readline().strip(), options.rounds, options.requests))


if __name__ == "__main__":
    main()
