"""What does market data cost on top of bare websockets + msgspec? 500 symbols, to 1, 10 and 100 consumers of all.

    python benchmarks/market.py [--rounds 5] [--messages 50000] [--rate 20000]

``bare`` is ``recv(decode=False)`` and one msgspec union of the same structs, with no queue behind it. Each consumer
gets every quote or, if it is conflated, the latest of each symbol when it receives. The delay is from the sender's
stamp to the consumer at a steady rate; it needs an idle machine.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from websockets.asyncio.client import connect

from connecttrade_async import ConnectTrade, Endpoints, Quote
from connecttrade_async.market_data import codec
from interleave import Row, parser, ratios, row, show, turns
from market_feeder import LAST, SYMBOLS
from processes import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server

SKIPPED = 0.1  # share of the stamps at the start, while both sides warm up
GOALS = {"1 consumer": "at least 0.8", "1 consumer, conflated": "at least 0.7"}


class Side(NamedTuple):
    """One kind of consumers.

    Attributes:
        consumers: The number of consumers; 0 is bare.
        overflow: The overflow policy of their subscriptions.
        share: The messages are divided by this, for a slow side.
    """

    consumers: int
    overflow: str = "drop_oldest"
    share: int = 1


class Received(NamedTuple):
    """The result of one turn of one side.

    Attributes:
        speed: Quotes a second.
        delay: The median delay, in microseconds.
        lost: Quotes that did not reach every consumer.
        busy: The share of the time in which this process ran.
        fed: CPU seconds of the feeder for each quote; 0 if the platform does not report it.
    """

    speed: float
    delay: float
    lost: int
    busy: float = 0.0
    fed: float = 0.0


SIDES = {
    "bare": Side(0),
    "1 consumer": Side(1),
    "10 consumers": Side(10, share=4),
    "100 consumers": Side(100, share=20),
    "1 consumer, conflated": Side(1, "latest"),
    "10 consumers, conflated": Side(10, "latest", 4),
    "100 consumers, conflated": Side(100, "latest", 20),
}
STEADY = ("bare", "1 consumer")
Found = dict[str, list[Received]]


class Stamps:
    """The arrival times of the quotes of one consumer, if they are kept."""

    def __init__(self, *, is_kept: bool) -> None:
        self.count = 0
        self._is_kept = is_kept
        self._took: list[int] = []

    def take(self, quote: Quote) -> bool:
        """Take a quote; return whether it was the last."""
        self.count += 1
        if self._is_kept:
            self._took.append(time.monotonic_ns() - int(quote.time_text or 0))
        return quote.bid_size_text == LAST

    @property
    def delay(self) -> float:
        """The median delay, in microseconds."""
        kept = self._took[int(len(self._took) * SKIPPED) :]
        return statistics.median(kept) / 1000 if kept else 0.0


async def bare(url: str, count: int, stamps: Stamps) -> Received:
    """Receive and decode, and nothing else."""
    decode = msgspec.json.Decoder(codec.Decoded).decode
    async with connect(url, compression=None) as socket:
        await socket.recv()
        for action in ("authenticate", "subscribe"):
            await socket.send(f'{{"action": "{action}"}}')
            await socket.recv()
        await socket.send('{"action": "list_subscriptions"}')
        await socket.recv()
        started = time.perf_counter()
        while True:
            message = decode(await socket.recv(decode=False))
            if type(message) is Quote and stamps.take(message):
                break
        return Received(count / (time.perf_counter() - started), stamps.delay, count - stamps.count)


async def token() -> str:
    """Return a token, which the feeder ignores."""
    return "token"


async def ours(url: str, count: int, stamps: Stamps, side: Side) -> Received:
    """Receive from the stream, with ``side.consumers`` consumers of all symbols."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(market_data=url)) as ct, AsyncExitStack() as stack:
        md = await stack.enter_async_context(ct.user("user", "secret").market_data("connection", token_source=token))
        feeds = [
            await stack.enter_async_context(
                md.quotes(*SYMBOLS, overflow=side.overflow, capacity=count + 1, max_bytes=1 << 30),
            )
            for _ in range(side.consumers)
        ]
        all_stamps = [stamps, *(Stamps(is_kept=False) for _ in feeds[1:])]

        async def consume(number: int) -> None:
            take = all_stamps[number].take
            async for quote in feeds[number]:
                if type(quote) is Quote and take(quote):
                    break

        tasks = [asyncio.create_task(consume(number)) for number in range(side.consumers)]
        await md.list_subscriptions()
        started = time.perf_counter()
        await asyncio.gather(*tasks)
        lost = 0 if side.overflow == "latest" else sum(count - each.count for each in all_stamps)
        return Received(count / (time.perf_counter() - started), stamps.delay, lost)


