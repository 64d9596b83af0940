"""The line for snapshots: its order, its pace, its pauses, and what it lets go."""

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
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import Capacity
from frame_factory import balance, order, order_frame, position
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import Balance, Order, Position
    from connecttrade_async.books.followed_users import FollowedUser

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/orders"}


class Scripted:
    """A user whose answers a test sets, and whose requests it can hold."""

    def __init__(self, user_id: str, bureau: Bureau) -> None:
        self.user_id = user_id
        self.bureau = bureau
        self.money: list[Balance] = [balance(account_id=f"of {user_id}")]
        self.held: list[Position] = []
        self.listed: list[Order] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def _answered(self, what: str) -> None:
        self.bureau.asked.append((self.bureau.clock.now(), self.user_id, what))
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    @property
    def orders(self) -> Any:
        user = self

        class Orders:
            def list(self, **_: Any) -> Listing[Order]:
                async def fetch(_: str | None) -> Page[Order]:
                    await user._answered("orders")
                    return Page(items=tuple(user.listed))

                return Listing(fetch)

        return Orders()

    def _lists(self, what: str, answer: Callable[[], list[Any]]) -> Any:
        user = self

        class Listed:
            async def list(self) -> list[Any]:
                await user._answered(what)
                return answer()

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


class Bureau:
    """A surveyor with a clock that stands still."""

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


# --- the line


async def test_requests_per_second_delays_every_request() -> None:
    bureau = Bureau(SnapshotLimits(concurrency=5, requests_per_second=2.0))
    bureau.resync.enqueue(bureau.user("ada"))
    bureau.resync.enqueue(bureau.user("bob"))
    for _ in range(40):
        await bureau.settle()
        bureau.clock.advance(0.1)
    times = [at for at, _, _ in bureau.asked]
    assert len(times) == 8
    # A burst of one second's worth, then one request each half of a second.
    expected = [0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert times == pytest.approx(expected, abs=0.11)
    assert all(at >= least - 1e-9 for at, least in zip(times, expected, strict=True))
    await bureau.resync.aclose()


async def test_concurrency_bounds_the_snapshots_under_way() -> None:
    bureau = Bureau(SnapshotLimits(concurrency=2, requests_per_second=None))
    followed_users = [bureau.user(name) for name in ("ada", "bob", "cid")]
    for followed in followed_users:
        script(followed).gate.clear()
        bureau.resync.enqueue(followed)
    await bureau.settle()
    assert (bureau.resync.asking, bureau.resync.waiting) == (2, 1)
    assert bureau.users_asked() == ["ada", "bob"]
    script(followed_users[0]).gate.set()
    await bureau.settle()
    assert bureau.users_asked() == ["ada", "bob", "cid"]
    script(followed_users[1]).gate.set()
    script(followed_users[2]).gate.set()
    await bureau.settle()
    assert (bureau.resync.asking, bureau.resync.waiting, bureau.resync.counters.loaded) == (0, 0, 3)


async def test_removed_user_in_the_queue_is_not_read() -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    script(ada).gate.clear()
    await bureau.read(ada, bob)
    bureau.users.remove("bob")
    bureau.resync.forget(bob)
    script(ada).gate.set()
    await bureau.settle()
    assert bureau.users_asked() == ["ada"]
    assert (bureau.resync.waiting, bureau.resync.asking) == (0, 0)
    assert bob.is_due is False
    await bureau.read(bob)
    assert bureau.users_asked() == ["ada"]


async def test_user_removed_during_its_snapshot_changes_nothing() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).gate.clear()
    await bureau.read(ada)
    bureau.users.remove("ada")
    script(ada).error = ServerError(status=503, **FACTS)
    script(ada).gate.set()
    await bureau.settle()
    assert (dict(bureau.resync.failed), bureau.resync.counters.failed, ada.timer) == ({}, 1, None)
    assert bureau.change_feed.batches == []


async def test_user_enqueued_twice_is_read_once_and_during_a_snapshot_once_more() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    bureau.resync.enqueue(ada)
    bureau.resync.enqueue(ada)
    script(ada).gate.clear()
    await bureau.settle()
    bureau.resync.enqueue(ada)
    bureau.resync.enqueue(ada)
    assert bureau.resync.waiting == 0
    script(ada).gate.set()
    await bureau.settle()
    assert bureau.users_asked() == ["ada", "ada"]
    assert not ada.is_reading
    assert bureau.users.new_users == set()


