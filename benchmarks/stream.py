"""What does the brokerage stream cost on top of bare websockets + msgspec, to 1, 10 and 100 consumers?

    python benchmarks/stream.py [--rounds 5] [--messages 60000]

The feeder runs in its own process and writes the same frames to every side. ``bare`` is ``recv(decode=False)`` and one
msgspec union of the same structs, with no queue behind it. The queues of asyncio and the streams of anyio are fed by
the same loop, without waiting for room. Messages for each CPU second are compared. ``another dialect`` is the stream
through a server that sends lists of ten updates, in camelCase, with the kind under ``event``.
"""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import anyio
import msgspec
from websockets.asyncio.client import connect

from connecttrade_async import ConnectTrade, Endpoints
from connecttrade_async.streaming import brokerage_codec
from interleave import parser, ratios, row, show, turns
from processes import Spent, server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from anyio.streams.memory import MemoryObjectReceiveStream
    from websockets.asyncio.client import ClientConnection

    from interleave import Row
    from processes import Server


class Watch:
    """CPU time and wall time of this process since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def spent(self, count: int) -> Spent:
        """Return the cost of each of ``count`` messages, without that of the feeder."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        return Spent(cpu / count, wall / count, 0, 0)


async def log_in(socket: ClientConnection) -> None:
    """Log in and subscribe, as the feeder expects it."""
    await socket.recv()
    await socket.send("{}")
    await socket.recv()
    await socket.send('{"action": "subscribe"}')
    await socket.recv()


async def bare(url: str, count: int) -> Spent:
    """Receive and decode, and nothing else."""
    decode = msgspec.json.Decoder(brokerage_codec.Message).decode
    async with connect(url, compression=None) as socket:
        await log_in(socket)
        watch = Watch()
        for _ in range(count):
            decode(await socket.recv(decode=False))
        return watch.spent(count)


async def queued(url: str, count: int, consumers: int) -> Spent:
    """Receive and decode, and put each event into one ``asyncio.Queue`` for each consumer."""
    decode = msgspec.json.Decoder(brokerage_codec.Message).decode
    queues: list[asyncio.Queue[object]] = [asyncio.Queue() for _ in range(consumers)]

    async def consume(queue: asyncio.Queue[object]) -> None:
        for _ in range(count):
            await queue.get()

    async with connect(url, compression=None) as socket:
        await log_in(socket)
        tasks = [asyncio.create_task(consume(queue)) for queue in queues]
        await asyncio.sleep(0)  # all of them wait, as ours do
        watch = Watch()
        for _ in range(count):
            event = decode(await socket.recv(decode=False))
            for queue in queues:
                queue.put_nowait(event)
        await asyncio.gather(*tasks)
        return watch.spent(count)


async def through_anyio(url: str, count: int, consumers: int) -> Spent:
    """Receive and decode, and send each event to one anyio stream for each consumer, without waiting for room."""
    decode = msgspec.json.Decoder(brokerage_codec.Message).decode
    ends = [anyio.create_memory_object_stream[object](math.inf) for _ in range(consumers)]

    async def consume(end: MemoryObjectReceiveStream[object]) -> None:
        with end:
            for _ in range(count):
                await end.receive()

    async with connect(url, compression=None) as socket:
        await log_in(socket)
        tasks = [asyncio.create_task(consume(end)) for _, end in ends]
        await asyncio.sleep(0)  # all of them wait, as ours do
        watch = Watch()
        for _ in range(count):
            event = decode(await socket.recv(decode=False))
            for end, _ in ends:
                end.send_nowait(event)
        await asyncio.gather(*tasks)
        for end, _ in ends:
            end.close()
        return watch.spent(count)