def measure(feeder: Server, rounds: int, messages: int, rate: int) -> Found:
    """Return the results of each side at full speed and, marked ``steady``, at the rate; a list over the rounds."""
    found: Found = defaultdict(list)
    for name in turns(rounds, [*SIDES, *(f"steady {side}" for side in STEADY)]):
        is_steady = name.startswith("steady ")
        side = SIDES[name.removeprefix("steady ")]
        count, stamps = max(messages // side.share, 2), Stamps(is_kept=is_steady)
        feeder.order(f"{count} {rate if is_steady else 0}")
        run = ours(feeder.url, count, stamps, side) if side.consumers else bare(feeder.url, count, stamps)
        fed, cpu, wall = feeder.cpu(), time.process_time(), time.perf_counter()
        received = asyncio.run(run)
        fed, cpu, wall = feeder.cpu() - fed, time.process_time() - cpu, time.perf_counter() - wall
        found[name].append(received._replace(busy=cpu / wall, fed=fed / count))
    return found


def busy(received: list[Received]) -> str:
    """Return how busy both processes were."""
    share, fed = (statistics.median(each) for each in zip(*((each.busy, each.fed) for each in received), strict=True))
    return f"busy {share:.0%} (feeder {fed * 1e6:.1f} us)"


def rows(found: Found, rate: int) -> Iterator[Row]:
    """Yield a row for each kind of consumers, one for the delay, and one for lost quotes."""
    plain = [each.speed for each in found["bare"]]
    for name in list(SIDES)[1:]:
        speeds = [each.speed for each in found[name]]
        sides = (
            (f"ours {statistics.median(speeds):,.0f}/s", found[name]),
            (f"bare {statistics.median(plain):,.0f}/s", found["bare"]),
        )
        figures = "; ".join(f"{described}, {busy(received)}" for described, received in sides)
        yield row(
            f"quotes a second, {name}: ours to bare", ratios(speeds, plain), goal=GOALS.get(name, ""), figures=figures
        )
    theirs, mine = ([each.delay for each in found[f"steady {side}"]] for side in STEADY)
    figures = f"ours {statistics.median(mine):,.0f} us; bare {statistics.median(theirs):,.0f} us"
    yield row(
        f"delay of quotes at {rate:,}/s, p50: ours to bare", ratios(mine, theirs), goal="at most 1.3", figures=figures
    )
    lost = [float(each.lost) for each in found["steady 1 consumer"]]
    yield row(f"quotes lost at {rate:,}/s", lost, unit="", goal="at most 0")


def main() -> None:
    """Start the feeder, measure, and print."""
    options = parser("Quotes a second and their delay, beside bare websockets + msgspec.")
    options.add_argument("--messages", type=int, default=50_000)
    options.add_argument("--rate", type=int, default=20_000)
    chosen = options.parse_args()
    with server("market_feeder.py") as feeder:
        found = measure(feeder, chosen.rounds, chosen.messages, chosen.rate)
    show(rows(found, chosen.rate), as_json=chosen.json)


if __name__ == "__main__":
    main()
