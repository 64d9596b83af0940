"""A thousand users after a drop: each is read again within the budget, and all books are current."""

from __future__ import annotations

import resource
import time
from typing import Any

import aiohttp
import pytest

from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.sandbox import Sandbox
from live_fixtures import bare_newcomer, in_the_book, in_the_world, nothing_of_ours_left, taken
from stream_fixtures import client

USERS = 1000
BUDGET = 50
REQUESTS_EACH = 3


@pytest.fixture
def anyio_backend() -> Any:
    """Run without the debug mode of asyncio, which is too slow for a thousand users."""
    return ("asyncio", {"debug": False})


class Gauge:
    """Counts requests in flight."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.traces = aiohttp.TraceConfig()
        self.traces.on_request_start.append(self._begins)
        self.traces.on_request_end.append(self._ends)

    async def _begins(self, *_: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    async def _ends(self, *_: Any) -> None:
        self.now -= 1


async def test_a_thousand_users_are_read_again_within_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    gauge = Gauge()
    async with (
        Sandbox(seed=5, latency=0) as sandbox,
        client(sandbox, trace_configs=[gauge.traces]) as ct,
        nothing_of_ours_left(),
    ):
        followed = [bare_newcomer(sandbox, ct, f"user-{number}") for number in range(USERS)]
        users = [user for user, _ in followed]
        async with ct.live(users, sweep_every=None, concurrency=BUDGET) as live, live.changes() as changes:
            assert live.health().current == USERS
            sandbox.requests.clear()
            gauge.most = 0
            sandbox.stream.reset()
            for _, account in followed[::10]:
                sandbox.world.add_order(account, sandbox.clock.now(), qty=5, status="filled")
            began = time.perf_counter()
            await live.wait(lambda live: live.statistics().gaps == 1)
            await live.wait(lambda live: live.is_current)
            seconds = time.perf_counter() - began
            assert sandbox.requests.total == USERS * REQUESTS_EACH
            assert gauge.most <= BUDGET
            assert live.statistics().snapshots == 2 * USERS
            orders = [change for change in taken(changes) if isinstance(change, OrderChanged)]
            assert sorted(str(each.user_id) for each in orders) == sorted(user.user_id for user in users[::10])
            assert all(each.fills and each.cause == "recovered" for each in orders)
            for _, account in followed[::25]:
                assert in_the_book(live, account) == in_the_world(sandbox, account)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    with capsys.disabled():
        print(f"\n{USERS} users read again in {seconds:.1f} s, {gauge.most} requests at once, {peak} MB at most")  # noqa: T201
