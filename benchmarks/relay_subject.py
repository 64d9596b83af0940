"""One worker of a relay, or one direct stream, in a process of its own: delays from the sender's stamp, and CPU time.

    python benchmarks/relay_subject.py STREAM_URL REDIS_URL ROLE COUNT [LEASE]

ROLE is ``direct``, ``leader`` or ``follower``. It prints ``ready`` when it reads, and its figures after COUNT events.
With the count 0 it leads until it reads a line, and then closes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from connecttrade_async import ConnectTrade, Endpoints, OrderUpdate
from connecttrade_async.relay import Relay
from measurement import print_result

SKIPPED = 0.1  # share of the events at the start


async def main(url: str, redis: str, role: str, count: int, lease: float) -> None:
    """Open the stream, and measure."""
    relay = None if role == "direct" else Relay(redis, lead=role == "leader", lease=lease)
    async with ConnectTrade("client", "secret", endpoints=Endpoints(stream=url)) as ct:
        stream = ct.brokerage_stream(relay=relay)
        events = stream.subscribe("orders", capacity=max(count, 1) + 1)
        opening = asyncio.create_task(stream.open())
        if role == "follower":
            while stream.position is None and not opening.done():  # noqa: ASYNC110 - it is live only with the leader
                await asyncio.sleep(0.01)
        else:
            await opening
        print("ready", flush=True)
        if not count:
            await asyncio.to_thread(sys.stdin.readline)
            await stream.aclose()
            return
        took: list[float] = []
        cpu = 0.0
        for number in range(count):
            event = await anext(events)
            if number == int(count * SKIPPED):
                cpu = time.process_time()
            if isinstance(event, OrderUpdate):
                sent = int((event.order.cl_order_id or "0").partition("-")[0])
                took.append((time.monotonic_ns() - sent) / 1e6)
        cpu = time.process_time() - cpu
        await opening
        await stream.aclose()
    kept = sorted(took[int(count * SKIPPED) :])
    print_result(p50=kept[len(kept) // 2], p99=kept[int(len(kept) * 0.99)], cpu=cpu / len(kept) * 1e6)


if __name__ == "__main__":
    logging.getLogger("connecttrade_async").setLevel(logging.ERROR)
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float((*sys.argv, "3")[5])))
