"""How to test your own code: against the sandbox, with real HTTP, and with faults.

Run it with ``pytest examples/your_own_tests.py``. It needs pytest and anyio; anyio's pytest plugin runs the coroutines.
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
    """Return the total value of a user's positions: this is your code."""
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
    """A user with one broker connected, without retries, so that a test sees each fault at once."""
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


async def test_worth_of_positions_is_positive(user: User) -> None:
    """The normal case."""
    assert await worth(user) > 0


async def test_worth_with_a_rate_limit_raises_and_is_not_zero(sandbox: Sandbox, user: User) -> None:
    """The failure."""
    fault = sandbox.faults.add(Fault("status", path="/positions", status=429, retry_after=str(PAUSE)))
    with pytest.raises(RateLimitedError) as caught:
        await worth(user)
    assert caught.value.retry_after == PAUSE
    assert fault.fired == 1
