"""Seeded schedules of failures over three worker processes on one relay.

In each schedule, workers are killed, stopped and continued, connections are killed, the server sleeps or fails over to
its replica, and the session is lost or taken. Then everything runs again. No worker has received an event twice, each
missing one lies inside a gap, no epoch had two leaders or two logins at once, and every book equals the server.

    HYPOTHESIS_PROFILE=nightly python -m pytest tests/relay/test_schedules.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.relay.scripts import RelayKeys
from connecttrade_async.sandbox import Sandbox
from live_fixtures import in_the_world, newcomer, placed
from redis_server import RedisServer, needs_redis
from relay_fixtures import TcpProxy, eventually
from relay_worker import NUMBERS, WorkerServer
from stream_fixtures import client, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async import ConnectTrade

pytestmark = needs_redis

TESTS = {"nightly": 50}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 5)
GROUPS = 4  # at once in one test: most of their time is waiting
TURNS = 10  # schedules of one group, which reuses its processes
LEASE = 0.5
PATIENCE = 60.0
GAP = -1


class Process:
    """One worker process, and what it has printed."""

    def __init__(self, server: WorkerServer, config: dict[str, Any]) -> None:
        self._server = server
        self.config = config
        self.received: list[int] = []
        self.epochs: list[int] = []
        self.books: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_ready = False

    async def start(self) -> None:
        self.pid, ours = self._server.fork(self.config)
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._task = asyncio.create_task(self._read(reader))

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, which closes its socket."""
        return self._task.done()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            if not line.endswith(b"\n"):
                return  # it was killed while it wrote
            match json.loads(line):
                case {"event": number}:
                    self.received.append(number)
                case {"gap": _}:
                    self.received.append(GAP)
                case {"leads": epoch}:
                    self.epochs.append(epoch)
                case {"book": _} as book:
                    self.books.put_nowait(book)
                case _:
                    self.is_ready = True

    def signal(self, number: signal.Signals) -> None:
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await asyncio.wait([self._task])
        self._writer.close()

    async def book(self) -> dict[str, Any]:
        self._writer.write(b"book\n")
        return await self.books.get()


