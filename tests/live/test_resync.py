"""The queue of snapshots: order, rate, pauses and clean-up."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from change_feeds import RecordingChangeFeed
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import AuthenticationError, ClosedError, ServerError
from connecttrade_async.live.resync import Resync, pause
from connecttrade_async.live.status import SnapshotLimits
from connecttrade_async.live.updates import MAX_BATCH, UpdateApplier
from connecttrade_async.models import Page
from connecttrade_async.models.pages import Rows
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity
from frame_factory import balance, order, order_frame, position
from manual_clock import SteppedClock
from scripted_calls import ScriptedApi
from stream_fixtures import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import Balance, Order, Position
    from connecttrade_async.books.followed_users import FollowedUser
    from connecttrade_async.rest.call import Call
    from connecttrade_async.rest.pagination import Listing

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/orders"}


class Scripted:
    """A user with answers that a test sets, and requests that it can hold."""

    def __init__(self, user_id: str, setup: Setup) -> None:
        self.user_id = user_id
        self.setup = setup
        self.money: list[Balance] = [balance(account_id=f"of {user_id}")]
        self.held: list[Position] = []
        self.listed: list[Order] = []
        self.is_cut_off = False
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def _answered(self, what: str) -> None:
        self.setup.asked.append((self.setup.clock.now(), self.user_id, what))
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    @property
    def orders(self) -> Any:
        user = self

        class Orders:
            def list(self, **_: Any) -> Listing[Order]:
                async def answer(_: str) -> Page[Order]:
                    await user._answered("orders")
                    return Page(items=tuple(user.listed), may_be_cut_off=user.is_cut_off)

                return ScriptedApi(answer).listing()

        return Orders()

    def _lists(self, what: str, answer: Callable[[], list[Any]]) -> Any:
        user = self

        class Listed:
            def list(self) -> Call[Any]:
                async def answered(_: str) -> list[Any]:
                    await user._answered(what)
                    return answer()

                return ScriptedApi(answered).call()

        return Listed()

    @property
    def positions(self) -> Any:
        return self._lists("positions", lambda: self.held)

    @property
    def balances(self) -> Any:
        return self._lists("balances", lambda: self.money)

    @property
    def connections(self) -> Any:
        return self._lists("connections", list)


class Setup:
    """A resync with a clock that a test advances."""

    def __init__(self, budget: SnapshotLimits | None = None, error: Exception | None = None) -> None:
        self.clock = SteppedClock()
        self.users = FollowedUsers(OrderRetention(age=60.0))
        self.users.is_live = True
        self.asked: list[tuple[float, str, str]] = []
        self.change_feed = RecordingChangeFeed(self.clock, error)
        self.crashes: list[BaseException] = []
        self.resync = Resync(
            self.users,
            self.change_feed,
            budget or SnapshotLimits(concurrency=1, requests_per_second=None),
            Reconnect(base=1.0, cap=8.0),
            self.clock,
            crashed=self.crashes.append,
        )

    def user(self, user_id: str) -> FollowedUser:
        return self.users.add(Scripted(user_id, self))

    def users_asked(self) -> list[str]:
        return [user_id for _, user_id, what in self.asked if what == "balances"]

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    async def read(self, *followed_users: FollowedUser) -> None:
        for followed in followed_users:
            self.resync.enqueue(followed)
        await self.settle()


def script(followed: FollowedUser) -> Scripted:
    return cast("Scripted", followed.user)


# --- the queue


async def test_requests_per_second_delays_every_request() -> None:
    setup = Setup(SnapshotLimits(concurrency=5, requests_per_second=2.0))
    setup.resync.enqueue(setup.user("ada"))
    setup.resync.enqueue(setup.user("bob"))
    for _ in range(40):
        await setup.settle()
        setup.clock.advance(0.1)
    times = [at for at, _, _ in setup.asked]
    assert len(times) == 8
    # A burst of one second, then one request every half second.
    expected = [0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert times == pytest.approx(expected, abs=0.11)
    assert all(at >= least - 1e-9 for at, least in zip(times, expected, strict=True))
    await setup.resync.aclose()


async def test_concurrency_bounds_the_snapshots_under_way() -> None:
    setup = Setup(SnapshotLimits(concurrency=2, requests_per_second=None))
    followed_users = [setup.user(name) for name in ("ada", "bob", "cid")]
    for followed in followed_users:
        script(followed).gate.clear()
        setup.resync.enqueue(followed)
    await setup.settle()
    assert (setup.resync.asking, setup.resync.waiting) == (2, 1)
    assert setup.users_asked() == ["ada", "bob"]
    script(followed_users[0]).gate.set()
    await setup.settle()
    assert setup.users_asked() == ["ada", "bob", "cid"]
    script(followed_users[1]).gate.set()
    script(followed_users[2]).gate.set()
    await setup.settle()
    assert (setup.resync.asking, setup.resync.waiting, setup.resync.counters.loaded) == (0, 0, 3)


async def test_removed_user_in_the_queue_is_not_read() -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    script(ada).gate.clear()
    await setup.read(ada, bob)
    setup.users.remove("bob")
    setup.resync.forget(bob)
    script(ada).gate.set()
    await setup.settle()
    assert setup.users_asked() == ["ada"]
    assert (setup.resync.waiting, setup.resync.asking) == (0, 0)
    assert bob.is_due is False
    await setup.read(bob)
    assert setup.users_asked() == ["ada"]


async def test_user_removed_during_its_snapshot_changes_nothing() -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).gate.clear()
    await setup.read(ada)
    setup.users.remove("ada")
    script(ada).error = ServerError(status=503, **FACTS)
    script(ada).gate.set()
    await setup.settle()
    assert (dict(setup.resync.failed), setup.resync.counters.failed, ada.timer) == ({}, 1, None)
    assert setup.change_feed.batches == []


async def test_user_enqueued_twice_is_read_once_and_during_a_snapshot_once_more() -> None:
    setup = Setup()
    ada = setup.user("ada")
    setup.resync.enqueue(ada)
    setup.resync.enqueue(ada)
    script(ada).gate.clear()
    await setup.settle()
    setup.resync.enqueue(ada)
    setup.resync.enqueue(ada)
    assert setup.resync.waiting == 0
    script(ada).gate.set()
    await setup.settle()
    assert setup.users_asked() == ["ada", "ada"]
    assert not ada.is_reading
    assert setup.users.new_users == set()


async def test_the_most_active_users_are_read_first_after_a_gap() -> None:
    setup = Setup()
    followed_users = [setup.user(name) for name in ("ada", "bob", "cid")]
    for followed, frames in zip(followed_users, (1, 3, 2), strict=True):
        followed.frames = frames
    setup.resync.resync_all()
    await setup.settle()
    assert setup.users_asked() == ["bob", "cid", "ada"]


# --- gaps and doubts


async def test_repeated_gaps_are_read_with_growing_pauses_and_discard_earlier_snapshots() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    assert setup.users.has_read(ada)
    for number in range(4):
        setup.resync.resync_all()
        await setup.settle()
        assert setup.users.has_read(ada) is (number == 0)
    assert setup.users_asked() == ["ada", "ada"]
    setup.clock.advance(1.0)
    await setup.settle()
    assert setup.users.has_read(ada)
    assert len(setup.users_asked()) == 3
    setup.resync.resync_all()
    setup.resync.resync_all()
    setup.clock.advance(0.49)
    await setup.settle()
    assert len(setup.users_asked()) == 3
    setup.clock.advance(1.51)
    await setup.settle()
    assert (len(setup.users_asked()), setup.users.has_read(ada)) == (4, True)


async def test_queued_user_is_read_after_a_delayed_resync_begins() -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    await setup.read(ada, bob)
    setup.resync.resync_all()
    await setup.settle()
    setup.resync.resync_all()
    await setup.read(ada, bob)  # read during the pause
    assert setup.users.has_read(bob)
    script(ada).gate.clear()
    await setup.read(ada, bob)  # bob is queued
    setup.clock.advance(1.0)
    script(ada).gate.set()
    await setup.settle()
    assert setup.users_asked()[-2:] == ["ada", "bob"]
    assert (bob.is_due, setup.resync.waiting) == (False, 0)


async def test_snapshot_requested_before_a_doubt_does_not_clear_it() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).gate.clear()
    await setup.read(ada)
    setup.resync.enqueue_suspect([ada], ["of ada"])
    account = setup.users.accounts["of ada"]
    assert not setup.users.is_current(account)
    script(ada).gate.set()
    await setup.settle()
    assert setup.users.is_current(account)
    assert setup.users_asked() == ["ada"] * 3
    assert (setup.resync.counters.loaded, setup.resync.counters.outdated) == (3, 0)


async def test_contradiction_left_by_a_snapshot_makes_the_user_be_read_once_more() -> None:
    setup = Setup(SnapshotLimits(concurrency=2, requests_per_second=None))
    ada = setup.user("ada")
    await setup.read(ada)
    setup.users.accounts["of ada"].keeper.lacks_whole = True
    await setup.read(ada)
    assert setup.users_asked() == ["ada"] * 3
    assert (setup.users.has_read(ada), setup.resync.waiting, setup.resync.asking) == (True, 0, 0)
    await setup.resync.aclose()


async def test_later_snapshot_clears_a_doubt_and_cancels_the_planned_one() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    for _ in range(2):
        setup.resync.enqueue_suspect([ada])
        await setup.settle()
    assert not setup.users.has_read(ada)  # the second waits for its turn
    await setup.read(ada)
    assert setup.users.has_read(ada)
    count = len(setup.users_asked())
    setup.clock.advance(100.0)
    await setup.settle()
    assert len(setup.users_asked()) == count


async def test_doubt_of_a_forgotten_user_or_after_close_plans_nothing() -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    await setup.read(ada, bob)
    for _ in range(2):
        setup.resync.enqueue_suspect([ada, bob])
        await setup.settle()
    setup.users.remove("ada")
    setup.resync.forget(ada)
    count = len(setup.asked)
    await setup.resync.aclose()
    setup.resync.enqueue_suspect([bob])
    setup.resync.resync_all()
    setup.clock.advance(100.0)
    await setup.settle()
    assert len(setup.asked) == count


async def test_close_cancels_a_planned_resync() -> None:
    setup = Setup()
    ada = setup.user("ada")
    setup.resync.resync_all()
    await setup.settle()
    setup.resync.resync_all()
    count = len(setup.asked)
    await setup.resync.aclose()
    setup.clock.advance(100.0)
    await setup.settle()
    assert len(setup.asked) == count
    assert ada in setup.users.not_current


async def test_close_cancels_snapshots_under_way_and_clears_the_queue() -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    script(ada).gate.clear()
    for followed in (ada, bob):
        followed.first_read = asyncio.get_running_loop().create_future()
    await setup.read(ada, bob)
    await setup.resync.aclose()
    assert (setup.resync.asking, setup.resync.waiting, ada.is_reading) == (0, 0, False)
    assert ada.first_read is not None
    assert bob.first_read is not None
    assert ada.first_read.done()
    assert bob.first_read.done()
    assert setup.users_asked() == ["ada"]
    assert setup.crashes == []


# --- failures


async def test_failed_snapshot_is_retried_with_pauses_that_grow_up_to_the_cap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).error = ServerError(status=503, **FACTS)
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await setup.read(ada)
        for bound in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
            count = len(setup.users_asked())
            setup.clock.advance(bound / 2 - 0.01)
            await setup.settle()
            assert len(setup.users_asked()) == count
            setup.clock.advance(bound / 2 + 0.02)
            await setup.settle()
            assert len(setup.users_asked()) == count + 1
        levels = [record.levelno for record in caplog.records if "no snapshot of user ada" in record.getMessage()]
        assert levels == [logging.WARNING] + [logging.DEBUG] * 6
        assert (setup.resync.counters.failed, list(setup.resync.failed)) == (7, ["ada"])
        script(ada).error = None
        setup.clock.advance(8.0)
        await setup.settle()
        assert dict(setup.resync.failed) == {}
        assert "user ada was read after failures" in caplog.messages
    # After a success the pauses start over.
    script(ada).error = ServerError(status=503, **FACTS)
    setup.resync.enqueue_stale(ada)
    await setup.settle()
    count = len(setup.users_asked())
    setup.clock.advance(1.01)
    await setup.settle()
    assert len(setup.users_asked()) == count + 1
    await setup.resync.aclose()


async def test_every_failure_rechecks_waiters() -> None:
    setup = Setup()
    ada = setup.user("ada")
    ada.first_read = asyncio.get_running_loop().create_future()
    script(ada).error = ServerError(status=500, **FACTS)
    await setup.read(ada)
    assert setup.change_feed.batches == [()]
    assert ada.first_read.done()
    await setup.resync.aclose()


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (AuthenticationError(status=401, **FACTS), False),
        (ClosedError("the client"), False),
        (ServerError(status=500, **FACTS), True),
    ],
)
async def test_only_errors_that_can_pass_are_retried(error: Exception, *, is_retried: bool) -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).error = error
    await setup.read(ada)
    setup.clock.advance(1000.0)
    await setup.settle()
    assert (len(setup.users_asked()) > 1) is is_retried
    assert list(setup.resync.failed) == ["ada"]
    await setup.resync.aclose()


async def test_failed_sweep_is_no_failure_unless_the_secret_is_rejected() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).error = ServerError(status=500, **FACTS)
    await setup.read(ada)
    assert (dict(setup.resync.failed), ada.timer, setup.users.has_read(ada)) == ({}, None, True)
    script(ada).error = AuthenticationError(status=401, **FACTS)
    await setup.read(ada)
    assert (list(setup.resync.failed), ada.timer, setup.users.has_read(ada)) == (["ada"], None, False)


async def test_unexpected_error_in_a_snapshot_fails_its_user_and_is_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    await setup.read(ada)
    script(ada).error = LookupError("odd")
    await setup.read(ada, bob)
    assert isinstance(setup.resync.failed["ada"].__cause__, LookupError)
    assert "the snapshot of user ada failed with an unexpected error" in caplog.messages
    assert (setup.users.has_read(ada), setup.users.has_read(bob), setup.crashes) == (False, True, [])
    script(ada).error = None
    setup.clock.advance(1.0)
    await setup.settle()
    assert setup.users.has_read(ada)
    await setup.resync.aclose()


async def test_error_in_the_change_feed_reaches_the_crash_callback() -> None:
    setup = Setup(error=LookupError("a mistake"))
    await setup.read(setup.user("ada"))
    assert [type(error) for error in setup.crashes] == [LookupError]
    await setup.resync.aclose()


# --- counters


async def test_changes_of_a_snapshot_are_counted_by_cause() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).held = [position(account_id="of ada", quantity="5")]
    await setup.read(ada)
    counters = setup.resync.counters
    assert (counters.swept, counters.recovered) == (1, 0)
    script(ada).held = [position(account_id="of ada", quantity="5", last_price="7")]
    await setup.read(ada)  # price changes do not count
    assert (counters.swept, counters.recovered) == (1, 0)
    script(ada).held = [position(account_id="of ada", quantity="6")]
    setup.resync.enqueue_stale(ada)
    await setup.settle()
    assert (counters.swept, counters.recovered, counters.loaded) == (1, 1, 4)
    assert [len(changes) for changes in setup.change_feed.batches] == [0, 1, 1, 1]


async def test_unchanged_snapshots_evict_ended_orders() -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).listed = [order(account_id="of ada", status="filled", updated_at="2026-03-02T14:00:00Z")]
    await setup.read(ada)
    keeper = setup.users.accounts["of ada"].keeper
    assert keeper.order("o") is not None
    setup.clock.advance(59.0)
    setup.resync._confirm(ada, setup.clock.wall())
    assert keeper.order("o") is not None
    setup.clock.advance(2.0)
    setup.resync._confirm(ada, setup.clock.wall())
    assert keeper.order("o") is None
    assert keeper.was_evicted("o")
    assert setup.resync.counters.unchanged == 2
    assert ada.since == keeper.as_of == setup.clock.wall()


# --- absent accounts


async def test_absent_account_is_read_again_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).money = []
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await setup.read(ada)
        for bound in (1.0, 2.0, 4.0, 8.0, 16.0):
            count = len(setup.users_asked())
            setup.clock.advance(bound / 2 - 0.01)
            await setup.settle()
            assert len(setup.users_asked()) == count
            setup.clock.advance(bound / 2 + 0.02)
            await setup.settle()
            assert len(setup.users_asked()) == count + 1
    levels = [record.levelno for record in caplog.records if "no answer has account of ada" in record.getMessage()]
    assert levels == [logging.WARNING] + [logging.DEBUG] * 5
    script(ada).money = [balance(account_id="of ada")]
    await setup.read(ada)
    assert ada.absent_count == 0
    await setup.resync.aclose()


async def test_absent_account_is_dropped_after_two_minutes(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).money = []
    await setup.read(ada)  # the first answer without it
    setup.clock.sleep(119.0)
    await setup.read(ada)
    assert "connections" not in {what for _, _, what in setup.asked}
    assert list(setup.users.accounts) == ["of ada"]
    setup.clock.sleep(1.0)
    await setup.read(ada)
    assert [what for _, _, what in setup.asked].count("connections") == 1
    assert (list(setup.users.accounts), setup.resync.counters.unlinked) == ([], 1)
    assert len(setup.change_feed.failed) == 1
    assert "account of ada of user ada is not linked any more" in caplog.messages
    await setup.resync.aclose()


async def test_account_id_with_line_breaks_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).money = [balance(account_id="a\r\nERROR forged\x1b[2J\u202e")]
    await setup.read(ada)
    script(ada).money = []
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await setup.read(ada)
        setup.clock.sleep(120.0)
        await setup.read(ada)
    assert any("a ERROR forged [2J of user ada is not linked any more" in message for message in caplog.messages)
    assert any("no answer has account a ERROR forged [2J of user ada" in message for message in caplog.messages)
    assert all(message.isprintable() for message in caplog.messages)
    await setup.resync.aclose()


async def test_frame_of_an_absent_account_restarts_the_two_minutes() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).money = []
    await setup.read(ada)
    setup.clock.sleep(100.0)
    setup.users.accounts["of ada"].keeper.apply(order_frame(status="working"), setup.clock.wall())
    setup.clock.sleep(100.0)
    await setup.read(ada)
    assert list(setup.users.accounts) == ["of ada"]
    setup.clock.sleep(20.0)
    await setup.read(ada)
    assert setup.users.accounts == {}
    [is_meant] = setup.change_feed.failed
    assert (is_meant("o"), is_meant("another")) == (True, False)
    await setup.resync.aclose()


# --- pauses


async def test_pause_ends_in_time_and_cancels_its_timer() -> None:
    clock = SteppedClock()
    waiting = asyncio.create_task(pause(clock, 5.0))
    await clock.until_asked(1)
    clock.advance(4.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.1)
    async with asyncio.timeout(PATIENCE):
        await waiting
    waiting = asyncio.create_task(pause(clock, 5.0))
    await clock.until_asked(2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock._timers[0][2].is_cancelled


# --- turns of the event loop


async def test_update_applier_yields_after_250_frames() -> None:
    setup = Setup()
    fanout = Fanout(setup.clock.wall)
    events = fanout.subscribe(EventFilter(("orders", "unknown")), "drop_oldest", QueueCapacity(10_000, 1 << 30))
    updates = UpdateApplier(
        events,
        setup.users,
        setup.change_feed,
        setup.resync,
        setup.clock,
        is_live=lambda: True,
    )
    ada = setup.user("u")
    setup.users.account_for(ada, "a", None)
    frame = order_frame(status="working")
    for _ in range(3 * MAX_BATCH + 10):
        fanout.publish(frame)
    running = asyncio.create_task(updates.run())
    counts: list[int] = []

    def count() -> None:
        counts.append(updates.frames)
        if len(counts) < 5:
            asyncio.get_running_loop().call_soon(count)

    asyncio.get_running_loop().call_soon(count)
    await setup.settle()
    assert counts == [250, 500, 750, 760, 760]
    running.cancel()
    await asyncio.wait([running])


async def test_since_is_the_time_of_the_request() -> None:
    setup = Setup()
    ada = setup.user("ada")
    began = setup.clock.wall()
    script(ada).gate.clear()
    await setup.read(ada)
    setup.clock.sleep(30.0)
    script(ada).gate.set()
    await setup.settle()
    assert ada.since == began
    assert setup.users.accounts["of ada"].keeper.as_of == began + timedelta(seconds=30)


# --- lists that may be cut off


@pytest.mark.parametrize("name", ["orders", "positions", "balances"])
async def test_list_that_may_be_cut_off_closes_nothing_and_makes_no_book_current(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup()
    ada = setup.user("ada")
    held = [position(symbol=symbol, account_id="of ada", quantity="1") for symbol in ("AAPL", "MSFT")]
    script(ada).held = held
    await setup.read(ada)
    account = setup.users.accounts["of ada"]
    assert setup.users.is_current(account)
    # The list is full with one position, and names no cursor.
    for attribute, rows in (("held", Rows(held[:1])), ("money", Rows(script(ada).money))):
        rows.may_be_cut_off = name == {"held": "positions", "money": "balances"}[attribute]
        setattr(script(ada), attribute, rows)
    script(ada).is_cut_off = name == "orders"
    for _ in range(2):  # the second time with equal answers
        await setup.read(ada)
        assert not setup.users.is_current(account)
        assert [*account.keeper.book(is_current=False).positions] == ["AAPL", "MSFT"]
    assert setup.change_feed.changes == []
    assert sum(f"the list of {name} may be cut off" in record.getMessage() for record in caplog.records) == 1
    script(ada).held, script(ada).money, script(ada).is_cut_off = held[:1], [*script(ada).money], False
    await setup.read(ada)
    assert setup.users.is_current(account)
    assert [*account.keeper.book(is_current=True).positions] == ["AAPL"]
    [closed] = setup.change_feed.changes
    assert (closed.symbol, closed.cause) == ("MSFT", "sweep")
    await setup.resync.aclose()


# --- clean-up


async def test_user_enqueued_before_its_retry_is_read_once() -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).error = ServerError(status=500, **FACTS)
    await setup.read(ada)
    assert list(setup.resync.failed) == ["ada"]
    script(ada).error = None
    await setup.read(ada)
    assert ada.timer is None
    setup.clock.advance(100.0)
    await setup.settle()
    assert setup.users_asked() == ["ada", "ada"]


async def test_doubt_is_read_at_its_turn_and_the_next_waits_for_its_own() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    for bound in (0.0, 1.0, 2.0, 4.0):
        count = len(setup.users_asked())
        setup.resync.enqueue_suspect([ada])
        await setup.settle()
        assert setup.users.has_read(ada) is (bound == 0.0)
        setup.clock.advance(bound)
        await setup.settle()
        assert setup.users.has_read(ada)
        assert len(setup.users_asked()) == count + 1
    await setup.resync.aclose()


async def test_forget_drops_everything_of_a_user() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).error = ServerError(status=500, **FACTS)
    for _ in range(3):
        setup.resync.enqueue_suspect([ada])
        await setup.settle()
    ada.first_read = asyncio.get_running_loop().create_future()
    assert list(setup.resync.failed) == ["ada"]
    setup.users.remove("ada")
    setup.resync.forget(ada)
    assert (dict(setup.resync.failed), ada.first_read.done(), ada.timer) == ({}, True, None)
    assert ada not in setup.users.not_current
    count = len(setup.asked)
    setup.clock.advance(100.0)
    await setup.settle()
    assert len(setup.asked) == count
    # A new user with the same id starts without the pauses of the old one.
    again = setup.user("ada")
    await setup.read(again)
    setup.resync.enqueue_suspect([again])
    await setup.settle()
    assert setup.users.has_read(again)


async def test_give_up_waiting_has_no_effect_on_a_read_user() -> None:
    setup = Setup()
    ada = setup.user("ada")
    ada.first_read = asyncio.get_running_loop().create_future()
    await setup.read(ada)
    assert ada.first_read.done()
    setup.resync.give_up_waiting(ada)
    assert dict(setup.resync.failed) == {}


async def test_first_snapshot_is_retaken_for_unmatched_frames_a_bounded_number_of_times() -> None:
    setup = Setup()
    ada = setup.user("ada")

    class Noisy(Rows[Any]):
        """Balances; a frame that names no user comes during each request."""

        def __iter__(self) -> Any:
            setup.users.note_unmatched(None)
            return super().__iter__()

    script(ada).money = Noisy(script(ada).money)
    await setup.read(ada)
    assert setup.users_asked() == ["ada"] * 4
    assert (setup.resync.counters.outdated, setup.resync.counters.loaded) == (3, 1)
    assert setup.users.has_read(ada)


async def test_absent_account_is_read_every_ten_minutes_at_most() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    script(ada).money, ada.absent_count = [], 50
    await setup.read(ada)
    assert 300.0 <= setup.clock.asked[-1] <= 600.0
    await setup.resync.aclose()


async def test_doubts_cleared_by_other_snapshots_are_refunded() -> None:
    setup = Setup()
    ada = setup.user("ada")
    await setup.read(ada)
    for _ in range(100):
        setup.resync.enqueue_suspect([ada])
        await setup.read(ada)
    setup.resync.enqueue_suspect([ada])
    setup.clock.advance(1.0)
    await setup.settle()
    assert setup.users.has_read(ada)
    await setup.resync.aclose()


async def test_gaps_during_the_pause_before_a_resync_plan_no_second_one() -> None:
    setup = Setup()
    setup.user("ada")
    for _ in range(2):
        setup.resync.resync_all()
    planned = len(setup.clock.asked)
    for _ in range(5):
        setup.resync.resync_all()
    assert len(setup.clock.asked) == planned
    await setup.resync.aclose()


async def test_resync_cancels_the_retry_of_a_failed_user() -> None:
    setup = Setup()
    ada = setup.user("ada")
    script(ada).error = ServerError(status=500, **FACTS)
    await setup.read(ada)
    script(ada).error = None
    setup.resync.resync_all()
    await setup.settle()
    setup.clock.advance(100.0)
    await setup.settle()
    assert setup.users_asked() == ["ada", "ada"]


async def test_close_cancels_every_timer() -> None:
    setup = Setup()
    ada, bob = setup.user("ada"), setup.user("bob")
    script(ada).error = ServerError(status=500, **FACTS)
    await setup.read(ada, bob)
    for _ in range(2):
        setup.resync.enqueue_suspect([bob])
        await setup.settle()
    for _ in range(2):
        setup.resync.resync_all()
    await setup.settle()
    setup.clock.advance(1.0)
    await setup.settle()
    setup.resync.resync_all()
    assert not all(timer.is_cancelled for *_, timer in setup.clock._timers)
    await setup.resync.aclose()
    assert all(timer.is_cancelled for *_, timer in setup.clock._timers)
