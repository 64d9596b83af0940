"""A running sandbox whose clock stands still, and a bare HTTP client that knows its credentials."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Sandbox

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def _frozen() -> Iterator[None]:
    """What is alive before the first test is no test's litter: set aside, it need not be searched after each one."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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
def ask(sandbox: Sandbox, http: aiohttp.ClientSession) -> Callable[..., Awaitable[tuple[int, Any]]]:
    """Ask the sandbox as its client, for a user if one is named, and answer with status and JSON body."""

    async def ask(method: str, path: str, user: str | None = None, **options: Any) -> tuple[int, Any]:
        headers = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
        if user is not None:
            headers |= {"user-id": user, "user-secret": sandbox.world.users[user].secret}
        async with http.request(method, sandbox.url + path, headers=headers, **options) as response:
            return response.status, await response.json()

    return ask


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
