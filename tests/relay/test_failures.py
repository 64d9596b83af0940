"""The failures that a relay survives: one test for each row of the table in ``docs/relay.md``."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.config import Reconnect
from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.relay import Keep
from connecttrade_async.sandbox import Sandbox
from redis_server import EACH_SERVER, RedisServer, needs_redis
from relay_fixtures import TcpProxy, Worker, eventually, worker
from stream_fixtures import client, publish, taken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = needs_redis


@pytest.fixture
async def redis() -> AsyncGenerator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with Sandbox(seed=1) as running:
        yield running


async def logins(sandbox: Sandbox, times: int) -> None:
    """Wait until the server has received this number of logins."""
    async with asyncio.timeout(10):
        await sandbox.stream.until_received("authenticate", times)


async def publish_often(sandbox: Sandbox, first: int) -> None:
    for number in itertools.count(first):
        publish(sandbox, number)
        await asyncio.sleep(0.05)


def login_count(sandbox: Sandbox) -> int:
    return sum("authenticated" in str(message) for message in sandbox.stream.log)


@pytest.mark.parametrize("binary", EACH_SERVER)
async def test_every_worker_receives_every_event_of_one_session(binary: str, sandbox: Sandbox) -> None:
    async with (
        RedisServer(binary=binary) as redis,
        worker(sandbox, redis) as leader,
        worker(sandbox, redis) as follower,
    ):
        assert (leader.role, follower.role) == ("LEADER", "FOLLOWER")
        publish(sandbox, 1, 2, 3)
        for each in (leader, follower):
            await each.until("o3")
            assert each.orders == ["o1", "o2", "o3"]
            assert each.gaps == 0
        assert leader.stream.health().leader == follower.stream.health().leader
        assert len(sandbox.stream.sessions) == 1


async def test_leader_that_is_cut_off_loses_the_lease_and_its_appends_are_refused(
    redis: RedisServer, sandbox: Sandbox
) -> None:
    async with (
        TcpProxy(redis.port) as proxy,
        worker(sandbox, redis, url=proxy.url) as leader,
        worker(sandbox, redis) as follower,
    ):
        proxy.stall()
        publish(sandbox, 1)  # it waits in the leader
        await follower.until("Gap")
        assert follower.role == "LEADER"
        publish(sandbox, 2)
        await follower.until("o2")
        proxy.flow()
        await leader.until("o2")
        await eventually(lambda: leader.role == "FOLLOWER")
        publish(sandbox, 3)
        for each in (leader, follower):
            await each.until("o3")
            assert each.orders == ["o2", "o3"]
            assert each.gaps == 1


async def test_server_that_refuses_the_newer_session_is_asked_again_and_followers_are_not_live(
    redis: RedisServer, sandbox: Sandbox
) -> None:
    sandbox.stream.displaces = "newer"
    async with (
        TcpProxy(redis.port) as proxy,
        worker(sandbox, redis, url=proxy.url) as old,
        worker(sandbox, redis) as new,
        worker(sandbox, redis, lead=False) as follower,
    ):
        proxy.stall()
        await eventually(lambda: new.role == "LEADER")
        await eventually(lambda: follower.stream.health().state == "LOST")
        assert new.stream.health().state != "LIVE"
        await old.stream.aclose()  # only now the server has room for another session
        for each in (new, follower):
            await each.until("Gap")
            await each.until_live()
            assert each.gaps == 1


async def test_redis_that_stalls_for_less_than_the_lease_loses_nothing(redis: RedisServer, sandbox: Sandbox) -> None:
    async with worker(sandbox, redis, lease=3.0) as leader, worker(sandbox, redis, lease=3.0) as follower:
        redis.signal(signal.SIGSTOP)
        publish(sandbox, 1, 2)
        await asyncio.sleep(1.2)  # longer than the time for one call
        publish(sandbox, 3)
        redis.signal(signal.SIGCONT)
        for each in (leader, follower):
            await each.until("o3")
            assert each.orders == ["o1", "o2", "o3"]
            assert each.gaps == 0
        assert leader.role == "LEADER"
        assert login_count(sandbox) <= 1


async def test_redis_that_restarts_with_nothing_is_no_gap_for_a_follower_that_read_all(
    redis: RedisServer, sandbox: Sandbox
) -> None:
    async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        publish(sandbox, 1)
        for each in (leader, follower):
            await each.until("o1")
        redis.kill()
        publish(sandbox, 2, 3)
        await eventually(lambda: follower.stream.health().state == "LOST")
        await redis.start()
        for each in (leader, follower):
            await each.until("o3")
            assert each.orders == ["o1", "o2", "o3"]
            assert each.gaps == 0
            await each.until_live()


async def test_redis_that_restarts_with_nothing_is_one_gap_for_a_follower_that_was_behind(
    redis: RedisServer, sandbox: Sandbox
) -> None:
    async with (
        TcpProxy(redis.port) as proxy,
        worker(sandbox, redis) as leader,
        worker(sandbox, redis, url=proxy.url, lead=False) as follower,
    ):
        proxy.cut()
        publish(sandbox, 1)
        await leader.until("o1")
        redis.kill()
        await redis.start()
        publish(sandbox, 2)
        await leader.until("o2")
        proxy.flow()
        await follower.until("o2")
        assert follower.story[-2:] in (["Gap", "o2"], ["StreamLive", "o2"])
        assert (follower.orders, follower.gaps) == (["o2"], 1)


async def test_fail_over_that_loses_writes_is_a_gap_only_for_a_follower_without_them(sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(RedisServer())
        replica = await stack.enter_async_context(RedisServer())
        replica.command("REPLICAOF", "127.0.0.1", master.port)
        await eventually(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
        proxy = await stack.enter_async_context(TcpProxy(master.port))
        slow_proxy = await stack.enter_async_context(TcpProxy(master.port))
        leader = await stack.enter_async_context(worker(sandbox, master, url=proxy.url, lease=2.0))
        behind = await stack.enter_async_context(worker(sandbox, master, url=slow_proxy.url, lead=False, lease=2.0))
        publish(sandbox, 1)
        for each in (leader, behind):
            await each.until("o1")
        await eventually(lambda: replica.length() == 3)
        replica.command("REPLICAOF", "NO", "ONE")
        slow_proxy.stall()
        publish(sandbox, 2)
        await leader.until("o2")
        for link in (proxy, slow_proxy):  # both find the new master
            link.redirect(replica.port)
        publish(sandbox, 3)
        for each in (leader, behind):
            await each.until("o3")
        assert (leader.orders, leader.gaps) == (["o1", "o2", "o3"], 0)
        assert (behind.orders, behind.gaps) == (["o1", "o3"], 1)


async def test_hole_in_a_quiet_log_is_found_without_another_event(redis: RedisServer, sandbox: Sandbox) -> None:
    async with (
        TcpProxy(redis.port) as proxy,
        worker(sandbox, redis) as leader,
        worker(sandbox, redis, url=proxy.url, lead=False) as follower,
    ):
        proxy.cut()
        publish(sandbox, 1)
        await leader.until("o1")
        (key,) = redis.command("KEYS", "*:log")
        ((last, _),) = redis.command("XREVRANGE", key, "+", "-", "COUNT", 1)
        redis.command("XDEL", key, last)  # as if a fail-over had lost it
        proxy.flow()
        await follower.until("Gap")  # no event comes: the leader finds the hole when it renews its lease
        assert (leader.gaps, follower.orders) == (0, [])


async def test_two_masters_are_a_gap_for_the_side_that_loses(sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        losing = await stack.enter_async_context(RedisServer())
        winning = await stack.enter_async_context(RedisServer())
        proxy = await stack.enter_async_context(TcpProxy(losing.port))
        first = await stack.enter_async_context(worker(sandbox, losing))
        follower = await stack.enter_async_context(worker(sandbox, losing, url=proxy.url, lead=False))
        publish(sandbox, 1)
        for each in (first, follower):
            await each.until("o1")
        second = await stack.enter_async_context(worker(sandbox, winning))  # it takes the session
        # From now on both sides take it in turn, so any one event may find no session.
        publishing = asyncio.create_task(publish_often(sandbox, first=2))
        stack.callback(publishing.cancel)
        await second.until_order()
        proxy.redirect(winning.port)
        await eventually(lambda: follower.stream.health().leader in {second.stream.health().leader} - {None})
        while follower.events.statistics().waiting:
            await follower.receive()
        await follower.until_order()
        assert "o1" not in follower.orders[1:]
        assert follower.gaps >= 1


async def test_client_outside_the_relay_makes_the_whole_relay_stand_by(redis: RedisServer, sandbox: Sandbox) -> None:
    calm = Reconnect(base=0.01, cap=0.02, standby=1.0)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(sandbox, redis, ct={"reconnect": calm})) for _ in range(5)]
        await logins(sandbox, 1)
        sandbox.stream.displace()
        await eventually(lambda: all(each.stream.health().state == "LOST" for each in workers))
        await eventually(lambda: all(each.role == "FOLLOWER" for each in workers))
        await asyncio.sleep(0.2)
        assert len(sandbox.stream.sessions) == 0
        for each in workers:
            await each.until("Gap")
            await each.until_live()
        publish(sandbox, 1)
        for each in workers:
            await each.until("o1")
        assert sum(each.role == "LEADER" for each in workers) == 1


async def test_twenty_candidates_at_once_log_in_once(redis: RedisServer, sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        workers: list[Worker] = await asyncio.gather(
            *(stack.enter_async_context(worker(sandbox, redis, lease=3.0)) for _ in range(20))
        )
        assert sum(each.role == "LEADER" for each in workers) == 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await sandbox.stream.until_received("authenticate", 2)
                pytest.fail("a second candidate has logged in")


async def test_follower_slower_than_the_kept_log_has_a_gap(redis: RedisServer, sandbox: Sandbox) -> None:
    async with (
        TcpProxy(redis.port) as proxy,
        worker(sandbox, redis, keep=Keep(events=10)) as leader,
        worker(sandbox, redis, url=proxy.url, lead=False) as follower,
    ):
        proxy.cut()
        publish(sandbox, *range(1, 1001))
        await leader.until("o1000")
        proxy.flow()
        await follower.until("o1000")
        assert follower.gaps == 1
        assert follower.orders[-1] == "o1000"
        assert len(follower.orders) < 1000


async def test_server_that_may_evict_the_log_is_a_warning(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async with RedisServer("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as redis:
        with caplog.at_level(logging.WARNING, "connecttrade_async.relay"):
            async with worker(sandbox, redis):
                pass
    assert "may evict its log: maxmemory-policy is allkeys-lru" in caplog.text


async def test_log_that_is_evicted_is_a_gap(redis: RedisServer, sandbox: Sandbox) -> None:
    async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        publish(sandbox, 1)
        await follower.until("o1")
        redis.command("FLUSHALL")
        publish(sandbox, 2)
        for each in (leader, follower):
            await each.until("o2")
            await each.until_live()


async def test_follower_that_restarts_misses_nothing(redis: RedisServer, sandbox: Sandbox) -> None:
    async with worker(sandbox, redis):
        async with worker(sandbox, redis) as before:
            publish(sandbox, 1, 2)
            await before.until("o2")
            position = before.stream.position
        publish(sandbox, 3, 4)
        async with worker(sandbox, redis, since=position) as after:
            await after.until("o4") if "o4" not in after.story else None
            assert (after.orders, after.gaps) == (["o3", "o4"], 0)


async def test_leader_that_closes_is_replaced_at_once(redis: RedisServer, sandbox: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(worker(sandbox, redis, lease=30.0))
        follower = await stack.enter_async_context(worker(sandbox, redis, lease=30.0))
        await leader.stream.aclose()
        await follower.until("Gap")
        await follower.until_live()
        assert follower.role == "LEADER"


async def test_connection_of_the_leader_that_is_killed_loses_nothing(redis: RedisServer, sandbox: Sandbox) -> None:
    async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        publish(sandbox, 1)
        redis.command("CLIENT", "KILL", "TYPE", "normal")
        publish(sandbox, 2)
        for each in (leader, follower):
            await each.until("o2")
            assert (each.orders, each.gaps) == (["o1", "o2"], 0)


async def test_followers_read_frames_of_other_names_as_a_stream_without_a_relay_does(
    redis: RedisServer, sandbox: Sandbox
) -> None:
    fields = {"orderId": "o1", "orderQty": "10", "filledQty": "4", "symbol": "MSFT", "status": "working"}
    frames: list[dict[str, object]] = [
        {"event": "order", "userId": "u", "accountId": "a", "data": fields | {"orderId": f"o{number}"}}
        for number in (1, 2)
    ]
    frames.append(
        {"type": "position", "user_id": "u", "account_id": "a", "data": {"symbol": "MSFT", "averagePrice": "7"}}
    )
    async with client(sandbox) as ct, ct.brokerage_stream() as alone, alone.subscribe() as events:
        for frame in frames:
            sandbox.stream.send(frame)
        expected = await taken(events, 3)
    async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        found = [each.stream.subscribe() for each in (leader, follower)]
        for frame in frames:
            sandbox.stream.send(frame)
        sandbox.stream.send(json.dumps({"type": "order", "data": [fields | {"orderId": "o3"}] * 2}))
        for each in found:
            assert await taken(each, 3) == expected
            assert len(await taken(each, 2)) == 2


async def test_empty_frame_is_a_heartbeat_on_every_worker(redis: RedisServer, sandbox: Sandbox) -> None:
    async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        found = [each.stream.subscribe("unknown") for each in (leader, follower)]
        for frame in ("", "{}", "parrot"):
            sandbox.stream.send(frame)
        for each in found:
            (event,) = await taken(each, 1)
            assert isinstance(event, UnknownMessage)
            assert event.raw == b"parrot"