async def test_the_most_active_users_are_read_first_after_a_gap() -> None:
    bureau = Bureau()
    followed_users = [bureau.user(name) for name in ("ada", "bob", "cid")]
    for followed, frames in zip(followed_users, (1, 3, 2), strict=True):
        followed.frames = frames
    bureau.resync.resync_all()
    await bureau.settle()
    assert bureau.users_asked() == ["bob", "cid", "ada"]


# --- gaps and doubts


async def test_repeated_gaps_are_read_with_growing_pauses_and_discard_earlier_snapshots() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    assert bureau.users.has_read(ada)
    for number in range(4):
        bureau.resync.resync_all()
        await bureau.settle()
        assert bureau.users.has_read(ada) is (number == 0)
    assert bureau.users_asked() == ["ada", "ada"]
    bureau.clock.advance(1.0)
    await bureau.settle()
    assert bureau.users.has_read(ada)
    assert len(bureau.users_asked()) == 3
    bureau.resync.resync_all()
    bureau.resync.resync_all()
    bureau.clock.advance(0.49)
    await bureau.settle()
    assert len(bureau.users_asked()) == 3
    bureau.clock.advance(1.51)
    await bureau.settle()
    assert (len(bureau.users_asked()), bureau.users.has_read(ada)) == (4, True)


async def test_queued_user_is_read_after_a_delayed_resync_begins() -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    await bureau.read(ada, bob)
    bureau.resync.resync_all()
    await bureau.settle()
    bureau.resync.resync_all()
    await bureau.read(ada, bob)  # read during the pause
    assert bureau.users.has_read(bob)
    script(ada).gate.clear()
    await bureau.read(ada, bob)  # bob is in line
    bureau.clock.advance(1.0)
    script(ada).gate.set()
    await bureau.settle()
    assert bureau.users_asked()[-2:] == ["ada", "bob"]
    assert (bob.is_due, bureau.resync.waiting) == (False, 0)


async def test_snapshot_requested_before_a_doubt_does_not_clear_it() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).gate.clear()
    await bureau.read(ada)
    bureau.resync.enqueue_suspect([ada], ["of ada"])
    account = bureau.users.accounts["of ada"]
    assert not bureau.users.is_current(account)
    script(ada).gate.set()
    await bureau.settle()
    assert bureau.users.is_current(account)
    assert bureau.users_asked() == ["ada"] * 3
    assert (bureau.resync.counters.loaded, bureau.resync.counters.outdated) == (3, 0)


async def test_later_snapshot_clears_a_doubt_and_cancels_the_planned_one() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    for _ in range(2):
        bureau.resync.enqueue_suspect([ada])
        await bureau.settle()
    assert not bureau.users.has_read(ada)  # the second waits for its turn
    await bureau.read(ada)
    assert bureau.users.has_read(ada)
    count = len(bureau.users_asked())
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert len(bureau.users_asked()) == count


async def test_doubt_of_a_forgotten_user_or_after_close_plans_nothing() -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    await bureau.read(ada, bob)
    for _ in range(2):
        bureau.resync.enqueue_suspect([ada, bob])
        await bureau.settle()
    bureau.users.remove("ada")
    bureau.resync.forget(ada)
    count = len(bureau.asked)
    await bureau.resync.aclose()
    bureau.resync.enqueue_suspect([bob])
    bureau.resync.resync_all()
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert len(bureau.asked) == count


async def test_close_cancels_a_planned_resync() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    bureau.resync.resync_all()
    await bureau.settle()
    bureau.resync.resync_all()
    count = len(bureau.asked)
    await bureau.resync.aclose()
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert len(bureau.asked) == count
    assert ada in bureau.users.unread


async def test_close_cancels_snapshots_under_way_and_clears_the_queue() -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    script(ada).gate.clear()
    for followed in (ada, bob):
        followed.first_read = asyncio.get_running_loop().create_future()
    await bureau.read(ada, bob)
    await bureau.resync.aclose()
    assert (bureau.resync.asking, bureau.resync.waiting, ada.is_reading) == (0, 0, False)
    assert ada.first_read is not None
    assert bob.first_read is not None
    assert ada.first_read.done()
    assert bob.first_read.done()
    assert bureau.users_asked() == ["ada"]
    assert bureau.crashes == []


# --- failures


