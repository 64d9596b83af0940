"""Servers that a relay cannot use: each is one clear error, and no session is opened."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis import asyncio as aredis
from redis.asyncio.sentinel import SentinelConnectionPool

from connecttrade_async import RelayError
from connecttrade_async.relay import Relay
from connecttrade_async.relay.log import LogPosition
from connecttrade_async.relay.redis import RedisAddress
from connecttrade_async.relay.scripts import APPEND, DONE, RelayKeys, Script
from connecttrade_async.sandbox import Sandbox
from redis_server import RedisServer, free_port, needs_redis
from relay_fixtures import TcpProxy, eventually, worker
from scripted_server import trusted
from stream_fixtures import client, nothing_left, publish

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = needs_redis
PASSWORD = "correct-horse-battery"
KEYS = RelayKeys.of("ct", "client")


@pytest.fixture
async def redis() -> AsyncGenerator[RedisServer]:
    async with RedisServer() as server:
        yield server


async def refused(target: object, **settings: Any) -> RelayError:
    """Open a stream on a relay that cannot be used; return the error."""
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream(relay=Relay(target, **settings))
        events = stream.subscribe()
        with pytest.raises(RelayError) as caught:
            async with asyncio.timeout(10):
                await stream.open()
        with pytest.raises(RelayError):
            await events.receive()
        assert not sandbox.stream.sessions
        assert stream.health().state == "ENDED"
    return caught.value


async def test_server_that_is_away_is_unreachable_and_no_session_is_opened() -> None:
    error = await refused(f"redis://user:{PASSWORD}@127.0.0.1:{free_port()}")
    assert error.kind == "unreachable"
    assert PASSWORD not in str(error)


async def test_follower_waits_for_a_server_that_is_away() -> None:
    redis = RedisServer()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(seed=1))
        ct = await stack.enter_async_context(client(sandbox))
        stream = ct.brokerage_stream(relay=Relay(redis.url, lead=False, lease=0.6))
        opening = asyncio.create_task(stream.open())
        await asyncio.sleep(0.1)
        assert not opening.done()
        await stack.enter_async_context(redis)
        await stack.enter_async_context(worker(sandbox, redis))
        await opening
        assert stream.health().role == "FOLLOWER"
        await stream.aclose()


@pytest.mark.parametrize("login", ["", ":wrong-password@", "nobody:wrong-password@"], ids=["none", "password", "user"])
async def test_login_that_the_server_refuses_is_one_error_without_the_password(login: str) -> None:
    async with RedisServer(password=PASSWORD) as redis:
        error = await refused(f"redis://{login}127.0.0.1:{redis.port}")
    assert error.kind == "refused"
    assert "wrong-password" not in repr(error) + str(error) + repr(error.__cause__)


async def test_password_is_used_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Sandbox(seed=1) as sandbox, RedisServer(password=PASSWORD) as redis, worker(sandbox, redis) as leader:
        publish(sandbox, 1)
        await leader.until("o1")
        assert PASSWORD not in repr(leader.stream) + repr(vars(leader.stream))
        redis.kill()
        await eventually(lambda: leader.stream.health().state == "LOST")
    assert PASSWORD not in caplog.text
    assert all(PASSWORD not in repr(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("command", ["xadd", "set", "get", "xread", "evalsha", "time", "xtrim", "del", "type"])
async def test_command_that_the_user_may_not_use_is_named(command: str, redis: RedisServer) -> None:
    rights = ["ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~*", "&*", "+@all", f"-{command}"]
    redis.command(*rights)
    error = await refused(f"redis://limited:{PASSWORD}@127.0.0.1:{redis.port}")
    assert error.kind == "permission"
    assert command.upper() in str(error)
    assert PASSWORD not in str(error)


@pytest.mark.parametrize("command", ["get", "pttl", "time", "xrevrange", "xlen", "evalsha"])
async def test_status_names_the_command_that_the_user_may_not_use(command: str, redis: RedisServer) -> None:
    redis.command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~*", "&*", "+@all", f"-{command}")
    with pytest.raises(RelayError, match=f"may not use the command {command.upper()} "):
        await Relay(f"redis://limited:{PASSWORD}@127.0.0.1:{redis.port}").status("client")


async def test_status_names_the_key_of_another_type(redis: RedisServer) -> None:
    key = RelayKeys.of("ct", "client").lease
    redis.command("HSET", key, "field", "1")
    with pytest.raises(RelayError, match=f"the key {key} is a hash and not a string"):
        await Relay(redis.url).status("client")


async def test_user_of_other_keys_alone_is_refused(redis: RedisServer) -> None:
    redis.command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~other:*", "&*", "+@all")
    error = await refused(f"redis://limited:{PASSWORD}@127.0.0.1:{redis.port}")
    assert error.kind == "permission"
    assert "may not use the keys {ct:" in str(error)


async def test_user_without_info_may_lead_with_a_warning(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis.command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~{ct:*", "&*", "+@all", "-info")
    url = f"redis://limited:{PASSWORD}@127.0.0.1:{redis.port}"
    async with Sandbox(seed=1) as sandbox, worker(sandbox, redis, url=url) as leader:
        assert leader.role == "LEADER"
    assert "are unknown" in caplog.text


async def test_user_that_may_only_read_can_follow(redis: RedisServer) -> None:
    redis.command(
        *("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~{ct:*", "-@all", "+@read", "+@connection"),
        *("+evalsha", "+eval", "+info", "+time", "+type"),
    )
    url = f"redis://reader:{PASSWORD}@127.0.0.1:{redis.port}"
    async with (
        Sandbox(seed=1) as sandbox,
        worker(sandbox, redis),
        worker(sandbox, redis, url=url, lead=False) as follower,
    ):
        publish(sandbox, 1)
        await follower.until("o1")


async def test_server_that_is_full_is_one_error(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "maxmemory", "1")
    error = await refused(redis.url)
    assert error.kind == "full"


async def test_server_that_is_full_later_keeps_the_session_and_the_events(redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox, worker(sandbox, redis, lease=5.0) as leader:
        redis.command("CONFIG", "SET", "maxmemory", "1")
        publish(sandbox, 1, 2)
        await asyncio.sleep(0.3)
        redis.command("CONFIG", "SET", "maxmemory", "0")
        await leader.until("o2")
        assert (leader.orders, leader.gaps) == (["o1", "o2"], 0)


async def test_server_that_is_a_replica_is_one_error(redis: RedisServer) -> None:
    async with RedisServer() as replica:
        replica.command("REPLICAOF", "127.0.0.1", redis.port)
        error = await refused(replica.url)
    assert error.kind == "read-only"


async def test_server_that_is_too_old_is_one_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.strip().upper() == b"INFO":
                text = b"# Server\r\nredis_version:5.0.14\r\n"
                writer.write(b"$%d\r\n%b\r\n" % (len(text), text))
            elif line.strip().upper() in {b"SETINFO", b"SELECT"}:
                writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        error = await refused(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert error.kind == "version"
    assert "5.0.14" in str(error)


@pytest.mark.parametrize("name", ["lease", "epoch", "log", "state", "standby"])
async def test_key_of_another_type_is_one_error(name: str, redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox:
        key = getattr(RelayKeys.of("ct", sandbox.client_id), name)
    redis.command("SADD", key, "a foreign value")
    error = await refused(redis.url)
    assert error.kind == "key"
    assert key in str(error)


async def test_log_with_an_id_above_all_of_ours_is_one_error(redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox:
        key = RelayKeys.of("ct", sandbox.client_id).log
    redis.command("XADD", key, "18446744073709551614-1", "a", "b")
    error = await refused(redis.url)
    assert error.kind == "key"


@pytest.mark.parametrize(
    "fields",
    [
        ("a", "b"),
        ("orders", "no time"),
        ("orders", "1 {}", "orders", "2 {}"),
        ("live", "1 nonsense"),
        ("epoch", "1 {}"),
    ],
    ids=["field", "time", "two", "control", "epoch"],
)
async def test_foreign_entry_is_a_gap_and_never_an_event(fields: tuple[str, ...], redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox, worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
        publish(sandbox, 1)
        for each in (leader, follower):
            await each.until("o1")
        redis.command("XADD", RelayKeys.of("ct", sandbox.client_id).log, "*", *fields)
        for each in (leader, follower):
            await each.until("Gap")
        publish(sandbox, 2)
        for each in (leader, follower):
            await each.until("o2")
            assert each.orders == ["o1", "o2"]
            await each.until_live()


async def test_foreign_frame_in_the_form_of_an_entry_is_an_unknown_message(redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox, worker(sandbox, redis) as leader:
        unknown = leader.stream.subscribe("unknown")
        key = RelayKeys.of("ct", sandbox.client_id).log
        assert leader.stream.position is not None
        top = LogPosition.parse(leader.stream.position)
        assert top is not None
        redis.command("XADD", key, f"{top.epoch}-{top.sequence + 1}", "orders", '1 {"type":"authenticated"}')
        async with asyncio.timeout(5):
            event: Any = await unknown.receive()
        assert event.raw == b'{"type":"authenticated"}'


async def test_channel_is_usable_after_a_call_was_cancelled(redis: RedisServer) -> None:
    async with TcpProxy(redis.port) as proxy:
        channel = RedisAddress(proxy.url).channel(KEYS, 5.0)
        before = await channel.view()
        proxy.stall()
        call = asyncio.create_task(channel.run(Script("return {'LATE', '', 7}")))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        proxy.flow()
        assert (await channel.view())._replace(now=0) == before._replace(now=0)
        await channel.aclose()


async def test_append_that_is_sent_again_is_done_once(redis: RedisServer) -> None:
    channel = RedisAddress(redis.url).channel(KEYS, 5.0)
    redis.command("SET", KEYS.lease, "w:7")
    entries = ("live", "1 {}", "orders", "2 {}", "orders", "3 {}")
    for count in (4, 6, 6):
        reply = await channel.run(APPEND, "w:7", 9000, 100, 7, 1, "", *entries[:count])
        assert reply.word == DONE
    assert [entry_id for entry_id, _ in redis.command("XRANGE", KEYS.log, "-", "+")] == [b"7-1", b"7-2", b"7-3"]
    await channel.aclose()


async def test_every_key_expires(redis: RedisServer) -> None:
    async with Sandbox(seed=1) as sandbox, worker(sandbox, redis) as leader:
        publish(sandbox, 1)
        await leader.until("o1")
        ttls = {key: redis.command("PTTL", key) for key in redis.command("KEYS", "*")}
        assert len(ttls) >= 4
        assert all(0 < ttl <= 900_000 for ttl in ttls.values())


async def test_relay_connects_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    async with (
        Sandbox(seed=1) as sandbox,
        RedisServer("--unixsocket", str(path)) as redis,
        worker(sandbox, redis, url=f"unix://{path}") as leader,
    ):
        publish(sandbox, 1)
        await leader.until("o1")


async def test_relay_connects_by_tls(tmp_path: Path, redis: RedisServer) -> None:
    server_context, client_context = trusted()
    authority = tmp_path / "authority.pem"
    certificates = client_context.get_ca_certs(binary_form=True)
    authority.write_text("".join(ssl.DER_cert_to_PEM_cert(each) for each in certificates))
    async with Sandbox(seed=1) as sandbox, TcpProxy(redis.port, tls=server_context) as proxy:
        secure = aredis.Redis(port=proxy.port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(authority))
        # redis-py reads the authorities for each connection, which takes long.
        async with worker(sandbox, redis, url=secure, lease=6.0) as leader:
            publish(sandbox, 1)
            await leader.until("o1")


async def test_nothing_secret_is_in_a_dump_of_all_keys() -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        RedisServer(password=PASSWORD) as redis,
        worker(sandbox, redis) as leader,
        worker(sandbox, redis) as follower,
    ):
        secret = sandbox.client_secret
        unknown = follower.stream.subscribe("unknown")
        publish(sandbox, 1)
        # A server may echo what it was sent, in any frame.
        sandbox.stream.publish("orders", "u", "a", {"order_id": "o2", "note": secret})
        sandbox.stream.send(f"nonsense with {secret} and {PASSWORD}")
        sandbox.stream.send({"type": "weather", "client_secret": secret})
        for each in (leader, follower):
            await each.until("o2")
        async with asyncio.timeout(5):
            for _ in range(2):
                event: Any = await unknown.receive()
                assert PASSWORD.encode() not in event.raw
                assert secret.encode() not in event.raw
        dump = redis.dump()
        assert b"o2" in dump
        assert secret.encode() not in dump
        assert PASSWORD.encode() not in dump
        assert sandbox.client_id.encode() not in dump


async def test_two_servers_of_a_sentinel_are_found_again_after_a_fail_over(redis: RedisServer) -> None:
    """A client of a Sentinel resolves the master for each new connection of the relay."""

    class Finder:
        """Stands in for the discovery of a Sentinel, which needs three processes and ten seconds."""

        port = 0

        async def discover_master(self, name: str) -> tuple[str, int]:
            assert name == "main"
            return "127.0.0.1", self.port

    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(RedisServer())
        finder = Finder()
        finder.port = redis.port
        pool: Any = cast("Any", SentinelConnectionPool)("main", finder)
        sandbox = await stack.enter_async_context(Sandbox(seed=1))
        url = aredis.Redis(connection_pool=pool)
        leader = await stack.enter_async_context(worker(sandbox, redis, url=url))
        publish(sandbox, 1)
        await leader.until("o1")
        finder.port = other.port
        redis.command("REPLICAOF", "127.0.0.1", other.port)
        publish(sandbox, 2)
        await leader.until("o2")
        await eventually(lambda: other.length() > 0)
