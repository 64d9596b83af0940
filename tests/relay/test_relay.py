from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis, asyncio as aredis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from connecttrade_async import ConfigurationError, ConnectTrade, Endpoints
from connecttrade_async.relay import Relay
from connecttrade_async.sandbox import Sandbox
from redis_server import RedisServer, needs_redis
from relay_fixtures import worker
from stream_fixtures import publish

if TYPE_CHECKING:
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream

SECRET = "pass-word-of-redis"


def variables_of(error: BaseException) -> list[str]:
    """Return the variables of each frame of the package in a traceback, as text."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [repr(frame.f_locals) for frame in frames if "connecttrade_async" in frame.f_code.co_filename]


def stream_of(**settings: Any) -> BrokerageStream:
    ct = ConnectTrade("client", "secret", endpoints=Endpoints(stream="ws://127.0.0.1:1"))
    return ct.brokerage_stream(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"since": "1-1"}, "since"),
        ({"relay": "redis://localhost"}, "relay"),
        ({"relay": Relay("redis://localhost"), "since": "later"}, "since"),
        ({"relay": Relay("redis://localhost"), "since": 5}, "since"),
        ({"relay": Relay("redis://localhost"), "since": "99999999999999999999-1"}, "since"),
        ({"relay": Relay("redis://localhost"), "on_taken": "retake"}, "on_taken"),
    ],
    ids=["no relay", "no Relay", "word", "number", "too large", "retake"],
)
def test_stream_rejects_invalid_settings_of_a_relay(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        stream_of(**settings)


@pytest.mark.parametrize(
    "target",
    [
        f"http://user:{SECRET}@localhost",
        f"redis://user:{SECRET}@localhost:port",
        f"user:{SECRET}@localhost",
        f"redis://user:{SECRET}@localhost?socket_timeout={SECRET}",
        "",
        5,
        None,
        Redis(),
    ],
    ids=["http", "port", "no scheme", "option", "empty", "int", "None", "synchronous"],
)
def test_relay_rejects_what_names_no_server_and_shows_no_password(target: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^url_or_client must be") as caught:
        Relay(target)
    assert [frame for frame in variables_of(caught.value) if SECRET in frame] == []


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (f"redis://user:{SECRET}@host:7000/2", "redis://host:7000/2"),
        (f"rediss://:{SECRET}@host", "rediss://host:6379/0"),
        (f"unix://user:{SECRET}@/run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
        (aredis.Redis(host="host", port=7000, password=SECRET), "redis://host:7000/0"),
        (aredis.Redis(host="host", ssl=True, password=SECRET), "rediss://host:6379/0"),
        (Sentinel([("host", 26379)]).master_for("main", password=SECRET), "sentinel main"),  # type: ignore[no-untyped-call]
    ],
    ids=["redis", "rediss", "unix", "client", "TLS client", "sentinel"],
)
def test_relay_takes_addresses_and_clients_of_redis_py_and_shows_no_password(target: object, name: str) -> None:
    relay = Relay(target)
    assert name in repr(relay)
    shown = f"{relay!r} {vars(relay)!r} {relay._address._settings!r}"
    assert SECRET not in shown


def test_connection_of_the_relay_never_resends_and_has_one_form_of_answers() -> None:
    client = aredis.Redis(
        retry=Retry(NoBackoff(), 3), health_check_interval=5, decode_responses=True, protocol=3, socket_timeout=1
    )
    connection = Relay(client)._address.connection(2.0)
    assert (connection.protocol, connection.socket_timeout, connection.health_check_interval) == (2, None, 0)
    assert connection.retry._retries == 0
    assert connection.encoder.decode_responses is False


def test_stream_without_a_relay_has_no_position_and_is_alone() -> None:
    stream = stream_of()
    assert stream.position is None
    health = stream.health()
    assert (health.role, health.leader, health.epoch, health.lag) == ("ALONE", None, None, None)


@needs_redis
async def test_status_and_health_show_the_leader() -> None:
    async with RedisServer() as redis, Sandbox(seed=1) as sandbox:
        relay = Relay(redis.url)
        empty = await relay.status(sandbox.client_id)
        assert (empty.leader, empty.epoch, empty.position, empty.is_live) == (None, None, None, False)
        async with worker(sandbox, redis) as leader, worker(sandbox, redis) as follower:
            publish(sandbox, 1)
            for each in (leader, follower):
                await each.until("o1")
            status, health = await relay.status(sandbox.client_id), follower.stream.health()
            assert (status.leader, status.epoch, status.is_live) == (health.leader, health.epoch, True)
            assert status.position == follower.stream.position
            assert health.lag is not None
            assert health.lag.entries == 0
            assert re.fullmatch(r"\S+-\d+-[0-9a-f]{8}", health.leader or "")
        assert (await relay.status(sandbox.client_id)).leader is None


@needs_redis
async def test_relays_of_another_client_or_prefix_do_not_meet() -> None:
    async with (
        RedisServer() as redis,
        Sandbox(seed=1) as one,
        Sandbox(seed=2) as other,
        worker(one, redis, prefix="a") as first,
        worker(other, redis, prefix="b") as second,
    ):
        assert (first.role, second.role) == ("LEADER", "LEADER")
        publish(one, 1)
        publish(other, 2)
        await first.until("o1")
        await second.until("o2")
        assert (first.orders, second.orders) == (["o1"], ["o2"])
