from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.live.intake import Intake
from connecttrade_async.live.reports import Budget
from connecttrade_async.live.roster import Roster
from connecttrade_async.live.surveyor import Surveyor
from connecttrade_async.live.tracker import KeepOrders
from connecttrade_async.models import Page
from connecttrade_async.models.events import Gap, Live, Lost
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.streaming.fanout import Bound, Fanout, Interest
from frames import balance, order_frame
from onstream import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import Balance, Order

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


class Somebody:
    """A user with one account, and something to do at the end of each answer."""

    def __init__(self, user_id: str, at_the_end: Callable[[], object] = lambda: None) -> None:
        self.user_id = user_id
        self.at_the_end = at_the_end

    @property
    def orders(self) -> Any:
        return Orders(self.at_the_end)

    @property
    def positions(self) -> Any:
        return Nothing()

    @property
    def balances(self) -> Any:
        return Money()


class Orders:
    def __init__(self, at_the_end: Callable[[], object]) -> None:
        self.at_the_end = at_the_end

    def list(self, *, status: str, **_: Any) -> Listing[Order]:
        async def fetch(_: str | None) -> Page[Order]:
            if status == "all":
                self.at_the_end()
            return Page(items=())

        return Listing(fetch)


class Nothing:
    async def list(self) -> list[Any]:
        return []


class Money:
    async def list(self) -> list[Balance]:
        return [balance()]


def made(capacity: int = 10) -> tuple[Fanout, Roster, Surveyor, Intake]:
    clock, roster, crashes = SystemClock(), Roster(KeepOrders()), list[object]()
    surveyor = Surveyor(roster, Budget(1, None), Reconnect(), clock, tell=lambda _: None, crashed=crashes.append)
    fanout = Fanout(clock.wall)
    interest = Interest(("orders", "positions", "balances", "lifecycle", "unknown"))
    events = fanout.subscribe(interest, "drop_oldest", Bound(capacity, 1 << 20))
    intake = Intake(events, roster, surveyor, clock, tell=lambda _: None, look=lambda: None, is_live=lambda: True)
    return fanout, roster, surveyor, intake


async def test_the_word_that_the_stream_is_live_may_be_dropped_with_the_rest() -> None:
    fanout, roster, _, intake = made(capacity=2)
    fanout.publish(Lost(cause="gone"))
    running = asyncio.create_task(intake.run())
    await asyncio.sleep(0)
    assert not roster.is_live
    fanout.tell_all(Gap(cause="gone", since=NOW, until=NOW))
    fanout.publish(Live())
    for _ in range(3):
        fanout.publish(order_frame(status="working"))
    fanout.close()
    await asyncio.sleep(0)
    assert intake.gaps == 1
    assert intake.ignored == 2
    await running


async def test_it_is_live_again_after_that() -> None:
    fanout, roster, _, intake = made(capacity=2)
    fanout.publish(Lost(cause="gone"))
    running = asyncio.create_task(intake.run())
    await asyncio.sleep(0)
    fanout.publish(Live())
    for _ in range(3):
        fanout.publish(order_frame(status="working"))
    await asyncio.sleep(0)
    assert roster.is_live
    running.cancel()
    await asyncio.wait([running])


async def test_whoever_comes_into_line_while_the_last_worker_leaves_is_read_too() -> None:
    _, roster, surveyor, _ = made()
    late = roster.add(Somebody("late"))
    loop = asyncio.get_running_loop()
    first = roster.add(Somebody("first", lambda: loop.call_soon(surveyor.want, late)))
    surveyor.want(first)
    async with asyncio.timeout(PATIENCE):
        while late in roster.unread:  # noqa: ASYNC110 - the line tells nobody
            await asyncio.sleep(0.001)
    await surveyor.aclose()
    surveyor.want(first)
    surveyor.resync()
    assert surveyor.asking == 0
