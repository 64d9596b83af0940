"""What does the brokerage stream cost on top of bare websockets + msgspec? Messages a second, all sides in one run.

    python benchmarks/stream.py [--rounds 5] [--messages 60000]

The feeder runs in its own process and writes the same frames to every side. ``bare`` is ``recv(decode=False)`` and one
msgspec union of the same structs, with no queue behind it. Sides take turns within a round, and ratios are taken inside
a round.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
import msgspec
from websockets.asyncio.client import connect

from connecttrade_async import ConnectTrade, Endpoints
from connecttrade_async.streaming import brokerage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from anyio.streams.memory import MemoryObjectReceiveStream
    from websockets.asyncio.client import ClientConnection

SEEN = 50


async def be_greeted(socket: ClientConnection) -> None:
    """Log in and subscribe, as far as the feeder wants it."""
    await socket.recv()
    await socket.send("{}")
    await socket.recv()
    await socket.send('{"action": "subscribe"}')
    await socket.recv()


async def bare(url: str, count: int) -> float:
    """Receive and decode, and nothing else."""
    decode = msgspec.json.Decoder(brokerage.Message).decode
    async with connect(url, compression=None) as socket:
        await be_greeted(socket)
        began = time.perf_counter()
        for _ in range(count):
            decode(await socket.recv(decode=False))
        return count / (time.perf_counter() - began)


async def queued(url: str, count: int, consumers: int) -> float:
    """The same, spread over so many ``asyncio.Queue``: what most would write."""
    decode = msgspec.json.Decoder(brokerage.Message).decode
    queues: list[asyncio.Queue[object]] = [asyncio.Queue() for _ in range(consumers)]

    async def consume(queue: asyncio.Queue[object]) -> None:
        for _ in range(count):
            await queue.get()

    async with connect(url, compression=None) as socket:
        await be_greeted(socket)
        began = time.perf_counter()
        tasks = [asyncio.create_task(consume(queue)) for queue in queues]
        for _ in range(count):
            event = decode(await socket.recv(decode=False))
            for queue in queues:
                queue.put_nowait(event)
        await asyncio.gather(*tasks)
        return count / (time.perf_counter() - began)


async def through_anyio(url: str, count: int, consumers: int) -> float:
    """The same, spread over so many anyio streams, without waiting for room."""
    decode = msgspec.json.Decoder(brokerage.Message).decode
    ends = [anyio.create_memory_object_stream[object](math.inf) for _ in range(consumers)]

    async def consume(end: MemoryObjectReceiveStream[object]) -> None:
        with end:
            for _ in range(count):
                await end.receive()

    async with connect(url, compression=None) as socket:
        await be_greeted(socket)
        began = time.perf_counter()
        tasks = [asyncio.create_task(consume(end)) for _, end in ends]
        for _ in range(count):
            event = decode(await socket.recv(decode=False))
            for end, _ in ends:
                end.send_nowait(event)
        await asyncio.gather(*tasks)
        for end, _ in ends:
            end.close()
        return count / (time.perf_counter() - began)


async def ours(url: str, count: int, consumers: int, *, filtered: bool = False) -> float:
    """The stream, with so many consumers of everything, or of one account each."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream()
        subscriptions = [
            stream.subscribe("orders", account_id=f"account-{number}" if filtered else None, capacity=count + 1)
            for number in range(consumers)
        ]
        wanted = count // 100 if filtered else count

        async def consume(number: int) -> None:
            subscription = subscriptions[number]
            for _ in range(wanted):
                await anext(subscription)

        tasks = [asyncio.create_task(consume(number)) for number in range(consumers)]
        async with stream:
            began = time.perf_counter()
            await asyncio.gather(*tasks)
            return count / (time.perf_counter() - began)


CASES: dict[str, tuple[Callable[[str, int], Coroutine[None, None, float]], int]] = {
    "bare": (bare, 1),
    "one consumer": (lambda url, count: ours(url, count, 1), 1),
    "10 consumers": (lambda url, count: ours(url, count, 10), 4),
    "100 consumers": (lambda url, count: ours(url, count, 100), 20),
    "100 consumers, one wants each": (lambda url, count: ours(url, count, 100, filtered=True), 1),
    "anyio stream, 100": (lambda url, count: through_anyio(url, count, 100), 20),
    "asyncio.Queue, 10": (lambda url, count: queued(url, count, 10), 4),
    "asyncio.Queue, 100": (lambda url, count: queued(url, count, 100), 20),
}


def measure(url: str, orders: IO[str], rounds: int, messages: int) -> dict[str, list[float]]:
    """Return messages a second for each case, a list over the rounds."""
    speeds: dict[str, list[float]] = {name: [] for name in CASES}
    for turn in range(rounds):
        names = list(CASES) if turn % 2 else list(reversed(CASES))
        for name in names:
            side, share = CASES[name]
            count = messages // share // 100 * 100
            orders.write(f"{count} 0\n")
            orders.flush()
            speeds[name].append(asyncio.run(side(url, count)))
    return speeds


def main() -> None:
    """Start the feeder, measure, and print one line a case."""
    parser = argparse.ArgumentParser(description="Messages a second, beside bare websockets + msgspec.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=60_000)
    options = parser.parse_args()
    command = [sys.executable, str(Path(__file__).with_name("feeder.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as feeder:  # noqa: S603 - our own file
        assert feeder.stdout is not None  # noqa: S101 - a pipe was asked for
        assert feeder.stdin is not None  # noqa: S101 - a pipe was asked for
        speeds = measure(feeder.stdout.readline().strip(), feeder.stdin, options.rounds, options.messages)
        feeder.stdin.close()
    print(f"{'':32}{'ratio to bare':>14}{'[min .. max]':>18}{'messages/s':>12}")
    for name, values in speeds.items():
        ratios = [value / base for value, base in zip(values, speeds["bare"], strict=True)]
        spread = f"[{min(ratios):.3f} .. {max(ratios):.3f}]"
        print(f"{name:32}{statistics.median(ratios):>14.3f}{spread:>18}{statistics.median(values):>12,.0f}")


if __name__ == "__main__":
    main()