class LoginWatch:
    """Watches the logins that the sandbox receives, and under which lease each one came.

    A login belongs to an epoch if its lease was held when the connection was opened and when the login came.

    Attributes:
        epochs: the lease of each session that has logged in, or an empty text.
        doubled: a sentence for each login that came while another session of the same epoch was logged in.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.epochs: dict[int, bytes] = {}
        self.doubled: list[str] = []
        self._stream = sandbox.stream
        self._lease = RelayKeys.of("ct", sandbox.client_id).lease
        self._opened: dict[int, bytes] = {}
        self._logins = 0
        self._latest: tuple[bytes, frozenset[int]] = b"", frozenset()

    async def run(self, find: Callable[[], RedisServer]) -> None:
        """Watch until it is cancelled; the sandbox asks at each message that it receives."""

        def has_ended() -> bool:
            self._observe(find())
            return False

        await self._stream.log.until(has_ended)

    def _observe(self, redis: RedisServer) -> None:
        sessions = {session.link: session.phase for session in self._stream.sessions}
        logged_in = frozenset(link for link, phase in sessions.items() if phase == "authenticated")
        for link in logged_in - self.epochs.keys():
            owner, before = self._latest
            self.epochs[link] = epoch = owner if self._opened.get(link) == owner else b""
            self.doubled += [
                f"{link} logged in as well as {other} in {epoch!r}"
                for other in before
                if epoch and self.epochs[other] == epoch
            ]
        unknown, logins = sessions.keys() - self._opened.keys(), self._stream.log.received["authenticate"]
        if not unknown and logins == self._logins:
            return
        owner = redis.get(self._lease, timeout=0.1)
        self._opened |= dict.fromkeys(unknown, owner)
        if logins > self._logins:
            self._logins, self._latest = logins, (owner, logged_in)


class Group:
    """Three workers, a server with a replica, and the sandbox."""

    def __init__(self, server: WorkerServer, seed: int) -> None:
        self._server = server
        self.random = random.Random(seed)  # noqa: S311 - a schedule that can be repeated
        self.number = 0
        self.epochs: list[int] = []
        self.actions: list[str] = []

    async def open(self, stack: AsyncExitStack) -> None:
        self.sandbox = await stack.enter_async_context(Sandbox(seed=3, latency=0.0))
        self.ct: ConnectTrade = await stack.enter_async_context(client(self.sandbox))
        self.user, self.account_id = newcomer(self.sandbox, self.ct)
        secret = self.user._user_secret
        assert secret is not None
        self.master = await stack.enter_async_context(RedisServer())
        self.replica = await stack.enter_async_context(RedisServer())
        await self.replicate()
        self.watch = LoginWatch(self.sandbox)
        watching = asyncio.create_task(self.watch.run(lambda: self.master))
        stack.callback(watching.cancel)
        self.proxy = await stack.enter_async_context(TcpProxy(self.master.port))
        config = {
            "api": self.sandbox.url,
            "stream": self.sandbox.endpoints.stream,
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "user_id": self.user.user_id,
            "user_secret": str.__str__(secret.reveal()),
            "account_id": self.account_id,
            "redis": self.proxy.url,
            "lease": LEASE,
        }
        self.workers = [Process(self._server, config) for _ in range(3)]
        for worker in self.workers:
            await worker.start()
        stack.push_async_callback(self.close)
        await self.until_ready()

    async def close(self) -> None:
        for worker in self.workers:
            await worker.kill()

    async def replicate(self) -> None:
        self.replica.command("REPLICAOF", "127.0.0.1", self.master.port)
        await eventually(lambda: self.replica.command("INFO", "replication")["master_link_status"] == "up")

    def emit(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.sandbox.stream.publish("orders", NUMBERS, NUMBERS, order(self.number))

    async def run(self) -> None:
        """Run one schedule, and check what every worker has received."""
        self.actions = []
        for _ in range(self.random.randint(2, 4)):
            self.emit(self.random.randint(0, 20))
            name = self.random.choice(ACTIONS)
            self.actions.append(name)
            await getattr(self, name)()
            self.emit(self.random.randint(0, 20))
            await asyncio.sleep(self.random.random() * LEASE / 2)
        await self.settle()

    async def settle(self) -> None:
        """Let everything run again, and wait until each worker has received the last event."""
        for index, worker in enumerate(self.workers):
            worker.signal(signal.SIGCONT)
            if worker.has_ended:
                self.workers[index] = Process(self._server, worker.config)
                await self.workers[index].start()
        await self.until_ready()
        async with asyncio.timeout(PATIENCE):
            while True:
                self.emit(1)
                await asyncio.sleep(0.05)
                if all(self.number - 1 in worker.received[-3:] for worker in self.workers):
                    break
            while not await self.books_are_equal():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.05)
        for worker in self.workers:
            check(worker.received)
        epochs = [*self.epochs, *(epoch for worker in self.workers for epoch in worker.epochs)]
        assert len(epochs) == len(set(epochs)), "two leaders had one epoch"
        assert not self.watch.doubled

    async def until_ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(worker.is_ready for worker in self.workers):
                assert not any(worker.has_ended for worker in self.workers), self._server.errors()
                await asyncio.sleep(0.01)

    async def books_are_equal(self) -> bool:
        expected = repr(in_the_world(self.sandbox, self.account_id))
        books = [await worker.book() for worker in self.workers]
        return all(book == {"book": expected, "is_current": True} for book in books)

    # Actions.

    def pick(self) -> Process:
        alive = [worker for worker in self.workers if not worker.has_ended]
        return self.random.choice(alive)

    async def kill(self) -> None:
        worker = self.pick()
        if sum(not each.has_ended for each in self.workers) > 1:
            await worker.kill()
            check(worker.received)
            self.epochs += worker.epochs

    async def stop(self) -> None:
        worker = self.pick()
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(self.random.random() * 2 * LEASE)
        self.emit(self.random.randint(0, 5))
        worker.signal(signal.SIGCONT)

    async def stop_until_the_end(self) -> None:
        self.pick().signal(signal.SIGSTOP)

    async def kill_connections(self) -> None:
        self.master.command("CLIENT", "KILL", "TYPE", "normal")

    async def sleep(self) -> None:
        await asyncio.to_thread(self.master.command, "DEBUG", "SLEEP", self.random.random() * 1.5 * LEASE)

    async def cut(self) -> None:
        self.proxy.cut()
        await asyncio.sleep(self.random.random() * 1.5 * LEASE)
        self.emit(self.random.randint(0, 5))
        self.proxy.flow()

    async def fail_over(self) -> None:
        self.replica.command("REPLICAOF", "NO", "ONE")
        self.emit(self.random.randint(0, 10))  # the replica lacks these
        await asyncio.sleep(self.random.random() * 0.05)
        self.master, self.replica = self.replica, self.master
        self.proxy.redirect(self.master.port)
        await self.replicate()

    async def lose_session(self) -> None:
        self.sandbox.stream.reset()

    async def take_session(self) -> None:
        self.sandbox.stream.displace()

    async def place_order(self) -> None:
        await placed(self.user, self.account_id)


ACTIONS = (
    "kill",
    "stop",
    "stop_until_the_end",
    "kill_connections",
    "sleep",
    "cut",
    "fail_over",
    "lose_session",
    "take_session",
    "place_order",
)


def check(received: list[int]) -> None:
    """Assert that no event comes twice, and that each missing one lies inside a gap."""
    latest, has_gap = 0, True
    for number in received:
        if number == GAP:
            has_gap = True
            continue
        assert number > latest, f"{number} came after {latest}"
        assert number == latest + 1 or has_gap, f"no gap between {latest} and {number}"
        latest, has_gap = number, False


async def follow(server: WorkerServer, seed: int) -> None:
    """Run the schedules of one group."""
    group = Group(server, seed)
    async with AsyncExitStack() as stack:
        await group.open(stack)
        for turn in range(TURNS):
            try:
                await group.run()
            except BaseException as exc:
                exc.add_note(f"seed {seed}, turn {turn}: {group.actions}")
                raise
        assert any(group.watch.epochs.values())


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerServer]:
    with WorkerServer() as running:
        yield running


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first_seed", range(0, TESTS * GROUPS, GROUPS))
async def test_schedule_of_failures_loses_and_doubles_nothing(first_seed: int, server: WorkerServer) -> None:
    asyncio.get_running_loop().set_debug(False)  # it doubles the time of the sandbox and the proxies
    async with asyncio.TaskGroup() as tasks:
        for seed in range(first_seed, first_seed + GROUPS):
            tasks.create_task(follow(server, seed))
