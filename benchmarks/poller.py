"""What does polling many users cost on top of bare worker loops? All sides in one run.

    python benchmarks/poller.py [--rounds 5] [--polls 20000] [--users 10000 50000]

Both sides ask the same server, which runs in its own process, through one session with 100 requests in flight, each
with the headers of its user, and decode into structs of text. ``bare`` is 100 loops over one deque of users, with no
schedule, no results and no consumer. Sides take turns within a round, and ratios are taken inside a round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Timeouts, User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

IN_FLIGHT = 100
AT_ONCE = 0.001


class Spent(NamedTuple):
    """What a side took, for each poll."""

    wall: float
    cpu: float


def handles(ct: ConnectTrade, count: int) -> list[User]:
    """Return so many users."""
    return [ct.user(f"user-{number:06}", f"secret-{number:06}") for number in range(count)]


async def bare(url: str, http: aiohttp.ClientSession, users: int, polls: int) -> Spent:
    """Poll in bare loops."""
    line = deque((f"user-{number:06}", f"secret-{number:06}") for number in range(users))
    shape = msgspec.json.Decoder(list[Balance])
    left = polls

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            user = line.popleft()
            headers = {"client-id": "client", "client-secret": "secret", "user-id": user[0], "user-secret": user[1]}
            async with http.get(f"{url}/balances", headers=headers) as reply:
                shape.decode(await reply.read())
            line.append(user)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return Spent((time.perf_counter() - began) / polls, (time.process_time() - cpu) / polls)


async def ours(
    ct: ConnectTrade,
    users: Sequence[User],
    fetch: Callable[[User], Awaitable[object]],
    polls: int,
) -> Spent:
    """Poll with the poller, as fast as it goes, and take every result."""
    left = polls
    async with ct.poll(users, fetch, every=AT_ONCE, concurrency=IN_FLIGHT) as poller:
        began, cpu = time.perf_counter(), time.process_time()
        async for _ in poller:
            left -= 1
            if not left:
                break
        done = poller.statistics().polls
        return Spent((time.perf_counter() - began) / done, (time.process_time() - cpu) / done)


def told(name: str, pairs: list[tuple[Spent, Spent]], sides: str) -> None:
    """Print how the second side does beside the first: throughput, and CPU."""
    rates = [one.wall / other.wall for one, other in pairs]
    cpu = statistics.median(one.cpu / other.cpu for one, other in pairs)
    spread = f"[{min(rates):.2f} .. {max(rates):.2f}]"
    spent = " ".join(f"{statistics.median(pair[side].cpu for pair in pairs) * 1e6:>7.0f}" for side in (0, 1))
    print(f"{name:38}{statistics.median(rates):>8.3f}{spread:>18}{cpu:>8.3f} {spent}  {sides}")


async def throughput(url: str, ct: ConnectTrade, users: int, rounds: int, polls: int) -> None:
    """Print polls a second beside bare loops."""
    own = handles(ct, users)
    pairs: list[tuple[Spent, Spent]] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for turn in range(rounds):
            if turn % 2:
                one = await bare(url, http, users, polls)
                other = await ours(ct, own, lambda user: user.balances.list(), polls)
            else:
                other = await ours(ct, own, lambda user: user.balances.list(), polls)
                one = await bare(url, http, users, polls)
            pairs.append((one, other))
    told(f"{users:,} users beside bare loops", pairs, "bare, ours")


async def unchanged(ct: ConnectTrade, rounds: int, polls: int) -> None:
    """Print what it saves that nine answers of ten are not decoded."""
    own = handles(ct, 500)

    async def decoding(user: User) -> object:
        return await user.positions.list()

    pairs: list[tuple[Spent, Spent]] = []
    for turn in range(rounds):
        if turn % 2:
            one = await ours(ct, own, decoding, polls)
            other = await ours(ct, own, lambda user: user.positions.list(), polls)
        else:
            other = await ours(ct, own, lambda user: user.positions.list(), polls)
            one = await ours(ct, own, decoding, polls)
        pairs.append((one, other))
    told("50 positions, nine of ten unchanged", pairs, "all decoded, only what changed")


async def fairness(ct: ConnectTrade, users: int, polls: int) -> None:
    """Print by how many polls the most and the least polled differ, over windows of every place and size."""
    order: list[str] = []

    async def fetch(user: User) -> object:
        order.append(user.user_id)
        return await user.balances.list()

    own = handles(ct, users)
    await ours(ct, own, fetch, polls)
    dice, most = random.Random(7), 0  # noqa: S311 - chooses where to look
    for _ in range(200):
        begin, end = sorted(dice.choices(range(len(order)), k=2))
        counts = Counter(order[begin:end])
        most = max(most, max(counts.values(), default=0) - min(counts[user.user_id] for user in own))
    print(f"{f'{users:,} users, most and least polled':38}{most:>8}")


async def memory(ct: ConnectTrade, users: int) -> None:
    """Print the bytes that the poller keeps of one user between turns, beyond the handle and what a few users take."""

    async def kept(count: int) -> int:
        own = handles(ct, count)
        await asyncio.sleep(0.01)
        gc.collect()
        tracemalloc.start()
        async with ct.poll(own, lambda user: user.balances.list(), every=0.2 + count / 2000, capacity=count) as poller:
            while poller.statistics().polls < count:
                await anext(poller)
            while poller.statistics().waiting:
                await anext(poller)
            gc.collect()
            traced, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return traced

    few = users // 10
    await kept(few)
    print(f"{f'{users:,} users, bytes for each':38}{(await kept(users) - await kept(few)) / (users - few):>8.0f}")


async def measure(url: str, options: argparse.Namespace) -> None:
    """Print one line a case."""
    print(f"{'':38}{'ratio':>8}{'[min .. max]':>18}{'CPU':>8} {'us':>7} {'us':>7}")
    async with ConnectTrade("client", "secret", endpoints=Endpoints(url), timeouts=Timeouts(close=0.1)) as ct:
        for users in options.users:
            await throughput(url, ct, users, options.rounds, options.polls)
        await unchanged(ct, options.rounds, options.polls)
        await fairness(ct, 3 * IN_FLIGHT, options.polls)
        await memory(ct, min(options.users))


def main() -> None:
    """Start the server, measure, and stop it."""
    parser = argparse.ArgumentParser(description="Polling many users, beside bare worker loops.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--polls", type=int, default=20_000)
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 50_000])
    command = [sys.executable, str(Path(__file__).with_name("load_server.py"))]
    options = parser.parse_args()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own file
        assert server.stdout is not None  # noqa: S101 - a pipe was asked for
        asyncio.run(measure(server.stdout.readline().strip(), options))


if __name__ == "__main__":
    main()