async def test_failed_snapshot_is_retried_with_pauses_that_grow_up_to_the_cap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).error = ServerError(status=503, **FACTS)
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await bureau.read(ada)
        for bound in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
            count = len(bureau.users_asked())
            bureau.clock.advance(bound / 2 - 0.01)
            await bureau.settle()
            assert len(bureau.users_asked()) == count
            bureau.clock.advance(bound / 2 + 0.02)
            await bureau.settle()
            assert len(bureau.users_asked()) == count + 1
        levels = [record.levelno for record in caplog.records if "no snapshot of user ada" in record.getMessage()]
        assert levels == [logging.WARNING] + [logging.DEBUG] * 6
        assert (bureau.resync.counters.failed, list(bureau.resync.failed)) == (7, ["ada"])
        script(ada).error = None
        bureau.clock.advance(8.0)
        await bureau.settle()
        assert dict(bureau.resync.failed) == {}
        assert "user ada was read after failures" in caplog.messages
    # After a success the pauses begin anew.
    script(ada).error = ServerError(status=503, **FACTS)
    bureau.resync.enqueue_stale(ada)
    await bureau.settle()
    count = len(bureau.users_asked())
    bureau.clock.advance(1.01)
    await bureau.settle()
    assert len(bureau.users_asked()) == count + 1
    await bureau.resync.aclose()


async def test_every_failure_rechecks_waiters() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    ada.first_read = asyncio.get_running_loop().create_future()
    script(ada).error = ServerError(status=500, **FACTS)
    await bureau.read(ada)
    assert bureau.change_feed.batches == [()]
    assert ada.first_read.done()
    await bureau.resync.aclose()


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (AuthenticationError(status=401, **FACTS), False),
        (ClosedError("the client"), False),
        (ServerError(status=500, **FACTS), True),
    ],
)
async def test_rejected_secret_and_closed_handle_are_not_retried(error: Exception, *, is_retried: bool) -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).error = error
    await bureau.read(ada)
    bureau.clock.advance(1000.0)
    await bureau.settle()
    assert (len(bureau.users_asked()) > 1) is is_retried
    assert list(bureau.resync.failed) == ["ada"]
    await bureau.resync.aclose()


async def test_failed_sweep_is_no_failure_unless_the_secret_is_rejected() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).error = ServerError(status=500, **FACTS)
    await bureau.read(ada)
    assert (dict(bureau.resync.failed), ada.timer, bureau.users.has_read(ada)) == ({}, None, True)
    script(ada).error = AuthenticationError(status=401, **FACTS)
    await bureau.read(ada)
    assert (list(bureau.resync.failed), ada.timer, bureau.users.has_read(ada)) == (["ada"], None, False)


async def test_unexpected_error_in_a_snapshot_fails_its_user_and_is_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    await bureau.read(ada)
    script(ada).error = LookupError("odd")
    await bureau.read(ada, bob)
    assert isinstance(bureau.resync.failed["ada"].__cause__, LookupError)
    assert "the snapshot of user ada failed with an unexpected error" in caplog.messages
    assert (bureau.users.has_read(ada), bureau.users.has_read(bob), bureau.crashes) == (False, True, [])
    script(ada).error = None
    bureau.clock.advance(1.0)
    await bureau.settle()
    assert bureau.users.has_read(ada)
    await bureau.resync.aclose()


async def test_error_in_the_change_feed_reaches_the_crash_callback() -> None:
    bureau = Bureau(error=LookupError("a mistake"))
    await bureau.read(bureau.user("ada"))
    assert [type(error) for error in bureau.crashes] == [LookupError]
    await bureau.resync.aclose()


# --- what snapshots come to


async def test_changes_of_a_snapshot_are_counted_by_cause() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).held = [position(account_id="of ada", quantity="5")]
    await bureau.read(ada)
    counters = bureau.resync.counters
    assert (counters.swept, counters.recovered) == (1, 0)
    script(ada).held = [position(account_id="of ada", quantity="5", last_price="7")]
    await bureau.read(ada)  # the passing of prices does not count
    assert (counters.swept, counters.recovered) == (1, 0)
    script(ada).held = [position(account_id="of ada", quantity="6")]
    bureau.resync.enqueue_stale(ada)
    await bureau.settle()
    assert (counters.swept, counters.recovered, counters.loaded) == (1, 1, 4)
    assert [len(changes) for changes in bureau.change_feed.batches] == [0, 1, 1, 1]


async def test_unchanged_snapshots_evict_ended_orders() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).listed = [order(account_id="of ada", status="filled", updated_at="2026-03-02T14:00:00Z")]
    await bureau.read(ada)
    keeper = bureau.users.accounts["of ada"].keeper
    assert keeper.order("o") is not None
    bureau.clock.advance(59.0)
    bureau.resync._confirm(ada, bureau.clock.wall())
    assert keeper.order("o") is not None
    bureau.clock.advance(2.0)
    bureau.resync._confirm(ada, bureau.clock.wall())
    assert keeper.order("o") is None
    assert keeper.was_evicted("o")
    assert bureau.resync.counters.unchanged == 2
    assert ada.since == keeper.as_of == bureau.clock.wall()


