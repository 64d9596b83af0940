"""How long does it take to read 10,000 users again after a connection loss, beside a bare loop with the same requests?

    python benchmarks/resync.py [--rounds 5] [--users 10000]

The books of all users are loaded. In a turn of ours the stream is dropped, and the time runs from its return until all
books are current again. In the other a loop over aiohttp sends the same requests with the same headers and the same
concurrency, and decodes them into the same structs. Both run in one process, with the server in another.

There are two cases. If nothing has changed, ours takes a digest of each response, finds it unchanged, and does not
decode it; bare does. If prices have moved before each turn, every position and every balance of all users differs: ours
decodes them, compares each with its book, and publishes the changes. The orders are then the same, and not decoded.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import statistics
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from connecttrade_async import Balance, ConnectTrade, Endpoints, Order, Position, Reconnect, StreamLive, __version__
from holdings import user_id
from interleave import parser, ratios, row, show, turns
from processes import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.streaming.subscriptions import Subscription
    from interleave import Row
    from processes import Server

CONCURRENCY = 50
REQUESTS = 3  # of each user
CASES = {"same": "nothing changed", "moved": "all prices moved"}
FAST_RECONNECT = Reconnect(base=0.001, cap=0.001)


class Page(msgspec.Struct, gc=False):
    """A page of orders for the bare side."""

    orders: tuple[Order, ...]


class Took(NamedTuple):
    """The cost of one turn in seconds: wall time, CPU time, and CPU time of the server."""

    wall: float
    cpu: float
    server: float


class Ours:
    """The live accounts."""

    def __init__(self, feeder: Server, live: LiveAccounts, lifecycle: Subscription) -> None:
        self._feeder = feeder
        self._live = live
        self._lifecycle = lifecycle

    async def begin(self) -> None:
        """Drop the stream, and wait until it is live again."""
        while self._lifecycle.receive_nowait() is not None:
            pass
        self._feeder.order("bye")
        self._feeder.order("mixed 0")
        while type(await self._lifecycle.receive()) is not StreamLive:
            pass
        self._feeder.order("go")

    async def end(self) -> None:
        """Wait until every book is current."""
        assert not self._live.is_current  # noqa: S101 - else nothing was measured
        await self._live.wait(lambda live: live.is_current)


class Bare:
    """A loop over aiohttp and msgspec."""

    def __init__(self, url: str, http: aiohttp.ClientSession, users: int) -> None:
        self._http = http
        since = (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")
        shapes: dict[str, type] = {
            "/balances": list[Balance],
            "/positions": list[Position],
            f"/orders?status=all&start_time={since}&limit=500": Page,
        }
        self._requests: list[tuple[str, Callable[[bytes], object]]] = [
            (url + path, msgspec.json.Decoder(shape).decode) for path, shape in shapes.items()
        ]
        self._users = users

    async def begin(self) -> None:
        """Do nothing."""

    async def end(self) -> None:
        """Read all data of all users."""
        left = iter(range(self._users))

        async def work() -> None:
            for number in left:
                headers = _headers(number)
                for url, decode in self._requests:
                    async with self._http.get(url, headers=headers) as reply:
                        decode(await reply.read())

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def _headers(number: int) -> dict[str, str]:
    return {
        "client-id": "client",
        "client-secret": "secret",
        "user-id": user_id(number),
        "user-secret": "secret",
        "accept": "application/json",
        "user-agent": f"connecttrade-async/{__version__}",
    }


async def _took(side: Ours | Bare, rest: Server) -> Took:
    gc.collect()
    await side.begin()
    served, cpu, wall = rest.cpu(), time.process_time(), time.perf_counter()
    await side.end()
    return Took(time.perf_counter() - wall, time.process_time() - cpu, rest.cpu() - served)


async def measure(feeder: Server, rest: Server, rounds: int, users: int) -> dict[str, list[Took]]:
    """Run the sides in turn; return the cost of each turn."""
    feeder.order("mixed 0")
    feeder.order("go")
    endpoints = Endpoints(rest.url, stream=feeder.url)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ConnectTrade("client", "secret", endpoints=endpoints, reconnect=FAST_RECONNECT) as ct,
        ct.brokerage_stream() as stream,
        stream.subscribe("lifecycle") as lifecycle,
        ct.live(
            [ct.user(user_id(number), "secret") for number in range(users)],
            stream,
            sweep_every=None,
            concurrency=CONCURRENCY,
        ) as live,
    ):
        sides: dict[str, Ours | Bare] = {"ours": Ours(feeder, live, lifecycle), "bare": Bare(rest.url, http, users)}
        found: dict[str, list[Took]] = defaultdict(list)
        cents = cycle(range(100))
        for case in CASES:
            exchanges, unchanged = ct.health().exchanges, live.statistics().unchanged
            for name in turns(rounds, sides):
                if case == "moved":
                    rest.order(str(next(cents)))
                found[f"{case} {name}"].append(await _took(sides[name], rest))
            # Both sides send the same number of requests, and ours decodes every changed response.
            assert ct.health().exchanges - exchanges == rounds * users * REQUESTS  # noqa: S101
            assert live.statistics().unchanged - unchanged == (rounds * users if case == "same" else 0)  # noqa: S101
        feeder.order("bye")
    return found


def rows(found: dict[str, list[Took]], users: int) -> Iterator[Row]:
    """Yield a row for wall time, and one for CPU time, of each case."""
    for case, what in CASES.items():
        ours, bare = found[f"{case} ours"], found[f"{case} bare"]
        figures = "; ".join((_described("ours", ours), _described("bare", bare)))
        for name, place in (("time", 0), ("CPU", 1)):
            speeds = ratios([each[place] for each in bare], [each[place] for each in ours])
            title = f"{users:,} users read again, {what}, {name}: speed, ours to bare"
            yield row(title, speeds, goal="at least 0.85", figures=figures)


def _described(name: str, took: list[Took]) -> str:
    wall, cpu, served = (statistics.median(values) for values in zip(*took, strict=True))
    return f"{name} {wall:.2f} s, busy {cpu / wall:.0%} (server busy {served / wall:.0%})"


def main() -> None:
    """Start the servers, measure, and print."""
    options = parser("Time to read all users again after a drop, beside a bare loop.")
    options.add_argument("--users", type=int, default=10_000)
    chosen = options.parse_args()
    logging.getLogger("connecttrade_async").setLevel(logging.ERROR)  # the loss of the stream is intended
    with server("account_server.py") as rest, server("account_feeder.py") as feeder:
        found = asyncio.run(measure(feeder, rest, chosen.rounds, chosen.users))
    show(rows(found, chosen.users), as_json=chosen.json)


if __name__ == "__main__":
    main()
