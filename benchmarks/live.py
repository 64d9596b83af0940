"""What do live accounts cost on top of bare websockets + msgspec? Updates a second, all sides in one run.

    python benchmarks/live.py [--rounds 5] [--updates 30000]

``bare`` is ``recv(decode=False)`` and one msgspec union of the same structs. ``stream`` has one consumer of its events.
``live`` applies them to the books of 100 accounts, and has one consumer of ``live.changes()``. The feeder writes the
same frames to all sides, from a process of its own, at full speed; the REST server is another process.

Of 10 mixed updates, 4 are of orders, 3 of positions and 3 of balances: an order works, is partially filled twice, and
is filled. Each of the three executions has a ``fill_id``, and causes a position and a balance.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from websockets.asyncio.client import connect

from connecttrade_async import ConnectTrade, Endpoints, Reconnect
from connecttrade_async.streaming import brokerage_codec
from holdings import ACCOUNTS, frames, user_id
from interleave import parser, ratios, row, show, turns
from processes import Spent, server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from interleave import Row
    from processes import Server

MIXES = {"mixed": "mixed updates", "orders": "updates of orders"}
NEVER = Reconnect(base=3600.0, cap=3600.0)  # the feeder closes first, and then accepts another client
GOALS = {"live": "at least 0.4"}
Found = dict[str, list[Spent]]


class Run:
    """The turns of all sides.

    Args:
        feeder: The server of the stream.
        rest: The REST server.
        count: The number of updates in a turn.
    """

    def __init__(self, feeder: Server, rest: Server, count: int) -> None:
        self.count = count
        self._feeder = feeder
        self._endpoints = Endpoints(rest.url, stream=feeder.url)

    async def spent(self, case: str, side: str) -> Spent:
        """Let one side receive all updates; return the cost of each."""
        self._feeder.order(f"{case} {self.count}")
        sides: dict[str, Callable[[], object]] = {"bare": self._bare, "stream": self._stream, "live": self._live}
        opened = sides[side]()
        async with opened as take:  # type: ignore[attr-defined]
            gc.collect()
            fed, cpu, wall = self._feeder.cpu(), time.process_time(), time.perf_counter()
            self._feeder.order("go")
            await take()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            fed = self._feeder.cpu() - fed
            self._feeder.order("bye")
        return Spent(cpu / self.count, wall / self.count, 0, fed / self.count)

    @asynccontextmanager
    async def _bare(self) -> AsyncGenerator[Callable[[], object]]:
        decode = msgspec.json.Decoder(brokerage_codec.Message).decode
        async with connect(self._endpoints.stream, compression=None) as socket:
            await socket.recv()
            await socket.send("{}")
            await socket.recv()
            await socket.send('{"action": "subscribe"}')
            await socket.recv()

            async def take() -> None:
                for _ in range(self.count):
                    decode(await socket.recv(decode=False))

            yield take

    @asynccontextmanager
    async def _stream(self) -> AsyncGenerator[Callable[[], object]]:
        async with ConnectTrade("client", "secret", endpoints=self._endpoints, reconnect=NEVER) as ct:
            stream = ct.brokerage_stream()
            events = stream.subscribe("orders", "positions", "balances", capacity=self.count + 1)

            async def take() -> None:
                for _ in range(self.count):
                    await events.receive()

            async with stream:
                yield take

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[Callable[[], object]]:
        async with ConnectTrade("client", "secret", endpoints=self._endpoints, reconnect=NEVER) as ct:
            users = [ct.user(user_id(number), "secret") for number in range(ACCOUNTS)]
            async with ct.live(users, sweep_every=None) as live, live.changes(capacity=self.count + 1) as changes:
                assert live.is_current  # noqa: S101 - each update belongs to a book

                async def take() -> None:
                    for _ in range(self.count):
                        await changes.receive()

                yield take


def measure(run: Run, rounds: int) -> Found:
    """Run the sides in turn; return the costs of each round by case and side."""
    found: Found = defaultdict(list)
    sides = [f"{case} {side}" for case in MIXES for side in ("bare", "stream", "live")]
    for name in sides:  # warm up: the first turn loads code and allocates memory
        asyncio.run(run.spent(*name.split()))
    for name in turns(rounds, sides):
        found[name].append(asyncio.run(run.spent(*name.split())))
    return found


def _described(side: str, spent: list[Spent]) -> str:
    speed = statistics.median(1 / each.cpu for each in spent)
    busy = statistics.median(each.cpu / each.wall for each in spent)
    fed = statistics.median(each.server for each in spent)
    return f"{side} {speed:,.0f}/s, busy {busy:.0%} (feeder {fed * 1e6:.1f} us)"


def rows(found: Found) -> Iterator[Row]:
    """Yield a row for each mix and each side but the bare one."""
    for case, what in MIXES.items():
        size = statistics.mean(map(len, frames(case, 10 * ACCOUNTS)))
        bare = found[f"{case} bare"]
        for side in ("live", "stream"):
            ours = found[f"{case} {side}"]
            figures = f"{_described(side, ours)}; {_described('bare', bare)}; {size:.0f} B each"
            speeds = ratios([each.cpu for each in bare], [each.cpu for each in ours])
            yield row(f"{what} a second, {side}: to bare", speeds, goal=GOALS.get(side, ""), figures=figures)


def main() -> None:
    """Start the servers, measure, and print."""
    options = parser("Updates a second through live accounts, beside bare websockets + msgspec.")
    options.add_argument("--updates", type=int, default=30_000)
    chosen = options.parse_args()
    with server("account_server.py") as rest, server("account_feeder.py") as feeder:
        found = measure(Run(feeder, rest, chosen.updates), chosen.rounds)
    show(rows(found), as_json=chosen.json)


if __name__ == "__main__":
    main()
