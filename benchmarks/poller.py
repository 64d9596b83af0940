"""What does polling many users cost on top of bare worker loops? Is it fair, and what does it keep of each user?

    python benchmarks/poller.py [--rounds 5] [--polls 20000] [--users 10000 50000]

Both sides poll the same server, which is a process of its own, through one session with 100 requests in flight. Each
request has the headers of its user, and both sides decode into structs of text. ``bare`` is 100 loops over one deque of
users, without a schedule, results and a consumer. Polls in the same CPU time are compared.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
import tracemalloc
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Timeouts, User
from interleave import Row, parser, ratios, row, show, turns
from measurement import IN_FLIGHT
from processes import server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from connecttrade_async import Poller
    from processes import Server

    Side = Callable[[], Awaitable["Spent"]]

AT_ONCE = 0.001
FEW = 500
FEW_CONNECTIONS = 5
WINDOWS = 200
SHORT = 3  # a round of sides with nearly the same cost is split in three, so that the machine's speed drifts less


class Spent(NamedTuple):
    """The cost of each poll of a side, in seconds."""

    wall: float
    cpu: float


def handles(ct: ConnectTrade, count: int) -> list[User]:
    """Return ``count`` users."""
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

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return Spent((time.perf_counter() - started) / polls, (time.process_time() - cpu) / polls)


async def ours(
    ct: ConnectTrade,
    users: Sequence[User],
    fetch: Callable[[User], Awaitable[object]],
    polls: int,
) -> Spent:
    """Poll with the poller at full speed, and take every result."""
    async with ct.poll(users, fetch, every=AT_ONCE, concurrency=IN_FLIGHT) as poller:
        # The last poller cancelled its requests in flight: exclude the time until its connections are open again.
        # Exclude also the results that were queued meanwhile.
        await take(poller, IN_FLIGHT)
        await take(poller, poller.statistics().waiting)
        before, started, cpu = poller.statistics().polls, time.perf_counter(), time.process_time()
        await take(poller, polls)
        done = poller.statistics().polls - before
        return Spent((time.perf_counter() - started) / done, (time.process_time() - cpu) / done)


async def take(poller: Poller[object], count: int) -> None:
    """Take ``count`` results."""
    for _ in range(count):
        await anext(poller)


async def beside(what: str, sides: Mapping[str, Side], rounds: int, goal: str, rest: Server) -> Row:
    """Run two sides in turn; return the row of the ratio of their polls in the same CPU time."""
    spent: dict[str, list[Spent]] = defaultdict(list)
    served, wall = rest.cpu(), time.perf_counter()
    for name in turns(rounds, sides):
        spent[name].append(await sides[name]())
    busy = (rest.cpu() - served) / (time.perf_counter() - wall)
    one, other = (spent[name] for name in sides)
    rates = ratios((each.cpu for each in one), (each.cpu for each in other))
    clock = statistics.median(ratios((each.wall for each in one), (each.wall for each in other)))
    costs = ", ".join(f"{name} {statistics.median(each.cpu for each in spent[name]) * 1e6:.0f} us" for name in sides)
    return row(what, rates, goal=goal, figures=f"{costs}; by the clock {clock:.2f} (server busy {busy:.0%})")


async def throughput(rest: Server, ct: ConnectTrade, users: int, rounds: int, polls: int) -> Row:
    """Return the row of polls beside bare loops."""
    own = handles(ct, users)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        sides: dict[str, Side] = {
            "bare": lambda: bare(rest.url, http, users, polls // SHORT),
            "ours": lambda: ours(ct, own, lambda user: user.balances.list(), polls // SHORT),
        }
        what = f"{users:,} users, polls in the same CPU: ours to bare"
        return await beside(what, sides, SHORT * rounds, "at least 0.95", rest)


async def unchanged(rest: Server, ct: ConnectTrade, rounds: int, polls: int) -> Row:
    """Return the row of the savings if nine responses of ten are not decoded."""
    own = handles(ct, FEW)
    origins = {user.user_id: user for user in own}

    async def decoding(user: User) -> object:
        # The caller's own handle takes no digest.
        return await origins[user.user_id].positions.list()

    sides: dict[str, Side] = {
        "all decoded": lambda: ours(ct, own, decoding, polls),
        "only what changed": lambda: ours(ct, own, lambda user: user.positions.list(), polls),
    }
    what = "48 positions, nine of ten unchanged: to a poller that decodes all and takes no digest"
    return await beside(what, sides, rounds, "at least 1.2", rest)


async def fairness(ct: ConnectTrade, users: int, polls: int) -> Row:
    """Return the row of the most and the least polled user, over windows of every position and size."""
    order: list[str] = []

    async def fetch(user: User) -> object:
        order.append(user.user_id)
        return await user.balances.list()

    own = handles(ct, users)
    await ours(ct, own, fetch, polls)
    dice, most = random.Random(7), 0  # noqa: S311 - chooses where to look
    for _ in range(WINDOWS):
        begin, end = sorted(dice.choices(range(len(order)), k=2))
        counts = Counter(order[begin:end])
        most = max(most, max(counts.values(), default=0) - min(counts[user.user_id] for user in own))
    return row(f"{users:,} users, most and least polled", [float(most)], unit="", goal="at most 1")


async def memory(ct: ConnectTrade, users: int) -> Row:
    """Return the row of the bytes of an idle user, beyond its handle and the memory of a poller with few users."""

    async def kept(count: int) -> int:
        own = handles(ct, count)
        await asyncio.sleep(0.01)
        gc.collect()
        tracemalloc.start()
        # Few in flight, because a connection takes the memory of a hundred users, and their number is random.
        async with ct.poll(
            own,
            lambda user: user.balances.list(),
            every=0.2 + count / 2000,
            capacity=count,
            concurrency=FEW_CONNECTIONS,
        ) as poller:
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
    each = (await kept(users) - await kept(few)) / (users - few)
    return row(f"{users:,} users, memory of an idle one", [each], unit="bytes", goal="at most 300")


async def measure(rest: Server, rounds: int, polls: int, users: Sequence[int]) -> list[Row]:
    """Return one row for each case."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(rest.url), timeouts=Timeouts(close=0.1)) as ct:
        await ours(ct, handles(ct, FEW), lambda user: user.balances.list(), polls // 10)
        return [
            *[await throughput(rest, ct, count, rounds, polls) for count in users],
            await unchanged(rest, ct, rounds, polls),
            *[await fairness(ct, max(count, 3 * IN_FLIGHT), 2 * count) for count in users],
            await memory(ct, min(users)),
        ]


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("Polling many users, beside bare worker loops.")
    options.add_argument("--polls", type=int, default=20_000)
    options.add_argument("--users", type=int, nargs="+", default=[10_000, 50_000])
    chosen = options.parse_args()
    with server("load_server.py") as rest:
        rows = asyncio.run(measure(rest, chosen.rounds, chosen.polls, chosen.users))
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
