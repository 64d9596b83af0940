from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from connecttrade_async.books.change_feed import ChangeFeed
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import AuthenticationError, RateLimitedError, ServerError
from connecttrade_async.live.resync import Resync
from connecttrade_async.live.status import SnapshotLimits
from connecttrade_async.live.updates import UpdateApplier
from connecttrade_async.models import Page
from connecttrade_async.models.events import Gap, StreamLive, StreamLost, UnknownMessage
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity
from followed import make_current
from frame_factory import balance, order_frame, position_frame
from scripted_calls import ScriptedApi, answered
from stream_fixtures import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import Order
    from connecttrade_async.rest.call import Call
    from connecttrade_async.rest.pagination import Listing

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


class FakeUser:
    """A user with one account, which calls a function at the end of each answer."""

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

    @property
    def connections(self) -> Any:
        return Nothing()


class Orders:
    def __init__(self, at_the_end: Callable[[], object]) -> None:
        self.at_the_end = at_the_end

    def list(self, *, status: str, **_: Any) -> Listing[Order]:
        async def answer(_: str) -> Page[Order]:
            if status == "all":
                self.at_the_end()
            return Page(items=())

        return ScriptedApi(answer).listing()


class Nothing:
    def list(self) -> Call[Any]:
        return answered([])


class Money:
    def list(self) -> Call[Any]:
        return answered([balance()])


def make_applier(capacity: int = 10) -> tuple[Fanout, FollowedUsers, Resync, UpdateApplier]:
    clock, users, crashes = SystemClock(), FollowedUsers(OrderRetention()), list[object]()
    change_feed = ChangeFeed(clock)
    resync = Resync(
        users,
        change_feed,
        SnapshotLimits(1, None),
        Reconnect(base=0.01),
        clock,
        crashed=crashes.append,
    )
    fanout = Fanout(clock.wall)
    interest = EventFilter(("orders", "positions", "balances", "lifecycle", "unknown"))
    events = fanout.subscribe(interest, "drop_oldest", QueueCapacity(capacity, 1 << 20))
    updates = UpdateApplier(
        events,
        users,
        change_feed,
        resync,
        clock,
        is_live=lambda: True,
    )
    return fanout, users, resync, updates


async def test_gap_that_dropped_the_live_event_restores_is_live() -> None:
    fanout, users, _, updates = make_applier(capacity=2)
    fanout.publish(StreamLost(cause="gone"))
    running = asyncio.create_task(updates.run())
    await asyncio.sleep(0)
    assert not users.is_live
    fanout.publish_to_all(Gap(cause="gone", since=NOW, until=NOW))
    fanout.publish(StreamLive())
    for _ in range(3):
        fanout.publish(order_frame(status="working"))
    fanout.close()
    await asyncio.sleep(0)
    assert updates.gaps == 1
    assert updates.ignored == 2
    await running


async def test_missed_since_after_a_frame_with_a_future_time_is_its_receipt() -> None:
    fanout, users, _, updates = make_applier()
    ada = users.add(FakeUser("u"))
    users.account_for(ada, "a", None)
    make_current(users)
    running = asyncio.create_task(updates.run())
    await asyncio.sleep(0)
    fanout.publish(position_frame("2126-03-02T14:00:00Z", quantity="1"))
    await asyncio.sleep(0)
    before = SystemClock().wall()
    users.mark_stale([ada])
    assert ada.missed_since is not None
    assert ada.missed_since <= before
    running.cancel()
    await asyncio.wait([running])


async def test_stream_live_event_restores_is_live() -> None:
    fanout, users, _, updates = make_applier(capacity=2)
    fanout.publish(StreamLost(cause="gone"))
    running = asyncio.create_task(updates.run())
    await asyncio.sleep(0)
    fanout.publish(StreamLive())
    for _ in range(3):
        fanout.publish(order_frame(status="working"))
    await asyncio.sleep(0)
    assert users.is_live
    running.cancel()
    await asyncio.wait([running])


async def test_user_enqueued_while_the_last_worker_ends_is_read() -> None:
    _, users, resync, _ = make_applier()
    late = users.add(FakeUser("late"))
    loop = asyncio.get_running_loop()
    first = users.add(FakeUser("first", lambda: loop.call_soon(resync.enqueue, late)))
    resync.enqueue(first)
    async with asyncio.timeout(PATIENCE):
        while late in users.not_current:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    await resync.aclose()
    resync.enqueue(first)
    resync.resync_all()
    assert resync.asking == 0


async def test_unmatched_frame_during_a_first_snapshot_makes_it_be_retaken() -> None:
    fanout, users, resync, updates = make_applier()
    published: list[int] = []

    def send() -> None:
        published.append(1)
        if len(published) == 1:
            updates._handle(replace(order_frame(status="working"), user_id=None, raw=b""), NOW)

    ada = users.add(FakeUser("ada", send))
    users.is_live = True
    resync.enqueue(ada)
    async with asyncio.timeout(PATIENCE):
        while ada in users.not_current:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    assert (resync.counters.outdated, resync.counters.loaded, ada.retakes) == (1, 1, 1)
    fanout.close()
    await resync.aclose()


