"""A running sandbox with its clock held, and a bare HTTP client that knows its credentials."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect as connect_socket

from connecttrade_async.sandbox import Sandbox

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7) as running:
        running.clock.hold(NOON)
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def fetch(sandbox: Sandbox, http: aiohttp.ClientSession) -> Callable[..., Awaitable[tuple[int, Any]]]:
    """Fetch the sandbox as its client, for a user if one is named, and answer with status and JSON body."""

    async def fetch(method: str, path: str, user: str | None = None, **options: Any) -> tuple[int, Any]:
        headers = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
        if user is not None:
            headers |= {"user-id": user, "user-secret": sandbox.world.users[user].secret}
        async with http.request(method, sandbox.url + path, headers=headers, **options) as response:
            return response.status, await response.json()

    return fetch


@pytest.fixture
def connect(sandbox: Sandbox) -> Callable[..., Awaitable[str]]:
    """Make a user if need be, connect a broker, and answer with the connection id."""

    async def connect(user_id: str = "jane", broker: str = "ALPACA", kind: str = "trade") -> str:
        world = sandbox.world
        user = world.users.get(user_id) or world.create_user(user_id)
        link = world.invite(user, kind, "https://app.example/", sandbox.clock.now())
        await sandbox.approve(f"{sandbox.url}/connect/{link.token}", broker)
        return next(reversed(user.connections))

    return connect


@pytest.fixture
async def dial(sandbox: Sandbox) -> AsyncIterator[Callable[..., Awaitable[ClientConnection]]]:
    """Open bare WebSockets to the stream, none of which outlives the test."""
    async with AsyncExitStack() as stack:

        async def dial(path: str = "/", *, at: str = "stream") -> ClientConnection:
            url = getattr(sandbox.endpoints, at) + path
            options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 0.1}
            return await stack.enter_async_context(connect_socket(url, **options))

        yield dial


@pytest.fixture
def listen(
    sandbox: Sandbox, dial: Callable[..., Awaitable[ClientConnection]]
) -> Callable[..., Awaitable[ClientConnection]]:
    """Open a WebSocket that has logged in and subscribed."""

    async def listen(*topics: str) -> ClientConnection:
        link = await dial()
        login = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        await link.send(json.dumps({"action": "authenticate", **login}))
        await link.send(json.dumps({"action": "subscribe", "topics": topics or ("orders", "positions", "balances")}))
        for expected in ("welcome", "authenticated", "subscribed"):
            assert json.loads(await link.recv())["type"] == expected
        return link

    return listen


@pytest.fixture
def mint(sandbox: Sandbox, connect: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """Connect a broker for market data and answer with a token for it."""

    async def mint(user_id: str = "jane", broker: str = "ALPACA") -> str:
        connection_id = await connect(user_id, broker, "market_data")
        return sandbox.market.replace_token(connection_id)

    return mint


@pytest.fixture
def tune(
    dial: Callable[..., Awaitable[ClientConnection]], mint: Callable[..., Awaitable[str]]
) -> Callable[..., Awaitable[ClientConnection]]:
    """Open a WebSocket that has logged in to the market-data stream."""

    async def tune(user_id: str = "jane", *, token: str | None = None) -> ClientConnection:
        link = await dial(at="market_data")
        token = await mint(user_id) if token is None else token
        await link.send(json.dumps({"action": "authenticate", "access_token": token}))
        for expected in ("welcome", "authenticated"):
            assert json.loads(await link.recv())["type"] == expected
        return link

    return tune
