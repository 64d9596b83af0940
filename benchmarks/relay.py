"""What does the relay cost: how late are followers, how much can be appended, and how long is a change of the leader?

    python benchmarks/relay.py [--rounds 5] [--messages 4000] [--rate 2000]

It starts a Redis server of its own. Appends are compared with a pipeline of XADD of redis-py. All processes share the
cores of the machine, so the delays need an idle one, and those of 10 followers need more than two cores.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from redis import asyncio as aredis
from redis.exceptions import RedisError

from connecttrade_async import ConnectTrade, StreamLive
from connecttrade_async.relay import Relay
from connecttrade_async.relay.log import LogPosition, encode_value
from connecttrade_async.relay.outbox import Outbox
from connecttrade_async.relay.redis import RedisAddress
from connecttrade_async.relay.scripts import APPEND, DONE, RelayKeys
from connecttrade_async.sandbox import Sandbox
from feeder import an_update
from interleave import Row, parser, ratios, row, show, turns
from processes import HERE, environment, server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator

    from processes import Server

SERVERS = ("redis-server", "valkey-server")
BATCH = 256
KEEP_MS, ENTRIES = 900_000, 100_000
DELAY_GOALS = {3: ("at most 1", "at most 5"), 10: ("at most 2", "at most 10")}  # ms
SUBJECT = str(HERE / "relay_subject.py")
FRAMES = [an_update(number) for number in range(BATCH)]


@contextmanager
def redis_server(program: str) -> Generator[str]:
    """Run a server on a free port; yields its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [program, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", tempfile.gettempdir()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - a program of the machine
        try:
            asyncio.run(until_ready(f"redis://127.0.0.1:{port}"))
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


def redis_client(url: str) -> Any:  # noqa: ANN401 - the methods of its class have no complete types
    """Return a client."""
    return cast("Any", aredis.Redis).from_url(url)


async def until_ready(url: str) -> None:
    """Wait until the server answers."""
    async with asyncio.timeout(10), redis_client(url) as client:
        while True:
            try:
                await client.ping()
            except RedisError:
                await asyncio.sleep(0.02)
            else:
                return


async def flush(url: str) -> None:
    """Remove all keys."""
    async with redis_client(url) as client:
        await client.flushall()


# --- appends


async def append_bare(url: str, count: int) -> float:
    """Append by a pipeline of redis-py; return the entries per second."""
    async with redis_client(url) as client:
        begin = time.perf_counter()
        for _ in range(count // BATCH):
            pipeline = client.pipeline(transaction=False)
            for frame in FRAMES:
                pipeline.xadd("bare", {"frame": frame}, maxlen=ENTRIES, approximate=True)
            await pipeline.execute()
        return count // BATCH * BATCH / (time.perf_counter() - begin)


async def append_ours(url: str, count: int) -> float:
    """Append as the leader does: from its outbox, fenced by the lease; return the entries per second."""
    keys = RelayKeys.of("bench", "client")
    async with redis_client(url) as client:
        await client.set(keys.lease, "w:1")
    channel = RedisAddress(url).channel(keys, 10.0)
    outbox = Outbox(1, max_bytes=1 << 30, max_seconds=1e9)
    begin = time.perf_counter()
    for _ in range(count // BATCH):
        for frame in FRAMES:
            outbox.put(b"orders", encode_value(int(time.time() * 1000), frame), 0.0)
        batch = outbox.batch(BATCH, 1 << 20)
        assert batch is not None  # noqa: S101 - it was filled
        entries = [part for entry in batch.entries for part in entry]
        first = batch.first.sequence
        reply = await channel.run(APPEND, "w:1", KEEP_MS, ENTRIES, 1, first, "", *entries)
        assert reply.word == DONE, reply  # noqa: S101 - what is refused is fast
        outbox.acknowledge(batch.last.sequence)
    took = time.perf_counter() - begin
    await channel.aclose()
    return count // BATCH * BATCH / took


async def stale_appends(url: str) -> float:
    """Append as a leader that was paused while another one acquired the lease; return the accepted entries."""
    await flush(url)
    keys = RelayKeys.of("stale", "client")
    channel = RedisAddress(url).channel(keys, 10.0)
    async with redis_client(url) as client:
        await client.set(keys.lease, "other:2")
        await client.xadd(keys.log, {"epoch": "1 {}"}, id="2-0")
        for number in range(1, 101):
            await channel.run(APPEND, "paused:1", KEEP_MS, ENTRIES, 1, number, "", "orders", b"1 {}")
        accepted: float = await client.xlen(keys.log) - 1
    await channel.aclose()
    return accepted


def append_rows(url: str, rounds: int, count: int) -> Iterator[Row]:
    """Yield the rows of the appends."""
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for side in turns(rounds, found):
        asyncio.run(flush(url))
        found[side].append(asyncio.run((append_ours if side == "ours" else append_bare)(url, count)))
    figures = "; ".join(f"{side} {statistics.median(values):,.0f}/s" for side, values in found.items())
    what = f"relay, appends of {len(FRAMES[0])} B in batches of {BATCH}"
    yield row(
        f"{what}: ours to XADD in a pipeline",
        ratios(found["ours"], found["bare"]),
        goal="at least 0.8",
        figures=figures,
    )
    yield row(f"{what}: a second", found["ours"], unit="/s", goal="at least 40000")
    stale = [asyncio.run(stale_appends(url)) for _ in range(rounds)]
    yield row("relay, stale appends accepted after a pause", stale, unit="", goal="at most 0", figures="of 100")


# --- followers


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a subject, and wait until it reads."""
    process = subprocess.Popen(  # noqa: S603 - our own files
        [sys.executable, SUBJECT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    assert line == "ready\n", line  # noqa: S101 - its error is on stderr
    return process


def figures_of(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return the figures of a subject that ends."""
    output, _ = process.communicate(timeout=120)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def follow(feeder: Server, url: str, followers: int, messages: int, rate: int) -> list[dict[str, float]]:
    """Return the figures of each follower of one leader."""
    asyncio.run(flush(url))
    asyncio.run(begin_log(url))
    started = [start(feeder.url, url, "follower", str(messages)) for _ in range(followers)]
    feeder.order(f"{messages} {rate}")
    leader = start(feeder.url, url, "leader", str(messages))
    found = [figures_of(each) for each in started]
    figures_of(leader)
    return found


async def begin_log(url: str) -> None:
    """Write a first entry, so that followers have a position before there is a leader."""
    async with redis_client(url) as client:
        await client.xadd(RelayKeys.of("ct", "client").log, {"epoch": "1 {}"}, id=str(LogPosition(1, 0)))


def follower_rows(url: str, rounds: int, messages: int, rate: int) -> Iterator[Row]:
    """Yield the rows of the delays and of the CPU time."""
    with server("feeder.py") as feeder:
        for followers, goals in DELAY_GOALS.items():
            found = [follow(feeder, url, followers, messages, rate) for _ in range(rounds)]
            for name, goal in zip(("p50", "p99"), goals, strict=True):
                values = [statistics.median(each[name] for each in turn) for turn in found]
                what = f"relay, behind upstream at {rate:,}/s, {followers} followers, {name}"
                yield row(what, values, unit="ms", goal=goal)
            if followers == min(DELAY_GOALS):
                direct: list[float] = []
                for _ in range(rounds):
                    feeder.order(f"{messages} {rate}")
                    direct.append(figures_of(start(feeder.url, url, "direct", str(messages)))["cpu"])
                cpu = [statistics.median(each["cpu"] for each in turn) for turn in found]
                more = [relayed - alone for relayed, alone in zip(cpu, direct, strict=True)]
                figures = f"follower {statistics.median(cpu):.0f} us; direct {statistics.median(direct):.0f} us"
                what = f"relay, CPU of an event at {rate:,}/s: follower less direct stream"
                yield row(what, more, unit="us", goal="at most 25", figures=figures)


# --- changes of the leader


async def change(url: str, lease: float, *, is_killed: bool) -> float:
    """Return the seconds from the end of the leader until this process receives an event again."""
    await flush(url)
    async with Sandbox(seed=1, client_id="client", client_secret="secret") as sandbox:  # noqa: S106 - a sandbox
        leader = await asyncio.to_thread(start, sandbox.stream.url, url, "leader", "0", str(lease))
        async with ConnectTrade("client", "secret", endpoints=sandbox.endpoints) as ct:
            stream = ct.brokerage_stream(relay=Relay(url, lease=lease))
            events = stream.subscribe("orders", "lifecycle")
            async with stream:
                begin = time.perf_counter()
                if is_killed:
                    leader.kill()
                else:
                    assert leader.stdin is not None  # noqa: S101 - a pipe was asked for
                    leader.stdin.write("close\n")
                    leader.stdin.flush()
                while not isinstance(await anext(events), StreamLive) or stream.health().role != "LEADER":
                    pass
                order = {"order_id": "o1", "symbol": "MSFT", "order_qty": "10", "filled_qty": "0"}
                sandbox.stream.publish("orders", "u", "a", order)
                await anext(events)
                took = time.perf_counter() - begin
        await asyncio.to_thread(leader.communicate)
        return took


def change_rows(url: str, rounds: int, lease: float) -> Iterator[Row]:
    """Yield the rows of the changes of the leader."""
    killed = [asyncio.run(change(url, lease, is_killed=True)) for _ in range(rounds)]
    what = f"relay, lease {lease:g} s: leader killed, until events come again"
    yield row(what, killed, unit="s", goal=f"at most {lease + 1:g}")
    closed = [asyncio.run(change(url, lease, is_killed=False)) * 1000 for _ in range(rounds)]
    yield row("relay: leader closes, until events come again", closed, unit="ms", goal="at most 300")


def rows(program: str, chosen: argparse.Namespace) -> Iterator[Row]:
    """Yield all rows."""
    with redis_server(program) as url:
        yield from append_rows(url, chosen.rounds, chosen.appends)
        yield from follower_rows(url, chosen.rounds, chosen.messages, chosen.rate)
        yield from change_rows(url, chosen.rounds, chosen.lease)


def main() -> None:
    """Measure, and print."""
    options = parser("What does the relay cost?", rounds=5)
    options.add_argument("--messages", type=int, default=4000)
    options.add_argument("--rate", type=int, default=2000)
    options.add_argument("--appends", type=int, default=50_000)
    options.add_argument("--lease", type=float, default=3.0)
    chosen = options.parse_args()
    logging.getLogger("connecttrade_async").setLevel(logging.ERROR)  # leaders are killed on purpose
    program = next((name for name in SERVERS if shutil.which(name)), None)
    if program is None:
        show([Row("relay", figures="redis-server is not installed")], as_json=chosen.json)
        return
    show(rows(program, chosen), as_json=chosen.json)


if __name__ == "__main__":
    main()
