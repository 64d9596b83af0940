"""How long from the sender's stamp to the consumer, at a steady 5,000 messages a second? Beside bare websockets.

    python benchmarks/delay.py [--rounds 15] [--messages 5000] [--rate 5000]

``bare`` is ``recv(decode=False)`` and one msgspec union of the same structs, with no queue behind it. Both sides run on
asyncio's own loop and, where it is installed, on uvloop. The feeder stamps each message just before it writes it, with
a clock that all processes of a machine share. A delay includes the time that other programs take, so it needs an
idle machine.
"""

from __future__ import annotations

import asyncio
import importlib
import statistics
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from websockets.asyncio.client import connect

from connecttrade_async import ConnectTrade, Endpoints, OrderUpdate
from connecttrade_async.streaming import brokerage_codec
from interleave import Row, parser, ratios, row, show, turns
from processes import server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from processes import Server

Stamps = list[tuple[int, str | None]]
SKIPPED = 0.1  # share of the messages at the start, while both sides warm up
GOALS = {"p50": "at most 1.15", "p99": "at most 1.5", "p99.9": ""}
FEEDER = "feeder.py"


class Delays(NamedTuple):
    """The result of one turn of one side, in microseconds.

    Attributes:
        p50: The delay that half of the messages do not exceed.
        p99: The delay that 99 of 100 messages do not exceed.
        p999: The delay that 999 of 1,000 messages do not exceed.
        cpu: CPU time of this process for each message.
        fed: CPU time of the feeder for each message; 0 if the platform does not report it.
    """

    p50: float
    p99: float
    p999: float
    cpu: float
    fed: float


async def bare(url: str, count: int) -> Stamps:
    """Receive and decode, and nothing else."""
    decode = msgspec.json.Decoder(brokerage_codec.Message).decode
    stamps: Stamps = []
    async with connect(url, compression=None) as socket:
        await socket.recv()
        for line in ("{}", '{"action": "subscribe"}'):
            await socket.send(line)
            await socket.recv()
        for _ in range(count):
            message = decode(await socket.recv(decode=False))
            if type(message) is OrderUpdate:
                stamps.append((time.monotonic_ns(), message.order.cl_order_id))
    return stamps


async def ours(url: str, count: int) -> Stamps:
    """Receive from the stream, with one consumer of all events."""
    stamps: Stamps = []
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", capacity=count + 1)
        async with stream:
            for _ in range(count):
                event = await anext(events)
                if type(event) is OrderUpdate:
                    stamps.append((time.monotonic_ns(), event.order.cl_order_id))
    return stamps


SIDES: dict[str, Callable[[str, int], Coroutine[None, None, Stamps]]] = {"bare": bare, "ours": ours}


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop] | None]:
    """Return the event loops to run on."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return {"asyncio": None}
    return {"asyncio": None, "uvloop": uvloop.new_event_loop}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def delays(stamps: Stamps, cpu: float, fed: float) -> Delays:
    """Return the delays of one turn."""
    kept = stamps[int(len(stamps) * SKIPPED) :]
    took = sorted((received - int((sent or "0").partition("-")[0])) / 1000 for received, sent in kept)
    p50, p99, p999 = (percentile(took, share) for share in (0.5, 0.99, 0.999))
    return Delays(p50, p99, p999, cpu / len(stamps) * 1e6, fed / len(stamps) * 1e6)


def measure(feeder: Server, rounds: int, messages: int, rate: int) -> dict[str, list[Delays]]:
    """Return the delays of each side on each loop, a list over the rounds."""
    found: dict[str, list[Delays]] = defaultdict(list)
    kinds = loops()
    for name in turns(rounds, [f"{side} {loop}" for side in SIDES for loop in kinds]):
        side, loop = name.split()
        feeder.order(f"{messages} {rate}")
        before, fed = time.process_time(), feeder.cpu()
        with asyncio.Runner(loop_factory=kinds[loop]) as runner:
            stamps = runner.run(SIDES[side](feeder.url, messages))
        found[name].append(delays(stamps, time.process_time() - before, feeder.cpu() - fed))
    return found


def rows(found: dict[str, list[Delays]], rate: int) -> Iterator[Row]:
    """Yield a row for each loop and percentile."""
    for loop in ("asyncio", "uvloop"):
        for at, (name, goal) in enumerate(GOALS.items()):
            what = f"delay at {rate:,}/s on {loop}, {name}: ours to bare"
            if f"ours {loop}" not in found:
                yield Row(what, goal=goal, figures=f"{loop} is not installed")
                continue
            sides = {side: found[f"{side} {loop}"] for side in SIDES}
            described = [
                f"{side} {statistics.median(each[at] for each in turns):,.0f} us"
                f", CPU {statistics.median(each.cpu for each in turns):.0f} us"
                f" (feeder {statistics.median(each.fed for each in turns):.0f} us)"
                for side, turns in sides.items()
            ]
            values = ratios(*([each[at] for each in sides[side]] for side in ("ours", "bare")))
            yield row(what, values, goal=goal, figures="; ".join(described))


def main() -> None:
    """Start the feeder, measure, and print."""
    options = parser("Delay from the sender's stamp to the consumer, beside bare websockets + msgspec.", rounds=15)
    options.add_argument("--messages", type=int, default=5000)
    options.add_argument("--rate", type=int, default=5000)
    chosen = options.parse_args()
    with server(FEEDER) as feeder:
        found = measure(feeder, chosen.rounds, chosen.messages, chosen.rate)
    show(rows(found, chosen.rate), as_json=chosen.json)


if __name__ == "__main__":
    main()