# --- accounts that are absent


async def test_absent_account_is_read_again_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).money = []
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await bureau.read(ada)
        for bound in (1.0, 2.0, 4.0, 8.0, 16.0):
            count = len(bureau.users_asked())
            bureau.clock.advance(bound / 2 - 0.01)
            await bureau.settle()
            assert len(bureau.users_asked()) == count
            bureau.clock.advance(bound / 2 + 0.02)
            await bureau.settle()
            assert len(bureau.users_asked()) == count + 1
    levels = [record.levelno for record in caplog.records if "no answer has account of ada" in record.getMessage()]
    assert levels == [logging.WARNING] + [logging.DEBUG] * 5
    script(ada).money = [balance(account_id="of ada")]
    await bureau.read(ada)
    assert ada.absent_count == 0
    await bureau.resync.aclose()


async def test_absent_account_is_dropped_after_two_minutes(caplog: pytest.LogCaptureFixture) -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).money = []
    await bureau.read(ada)  # the first answer without it
    bureau.clock.sleep(119.0)
    await bureau.read(ada)
    assert "connections" not in {what for _, _, what in bureau.asked}
    assert list(bureau.users.accounts) == ["of ada"]
    bureau.clock.sleep(1.0)
    await bureau.read(ada)
    assert [what for _, _, what in bureau.asked].count("connections") == 1
    assert (list(bureau.users.accounts), bureau.resync.counters.unlinked) == ([], 1)
    assert len(bureau.change_feed.failed) == 1
    assert "account of ada of user ada is not linked any more" in caplog.messages
    await bureau.resync.aclose()


async def test_account_id_with_line_breaks_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).money = [balance(account_id="a\r\nERROR forged\x1b[2J\u202e")]
    await bureau.read(ada)
    script(ada).money = []
    with caplog.at_level(logging.DEBUG, "connecttrade_async.live"):
        await bureau.read(ada)
        bureau.clock.sleep(120.0)
        await bureau.read(ada)
    assert any("a ERROR forged [2J of user ada is not linked any more" in message for message in caplog.messages)
    assert any("no answer has account a ERROR forged [2J of user ada" in message for message in caplog.messages)
    assert all(message.isprintable() for message in caplog.messages)
    await bureau.resync.aclose()


async def test_frame_of_an_absent_account_restarts_the_two_minutes() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).money = []
    await bureau.read(ada)
    bureau.clock.sleep(100.0)
    bureau.users.accounts["of ada"].keeper.apply(order_frame(status="working"), bureau.clock.wall())
    bureau.clock.sleep(100.0)
    await bureau.read(ada)
    assert list(bureau.users.accounts) == ["of ada"]
    bureau.clock.sleep(20.0)
    await bureau.read(ada)
    assert bureau.users.accounts == {}
    [is_meant] = bureau.change_feed.failed
    assert (is_meant("o"), is_meant("another")) == (True, False)
    await bureau.resync.aclose()


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


# --- the intake's turns


async def test_update_applier_yields_after_250_frames() -> None:
    bureau = Bureau()
    fanout = Fanout(bureau.clock.wall)
    events = fanout.subscribe(EventFilter(("orders", "unknown")), "drop_oldest", Capacity(10_000, 1 << 30))
    updates = UpdateApplier(
        events,
        bureau.users,
        bureau.change_feed,
        bureau.resync,
        bureau.clock,
        is_live=lambda: True,
    )
    ada = bureau.user("u")
    bureau.users.account_for(ada, "a", None)
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
    await bureau.settle()
    assert counts == [250, 500, 750, 760, 760]
    running.cancel()
    await asyncio.wait([running])


async def test_since_is_the_time_of_the_request() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    began = bureau.clock.wall()
    script(ada).gate.clear()
    await bureau.read(ada)
    bureau.clock.sleep(30.0)
    script(ada).gate.set()
    await bureau.settle()
    assert ada.since == began
    assert bureau.users.accounts["of ada"].keeper.as_of == began + timedelta(seconds=30)


# --- what is called off and cleaned up


async def test_user_enqueued_before_its_retry_is_read_once() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).error = ServerError(status=500, **FACTS)
    await bureau.read(ada)
    assert list(bureau.resync.failed) == ["ada"]
    script(ada).error = None
    await bureau.read(ada)
    assert ada.timer is None
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert bureau.users_asked() == ["ada", "ada"]