@pytest.mark.parametrize(
    ("raw", "is_doubted"),
    [
        (b"nonsense", False),
        (b'{"type": "order", "data": 5}', True),
        (b'{"symbol": "AAPL", "quantity": [1]}', True),
        (b'{"type": "order", "account_id": "cut off', True),
        (b'{"type": "order", "account_id": "elsewhere", "data": 5}', False),
        (b'{"type": "order", "user_id": "ada", "data": 5}', True),
        (b'{"type": "order", "user_id": "eve", "data": 5}', False),
        (b'{"type": "weather"}', False),
    ],
)
async def test_undecodable_frame_makes_the_possible_users_suspect(raw: bytes, *, is_doubted: bool) -> None:
    _, users, resync, updates = make_applier()
    ada = users.add(FakeUser("ada"))
    users.is_live = True
    make_current(users)
    for _ in range(3):
        updates._handle(UnknownMessage(raw=raw, problem="odd"), NOW)
        assert users.has_read(ada) is not is_doubted
    assert ada.is_doubted is is_doubted
    async with asyncio.timeout(PATIENCE):
        while not users.has_read(ada):  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    await resync.aclose()


async def test_rate_limit_delays_all_users() -> None:
    _, users, resync, _ = make_applier()
    ada = users.add(FakeUser("ada"))
    late = RateLimitedError(status=429, message="slow down", method="GET", path="/orders", retry_after=9_999.0)
    before = resync._clock.now()
    resync._on_failure(ada, late)
    assert 599 < resync._paused_until - before < 601
    resync.enqueue(ada)
    await asyncio.sleep(0.01)
    assert resync.asking == 1
    assert ada in users.not_current
    await resync.aclose()


async def test_rate_limit_of_the_connections_delays_all_users() -> None:
    class Limited:
        async def list(self) -> list[Any]:
            raise RateLimitedError(status=429, message="slow", method="GET", path="/connections", retry_after=500.0)

    class Asked(FakeUser):
        connections: Any = Limited()

    _, users, resync, _ = make_applier()
    ada = users.add(Asked("ada"))
    users.account_for(ada, "a", None).keeper.absent_since = NOW
    before = resync._clock.now()
    assert await resync._find_unlinked(ada, {}) == ()
    assert 499 < resync._paused_until - before < 501
    await resync.aclose()


async def test_missed_since_is_the_time_of_the_doubt() -> None:
    _, users, resync, _ = make_applier()
    ada, bob = users.add(FakeUser("ada")), users.add(FakeUser("bob"))
    make_current(users)
    resync.enqueue_suspect([bob])
    users.last = position_frame("2026-03-02T14:00:00Z", quantity="1")
    resync.enqueue_suspect([ada])
    users.last = position_frame("2026-03-02T14:10:00Z", quantity="1")
    async with asyncio.timeout(PATIENCE):
        while ada in users.not_current:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    assert ada.missed_since == datetime(2026, 3, 2, 14, tzinfo=UTC)
    await resync.aclose()


async def test_miss_during_a_snapshot_makes_it_outdated() -> None:
    _, users, resync, _ = make_applier()
    asked: list[int] = []

    def miss() -> None:
        asked.append(1)
        if len(asked) == 1:
            resync.enqueue_stale(ada)

    ada = users.add(FakeUser("ada", miss))
    users.is_live = True
    resync.enqueue(ada)
    async with asyncio.timeout(PATIENCE):
        while ada in users.not_current:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    assert (resync.counters.outdated, resync.counters.loaded, len(asked)) == (1, 1, 2)
    await resync.aclose()


async def test_gap_during_a_snapshot_does_not_start_a_second_one_for_the_user() -> None:
    _, users, resync, _ = make_applier()
    lines: list[int] = []

    def drop() -> None:
        if not lines:
            resync.resync_all()
        lines.append(resync.waiting)

    ada = users.add(FakeUser("ada", drop))
    users.is_live = True
    resync.enqueue(ada)
    async with asyncio.timeout(PATIENCE):
        while ada in users.not_current:  # noqa: ASYNC110 - the queue has no event
            await asyncio.sleep(0.001)
    assert lines == [0, 0]
    assert (resync.counters.outdated, resync.counters.loaded) == (1, 1)
    await resync.aclose()


async def test_rejected_user_is_not_retried_and_others_are() -> None:
    _, users, resync, _ = make_applier()
    facts: dict[str, Any] = {"message": "no", "method": "GET", "path": "/orders"}
    ada, bob = users.add(FakeUser("ada")), users.add(FakeUser("bob"))
    resync._on_failure(ada, AuthenticationError(status=401, **facts))
    resync._on_failure(bob, ServerError(status=503, **facts))
    assert (ada.timer is None, bob.timer is None) == (True, False)
    assert set(resync.failed) == {"ada", "bob"}
    await resync.aclose()


async def test_absent_count_is_reset_after_a_full_snapshot() -> None:
    _, users, resync, _ = make_applier()
    ada = users.add(FakeUser("ada"))
    users.account_for(ada, "a", None)
    resync._check_absent(ada)
    resync._check_absent(ada)
    assert ada.absent_count == 2
    users.unlink(ada, "a")
    resync._check_absent(ada)
    assert ada.absent_count == 0
    await resync.aclose()
