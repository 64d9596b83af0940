"""A sandbox with a user, and two ways to run the command: in this process and in its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from connecttrade_async import ConnectTrade
from connecttrade_async.cli import connecttrade
from connecttrade_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from subprocess import CompletedProcess

    Call: TypeAlias = Callable[..., Awaitable[Result]]
    Run: TypeAlias = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7) as running:
        yield running


@pytest.fixture
def client_only(sandbox: Sandbox) -> dict[str, str]:
    """An environment with the credentials of a client and no other variable of the command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTTRADE_")}
    return {
        **clean,
        "COLUMNS": "80",
        "LINES": "25",
        "PYTHONASYNCIODEBUG": "",
        "CONNECTTRADE_API_URL": sandbox.url,
        "CONNECTTRADE_STREAM_URL": sandbox.stream.url,
        "CONNECTTRADE_MDSTREAM_URL": sandbox.market.url,
        "CONNECTTRADE_CLIENT_ID": sandbox.client_id,
        "CONNECTTRADE_CLIENT_SECRET": sandbox.client_secret,
    }


@pytest.fixture
async def environment(sandbox: Sandbox, client_only: dict[str, str]) -> dict[str, str]:
    """The environment of the user ada: one broker reports profits, and the other one does not."""
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        new = await ct.users.create("ada")
        for broker in ("ALPACA", "TASTYTRADE"):
            request = await ct.user("ada", new.user_secret).connections.create(
                "trade", redirect_url="https://a.example"
            )
            await sandbox.approve(request.url, broker=broker)
    return {
        **client_only,
        "CONNECTTRADE_USER_ID": "ada",
        "CONNECTTRADE_USER_SECRET": str.__str__(new.user_secret.reveal()),
    }


@pytest.fixture
async def connection(sandbox: Sandbox, environment: dict[str, str]) -> str:
    """The id of ada's connection for market data; the clock of the market is held."""
    sandbox.clock.hold()
    secret = environment["CONNECTTRADE_USER_SECRET"]
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        connections = ct.user("ada", secret).connections
        request = await connections.create("market_data", redirect_url="https://a.example")
        await sandbox.approve(request.url, broker="ALPACA")
        found = [one.connection_id for one in await connections.list() if one.connection_type == "market_data"]
    return found[0]


@pytest.fixture
def call(environment: dict[str, str]) -> Call:
    """Run the command in a thread beside the event loop of the sandbox."""

    async def run(*args: str, stdin: str = "", **extra: str | None) -> Result:
        runner = CliRunner(env={**environment, **extra})
        return await anyio.to_thread.run_sync(lambda: runner.invoke(connecttrade, args, input=stdin))

    return run


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run the command as a process, with warnings as errors."""

    async def run(*args: str, stdin: bytes = b"", **extra: str) -> CompletedProcess[bytes]:
        command = [sys.executable, "-W", "error", "-m", "connecttrade_async", *args]
        with anyio.fail_after(20):
            return await anyio.run_process(command, input=stdin, env={**environment, **extra}, check=False)

    return run
