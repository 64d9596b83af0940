"""The command ``relay``: it leads for other processes, and shows the state of a relay."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from cli_runner import CommandProcess
from redis_server import RedisServer, free_port, needs_redis
from relay_fixtures import worker
from stream_fixtures import publish

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "relay"]
PASSWORD = "correct-horse-battery"


@asynccontextmanager
async def led(environment: dict[str, str], sandbox: Sandbox, *arguments: str) -> AsyncGenerator[CommandProcess]:
    with anyio.fail_after(30):
        async with await anyio.open_process([*COMMAND, *arguments], env=environment) as process:
            try:
                await sandbox.stream.until_live()
                yield CommandProcess(process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


@needs_redis
async def test_relay_leads_for_other_processes_until_a_signal(environment: dict[str, str], sandbox: Sandbox) -> None:
    async with RedisServer() as redis:
        where = environment | {"CONNECTTRADE_RELAY_URL": redis.url}
        async with led(where, sandbox, "--json") as command:
            found: dict[str, str] = {}
            while found.get("role") != "LEADER":  # the events of connecting come first
                found = json.loads(await command.read_line())
            async with worker(sandbox, redis, lease=3.0) as follower:
                assert follower.role == "FOLLOWER"
                publish(sandbox, 1)
                await follower.until("o1")
                assert follower.stream.health().leader == found["leader"]
            assert await command.stop() == 0


@needs_redis
async def test_relay_prints_a_warning_about_a_server_that_evicts(call: Call) -> None:
    async with RedisServer("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as redis:
        result = await call("relay", "--for", "0.1", CONNECTTRADE_RELAY_URL=redis.url)
    assert result.exit_code == 0
    warning = "the relay's Redis server may evict its log: maxmemory-policy is allkeys-lru; set it to noeviction"
    assert f"connecttrade: {warning}\n" in result.stderr


@needs_redis
async def test_relay_status_shows_the_leader_and_the_log(call: Call, sandbox: Sandbox) -> None:
    async with RedisServer(password=PASSWORD) as redis:
        before = await call("relay", "--status", CONNECTTRADE_RELAY_URL=redis.url)
        assert before.output == "leader    none\nlog       0 entries\nposition  none\n"
        async with worker(sandbox, redis) as leader:
            publish(sandbox, 1)
            await leader.until("o1")
            text = await call("relay", "--status", CONNECTTRADE_RELAY_URL=redis.url)
            found = json.loads((await call("relay", "--status", "--json", CONNECTTRADE_RELAY_URL=redis.url)).output)
            health = leader.stream.health()
        assert text.exit_code == 0
        assert f"leader    {health.leader}, live, lease for " in text.output
        assert f"position  {leader.stream.position}" in text.output
        assert (found["leader"], found["epoch"], found["is_live"]) == (health.leader, health.epoch, True)
        assert found["entries"] == 3
        assert 0 <= found["age"] < 30
    assert PASSWORD not in text.output


@pytest.mark.parametrize("arguments", [(), ("--status",)], ids=["leads", "status"])
async def test_relay_without_a_server_is_one_sentence(call: Call, arguments: tuple[str, ...]) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}"
    result = await call("relay", *arguments, CONNECTTRADE_RELAY_URL=url)
    assert result.exit_code == 1
    assert result.output.startswith("connecttrade: the relay cannot use its Redis server: ")
    assert "CONNECTTRADE_RELAY_URL" in result.output
    assert PASSWORD not in result.output


@pytest.mark.parametrize(
    "arguments", [("--lease", "0"), ("--keep-events", "0"), ("--keep-age", "-1"), ("--prefix", "{a}")], ids=str
)
async def test_relay_rejects_invalid_settings(call: Call, arguments: tuple[str, ...]) -> None:
    result = await call("relay", *arguments)
    assert result.exit_code == 2
    assert "must be" in result.output


async def test_relay_rejects_an_address_that_is_none(call: Call) -> None:
    result = await call("relay", CONNECTTRADE_RELAY_URL=f"http://:{PASSWORD}@host")
    assert result.exit_code == 2
    assert "url_or_client must be" in result.output
    assert PASSWORD not in result.output