async def test_doubt_is_read_at_its_turn_and_the_next_waits_for_its_own() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    for bound in (0.0, 1.0, 2.0, 4.0):
        count = len(bureau.users_asked())
        bureau.resync.enqueue_suspect([ada])
        await bureau.settle()
        assert bureau.users.has_read(ada) is (bound == 0.0)
        bureau.clock.advance(bound)
        await bureau.settle()
        assert bureau.users.has_read(ada)
        assert len(bureau.users_asked()) == count + 1
    await bureau.resync.aclose()


async def test_forget_drops_everything_of_a_user() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).error = ServerError(status=500, **FACTS)
    for _ in range(3):
        bureau.resync.enqueue_suspect([ada])
        await bureau.settle()
    ada.first_read = asyncio.get_running_loop().create_future()
    assert list(bureau.resync.failed) == ["ada"]
    bureau.users.remove("ada")
    bureau.resync.forget(ada)
    assert (dict(bureau.resync.failed), ada.first_read.done(), ada.timer) == ({}, True, None)
    assert ada not in bureau.users.suspect
    count = len(bureau.asked)
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert len(bureau.asked) == count
    # One of the same name begins without the pauses of the one before.
    again = bureau.user("ada")
    await bureau.read(again)
    bureau.resync.enqueue_suspect([again])
    await bureau.settle()
    assert bureau.users.has_read(again)


async def test_give_up_waiting_has_no_effect_on_a_read_user() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    ada.first_read = asyncio.get_running_loop().create_future()
    await bureau.read(ada)
    assert ada.first_read.done()
    bureau.resync.give_up_waiting(ada)
    assert dict(bureau.resync.failed) == {}


async def test_first_snapshot_is_retaken_for_unmatched_frames_a_bounded_number_of_times() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")

    class Noisy(list[Any]):
        """Balances during whose reading a frame comes that names nobody."""

        def __iter__(self) -> Any:
            bureau.users.note_unmatched(None)
            return super().__iter__()

    script(ada).money = Noisy(script(ada).money)
    await bureau.read(ada)
    assert bureau.users_asked() == ["ada"] * 4
    assert (bureau.resync.counters.outdated, bureau.resync.counters.loaded) == (3, 1)
    assert bureau.users.has_read(ada)


async def test_absent_account_is_read_every_ten_minutes_at_most() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    script(ada).money, ada.absent_count = [], 50
    await bureau.read(ada)
    assert 300.0 <= bureau.clock.asked[-1] <= 600.0
    await bureau.resync.aclose()


async def test_doubts_cleared_by_other_snapshots_are_refunded() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    await bureau.read(ada)
    for _ in range(100):
        bureau.resync.enqueue_suspect([ada])
        await bureau.read(ada)
    bureau.resync.enqueue_suspect([ada])
    bureau.clock.advance(1.0)
    await bureau.settle()
    assert bureau.users.has_read(ada)
    await bureau.resync.aclose()


async def test_gaps_during_the_pause_before_a_resync_plan_no_second_one() -> None:
    bureau = Bureau()
    bureau.user("ada")
    for _ in range(2):
        bureau.resync.resync_all()
    planned = len(bureau.clock.asked)
    for _ in range(5):
        bureau.resync.resync_all()
    assert len(bureau.clock.asked) == planned
    await bureau.resync.aclose()


async def test_resync_cancels_the_retry_of_a_failed_user() -> None:
    bureau = Bureau()
    ada = bureau.user("ada")
    script(ada).error = ServerError(status=500, **FACTS)
    await bureau.read(ada)
    script(ada).error = None
    bureau.resync.resync_all()
    await bureau.settle()
    bureau.clock.advance(100.0)
    await bureau.settle()
    assert bureau.users_asked() == ["ada", "ada"]


async def test_close_cancels_every_timer() -> None:
    bureau = Bureau()
    ada, bob = bureau.user("ada"), bureau.user("bob")
    script(ada).error = ServerError(status=500, **FACTS)
    await bureau.read(ada, bob)
    for _ in range(2):
        bureau.resync.enqueue_suspect([bob])
        await bureau.settle()
    for _ in range(2):
        bureau.resync.resync_all()
    await bureau.settle()
    bureau.clock.advance(1.0)
    await bureau.settle()
    bureau.resync.resync_all()
    assert not all(timer.is_cancelled for *_, timer in bureau.clock._timers)
    await bureau.resync.aclose()
    assert all(timer.is_cancelled for *_, timer in bureau.clock._timers)