async def ours(url: str, count: int, consumers: int, *, filtered: bool = False) -> Spent:
    """Receive from the stream, with consumers of all events, or of one account each."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream()
        subscriptions = [
            stream.subscribe("orders", account_id=f"account-{number}" if filtered else None, capacity=count + 1)
            for number in range(consumers)
        ]
        expected = count // 100 if filtered else count

        async def consume(number: int) -> None:
            subscription = subscriptions[number]
            for _ in range(expected):
                await anext(subscription)

        tasks = [asyncio.create_task(consume(number)) for number in range(consumers)]
        async with stream:
            watch = Watch()
            await asyncio.gather(*tasks)
            return watch.spent(count)


class Case(NamedTuple):
    """One side.

    Attributes:
        receive: Receive a number of messages from an address.
        share: The messages are divided by this, for a slow side.
        form: What the feeder sends; ``other`` for lists of ten updates in camelCase, with the kind under ``event``.
    """

    receive: Callable[[str, int], Coroutine[None, None, Spent]]
    share: int = 1
    form: str = ""


class Match(NamedTuple):
    """One row of the table: the messages of one side in the CPU time of one message of the other."""

    over: str
    under: str
    goal: str = ""


CASES = {
    "bare": Case(bare),
    "one consumer": Case(partial(ours, consumers=1)),
    "another dialect": Case(partial(ours, consumers=1), form="other"),
    "10 consumers": Case(partial(ours, consumers=10), 4),
    "100 consumers": Case(partial(ours, consumers=100), 10),
    "100 consumers, one wants each": Case(partial(ours, consumers=100, filtered=True)),
    "asyncio.Queue, 10": Case(partial(queued, consumers=10), 4),
    "asyncio.Queue, 100": Case(partial(queued, consumers=100), 10),
    "anyio streams, 100": Case(partial(through_anyio, consumers=100), 10),
}
MATCHES = (
    Match("one consumer", "bare", "at least 0.85"),
    Match("another dialect", "one consumer", "at least 0.95"),
    Match("10 consumers", "bare"),
    Match("100 consumers", "bare"),
    Match("10 consumers", "asyncio.Queue, 10"),
    Match("100 consumers", "asyncio.Queue, 100", "at least 2"),
    Match("100 consumers", "anyio streams, 100", "at least 6"),
    Match("100 consumers, one wants each", "one consumer", "at least 0.75"),
)
# Compared sides run one right after the other, because the machine's speed drifts.
GROUPS = {
    "few": ("bare", "one consumer", "another dialect", "100 consumers, one wants each"),
    "ten": ("10 consumers", "asyncio.Queue, 10"),
    "hundred": ("100 consumers", "asyncio.Queue, 100", "anyio streams, 100"),
}
Found = dict[str, list[Spent]]


def run_turn(feeder: Server, case: Case, messages: int) -> Spent:
    """Run one turn of one side."""
    count = max(messages // case.share // 100, 1) * 100
    gc.collect()
    fed = feeder.cpu()
    feeder.order(f"{count} 0 {case.form}".strip())
    spent = asyncio.run(case.receive(feeder.url, count))
    return spent._replace(server=(feeder.cpu() - fed) / count)


def measure(feeder: Server, rounds: int, messages: int) -> Found:
    """Return the cost of a message on each side, a list over the rounds."""
    found: Found = defaultdict(list)
    for case in CASES.values():  # warm up: the first turn loads code and allocates memory
        run_turn(feeder, case, messages // 10)
    for group in turns(rounds, GROUPS):
        for name in turns(1, GROUPS[group]):
            found[name].append(run_turn(feeder, CASES[name], messages))
    return found


def described(name: str, spent: list[Spent]) -> str:
    """Return the speed of one side as text, and how busy both processes were."""
    speed = statistics.median(1 / each.cpu for each in spent)
    busy = statistics.median(each.cpu / each.wall for each in spent)
    fed = statistics.median(each.server for each in spent)
    return f"{name} {speed:,.0f}/s, busy {busy:.0%} (feeder {fed * 1e6:.1f} us)"


def rows(found: Found) -> Iterator[Row]:
    """Yield a row for each match."""
    for match in MATCHES:
        over, under = found[match.over], found[match.under]
        values = ratios([each.cpu for each in under], [each.cpu for each in over])
        figures = "; ".join(described(name, found[name]) for name in match[:2])
        yield row(f"stream, {match.over}: to {match.under}", values, goal=match.goal, figures=figures)


def main() -> None:
    """Start the feeder, measure, and print."""
    options = parser("Messages a second, beside bare websockets + msgspec.")
    options.add_argument("--messages", type=int, default=60_000)
    chosen = options.parse_args()
    with server("feeder.py") as feeder:
        found = measure(feeder, chosen.rounds, chosen.messages)
    show(rows(found), as_json=chosen.json)


if __name__ == "__main__":
    main()
