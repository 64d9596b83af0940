"""How to test your own code: against the sandbox, with real HTTP, and with what goes wrong.

Run it with ``pytest examples/your_own_tests.py``. It needs pytest and anyio, whose pytest plugin runs the coroutines.
"""

# ruff: noqa: S101 - pytest asserts are the point
from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ConnectTrade, RateLimitedError, Retry
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connecttrade_async import User

pytestmark = pytest.mark.anyio
PAUSE = 30  # seconds


async def worth(user: User) -> Decimal:
    """Your code: what somebody's positions are worth together."""
    return sum([position.market_value or Decimal(0) for position in await user.positions.list()], Decimal(0))


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A fresh world for each test, the same each time."""
    async with Sandbox(seed=7) as sandbox:
        yield sandbox


@pytest.fixture
async def user(sandbox: Sandbox) -> AsyncIterator[User]:
    """A user with one broker connected. One attempt, so that a test meets each fault at once."""
    async with ConnectTrade(
        sandbox.client_id,
        sandbox.client_secret,
        endpoints=sandbox.endpoints,
        retry=Retry(attempts=1),
    ) as ct:
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done")
        await sandbox.approve(request.url, broker="TRADESTATION")
        yield user


async def test_positions_have_a_worth(user: User) -> None:
    """The ordinary day."""
    assert await worth(user) > 0


async def test_too_many_requests_is_an_error_and_not_a_worth_of_nothing(sandbox: Sandbox, user: User) -> None:
    """The other day."""
    fault = sandbox.faults.add(Fault("status", path="/positions", status=429, retry_after=str(PAUSE)))
    with pytest.raises(RateLimitedError) as caught:
        await worth(user)
    assert caught.value.retry_after == PAUSE
    assert fault.fired == 1
