"""Two worker processes share the one session of the stream; the leader is killed, and the other one goes on.

It makes its own sandbox, and needs a Redis or Valkey server: CONNECTTRADE_RELAY_URL, by default redis://localhost.
``work`` is the part to reuse: all workers run the same code.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from connecttrade_async import ConnectTrade, Gap, OrderUpdate, StreamLive
from connecttrade_async.relay import Relay
from connecttrade_async.sandbox import Sandbox

REDIS = os.environ.get("CONNECTTRADE_RELAY_URL", "redis://localhost")


async def work(name: str) -> None:
    """Follow the orders of all users, whichever worker has the session."""
    relay = Relay(REDIS, lease=1.0)
    async with ConnectTrade.from_env() as ct:
        stream = ct.brokerage_stream(relay=relay)
        events = stream.subscribe("orders", "lifecycle")
        async with stream:
            async for event in events:
                match event:
                    case StreamLive():
                        print(f"{name}: {stream.health().role.lower()}", flush=True)
                    case OrderUpdate(order=order):
                        # A real worker saves stream.position with what it did, and passes it as since= next time.
                        print(f"{name}: order {order.order_id} is {order.status}", flush=True)
                    case Gap(cause=cause):
                        print(f"{name}: read all orders again, because {cause}", flush=True)
                    case _:
                        pass


async def main() -> None:
    """Start two workers, publish an order, kill the leader, and publish its fill."""
    async with Sandbox(seed=1) as sandbox:
        first, second = await start("first", sandbox), await start("second", sandbox)
        order = {"order_id": "o1", "symbol": "MSFT", "order_qty": "10", "filled_qty": "0", "status": "working"}
        sandbox.stream.publish("orders", "ada", "a1", order)
        await show(first)
        await show(second)
        print("the first worker is killed")
        first.kill()
        await first.wait()
        await show(second, lines=2)
        sandbox.stream.publish("orders", "ada", "a1", order | {"filled_qty": "10", "status": "filled"})
        await show(second)
        second.kill()
        await second.wait()


async def start(name: str, sandbox: Sandbox) -> Process:
    """Start a worker process, and wait until its stream is live."""
    credentials = {
        "CONNECTTRADE_API_URL": sandbox.url,
        "CONNECTTRADE_STREAM_URL": sandbox.stream.url,
        "CONNECTTRADE_CLIENT_ID": sandbox.client_id,
        "CONNECTTRADE_CLIENT_SECRET": sandbox.client_secret,
    }
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, name), env={**os.environ, **credentials}, stdout=PIPE
    )
    await show(worker)
    return worker


async def show(worker: Process, *, lines: int = 1) -> None:
    """Print the next lines of a worker."""
    assert worker.stdout is not None  # noqa: S101 - it is a pipe
    for _ in range(lines):
        print((await worker.stdout.readline()).decode(), end="")


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]) if len(sys.argv) > 1 else main())
