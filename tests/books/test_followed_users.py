from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import astuple

from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.changes import OrderChanged, PositionChanged
from connecttrade_async.books.followed_users import (
    FollowedUser,
    FollowedUserEvent,
    FollowedUsers,
    FollowState,
    SnapshotState,
)
from connecttrade_async.books.order_tracker import OrderRetention
from followed import make_current
from frame_factory import balance, order, order_frame, position, position_frame

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
DAY = timedelta(days=1)


class FakeUser:
    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.orders: Any = None
        self.positions: Any = None
        self.balances: Any = None
        self.connections: Any = None


def test_account_moves_to_another_user() -> None:
    users = FollowedUsers(OrderRetention())
    ada, bob = users.add(FakeUser("ada")), users.add(FakeUser("bob"))
    first = users.account_for(ada, "a", None)
    assert users.account_for(ada, "a", None) is first
    second = users.account_for(bob, "a", None)
    assert (second.keeper.user_id, ada.keepers, list(bob.keepers)) == ("bob", {}, ["a"])
    users.remove("ada")
    assert users.accounts["a"] is second
    users.remove("bob")
    assert users.accounts == {}


def test_window_begins_a_day_before_the_latest_known_order() -> None:
    users = FollowedUsers(OrderRetention())
    followed = users.add(FakeUser("ada"))
    assert followed.window(NOW, DAY).since == NOW - DAY
    assert followed.window(NOW + timedelta(minutes=59, microseconds=1), DAY).since == NOW - DAY  # a whole hour
    assert followed.window(NOW, DAY).accounts is None
    keeper = users.account_for(followed, "a", None).keeper
    followed.since = NOW
    assert followed.window(NOW + DAY, DAY).since == NOW - DAY
    # The broker's clock may be behind the local one.
    keeper.load(
        AccountSnapshot([order(status="working", updated_at="2026-02-02T15:00:00Z")], (), (balance(),)), "sweep", NOW
    )
    window = followed.window(NOW + DAY, DAY)
    assert window.since == datetime(2026, 2, 1, 15, tzinfo=UTC)
    assert [each.order_id for each in window.open_orders] == ["o"]
    assert list(window.accounts or ()) == ["a"]


def test_new_account_publishes_only_later_events() -> None:
    users = FollowedUsers(OrderRetention())
    followed = users.add(FakeUser("ada"))
    facts: dict[str, Any] = {"account_id": "a", "user_id": "ada", "cause": "recovered"}
    old, new = order(updated_at="2026-03-02T14:00:00Z"), order(updated_at="2026-03-02T16:00:00Z")
    silent, received = users.account_for(followed, "a", None), users.account_for(followed, "b", NOW)
    for account, after, expected in (
        (silent, new, False),
        (received, old, False),
        (received, new, True),
        (received, order(), True),
    ):
        assert account.is_news(OrderChanged(before=None, after=after, **facts)) is expected
    assert silent.is_news(OrderChanged(before=old, after=new, **facts))
    assert not received.is_news(PositionChanged(before=None, after=position(), **facts))


def test_missed_since_keeps_the_time_of_the_first_gap() -> None:
    users = FollowedUsers(OrderRetention())
    ada, bob = users.add(FakeUser("ada")), users.add(FakeUser("bob"))
    make_current(users)
    times = ["2026-03-02T14:00:00Z", "2026-03-02T14:10:00Z", "2026-03-02T14:20:00Z"]
    first, second, third = (datetime.fromisoformat(time) for time in times)
    users.last = position_frame(times[0])
    users.mark_suspect([ada])
    users.mark_stale([ada, bob])
    make_current(users, bob)
    users.last = position_frame(times[1])
    users.mark_stale([ada, bob])
    assert (ada.missed_since, bob.missed_since) == (first, second)
    # A user that replaces another keeps its time.
    assert users.add(FakeUser("ada")).missed_since == first
    make_current(users)
    users.last = position_frame(times[2])
    assert users.add(FakeUser("bob")).missed_since == third


def test_missed_since_is_never_in_the_future() -> None:
    users = FollowedUsers(OrderRetention())
    ada = users.add(FakeUser("ada"))
    make_current(users)
    users.last, users.received_at = position_frame("2036-03-02T14:00:00Z"), NOW
    users.mark_stale([ada])
    assert ada.missed_since == NOW


def test_order_is_found_in_any_book() -> None:
    users = FollowedUsers(OrderRetention())
    followed = users.add(FakeUser("ada"))
    users.account_for(followed, "b", None)
    users.account_for(followed, "a", None).keeper.apply(order_frame(status="working"), NOW)
    assert users.order("o") is not None
    assert users.order("p") is None
    assert users.book("c") is None


def test_book_created_during_a_snapshot_keeps_updates() -> None:
    users = FollowedUsers(OrderRetention())
    followed = users.add(FakeUser("ada"))
    users.begin_snapshot(followed)
    keeper = users.account_for(followed, "a", NOW).keeper
    keeper.apply(order_frame(status="working", stop_price="2"), NOW)
    keeper.load(AccountSnapshot([order(status="working", stop_price="1")], (), (balance(),)), "recovered", NOW)
    [known] = keeper.book(is_current=True).orders.values()
    assert known.stop_price_text == "2"


def test_followed_user_is_not_tracked_by_the_garbage_collector() -> None:
    users = FollowedUsers(OrderRetention())
    user = FakeUser("ada")
    followed = users.add(user)
    users.account_for(followed, "a", None)
    listed = AccountSnapshot([order(), order(order_id="p", status="filled")], (position(),), (balance(),))
    users.load(followed, {"a": listed}, "recovered", None, NOW)
    followed.since = NOW
    assert users.load(followed, {"a": listed}, "recovered", None, NOW) == ([], [])
    found: list[object] = [followed, users.accounts["a"].keeper]
    for step in found:
        if isinstance(step, msgspec.Struct):
            found += [part for part in astuple(step) if part is not user]
        elif type(step) in {dict, tuple, set}:
            found += gc.get_referents(step)
    assert {"FollowedUser", "BookKeeper", "OrderTracker", "KeyedState", "Order"} <= {
        type(each).__name__ for each in found
    }
    # Enum members are shared.
    assert not [each for each in found if gc.is_tracked(each) and not isinstance(each, Enum)]


# --- the state machine of a followed user

NEWS = (FollowedUserEvent.DOUBT, FollowedUserEvent.OUTDATE, FollowedUserEvent.MISS)


class EveryEvent(RuleBasedStateMachine):
    """Sends any event in any state; it is accepted or refused as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.followed = FollowedUser(FakeUser("ada"))
        self.number = self.begun_at = self.doubted_at = 0
        self.is_reading = self.is_loaded = self.is_removed = False

    @rule(event=st.sampled_from(FollowedUserEvent))
    def send(self, event: FollowedUserEvent) -> None:
        before = self.followed.state, self.followed.snapshot
        try:
            self.followed.handle(event)
        except RuntimeError:
            assert (self.followed.state, self.followed.snapshot) == before
            assert not self.is_allowed(event)
            return
        assert self.is_allowed(event)
        self.number += 1
        if event is FollowedUserEvent.BEGIN:
            self.is_reading, self.is_loaded, self.begun_at = True, False, self.number
        elif event in NEWS:
            self.doubted_at = self.number
        elif event is FollowedUserEvent.REMOVE:
            self.is_removed = True
        elif event is FollowedUserEvent.END:
            self.is_reading = False
        else:
            self.is_loaded = True
        if self.followed.state is FollowState.CURRENT and before[0] is not FollowState.CURRENT:
            assert event is FollowedUserEvent.LOAD
            assert self.begun_at > self.doubted_at

    def is_allowed(self, event: FollowedUserEvent) -> bool:
        """Return whether an event can happen, from what happened before and without the tables."""
        is_discarded = self.followed.snapshot is SnapshotState.OUTDATED
        is_unloaded = self.is_reading and not self.is_loaded
        match event:
            case FollowedUserEvent.BEGIN:
                return not self.is_reading and not self.is_removed
            case FollowedUserEvent.LOAD:
                return is_unloaded and not self.is_removed and self.begun_at > self.doubted_at
            case FollowedUserEvent.LOAD_DOUBTED:
                return is_unloaded and not is_discarded and self.begun_at < self.doubted_at
            case FollowedUserEvent.END:
                return self.is_reading
            case _:
                return not self.is_removed

    @invariant()
    def nothing_is_current_after_a_doubt_or_a_removal(self) -> None:
        if self.followed.state is FollowState.CURRENT:
            assert not self.is_removed
            assert self.begun_at > 0
        assert self.followed.is_reading is self.is_reading
        assert (self.followed.state is FollowState.GONE) is self.is_removed


class Accounts(RuleBasedStateMachine):
    """Two accounts of one user: each is current only by a snapshot that was requested after its latest doubt."""

    def __init__(self) -> None:
        super().__init__()
        self.users = FollowedUsers(OrderRetention())
        self.users.is_live = True
        self.followed = self.users.add(FakeUser("ada"))
        for name in "ab":
            keeper = self.users.account_for(self.followed, name, None).keeper
            keeper.load(AccountSnapshot((), (), (balance(account_id=name),)), "sweep", NOW)
        self.number = 0
        self.begun_at = self.loaded_at = -1
        self.doubted_at = {"a": 0, "b": 0}
        self.missed_at = 0

    @rule()
    @precondition(lambda self: not self.followed.is_reading)
    def begin(self) -> None:
        self.number += 1
        self.begun_at = self.number
        self.users.begin_snapshot(self.followed)

    @rule(names=st.none() | st.sets(st.sampled_from("ab"), min_size=1))
    def doubt(self, names: set[str] | None) -> None:
        self.number += 1
        self.users.mark_suspect([self.followed], names)
        for name in names or "ab":
            self.doubted_at[name] = self.number

    @rule()
    def miss(self) -> None:
        self.number += 1
        self.missed_at = self.number
        self.users.mark_stale([self.followed])

    @rule()
    def outdate(self) -> None:
        self.followed.handle(FollowedUserEvent.OUTDATE)

    @rule()
    @precondition(lambda self: self.followed.snapshot not in {SnapshotState.NONE, SnapshotState.LOADED})
    def complete(self) -> None:
        if self.followed.snapshot is SnapshotState.OUTDATED:
            with pytest.raises(RuntimeError, match="LOAD_DOUBTED cannot happen"):
                self.users.accept_snapshot(self.followed)
            self.users.end_snapshot(self.followed)
        else:
            is_clean = self.users.accept_snapshot(self.followed)
            assert is_clean is (self.begun_at > max(self.missed_at, *self.doubted_at.values()))
            self.loaded_at = self.begun_at

    @rule()
    def end(self) -> None:
        self.users.end_snapshot(self.followed)

    @invariant()
    def account_is_current_only_by_a_later_snapshot(self) -> None:
        for name, account in self.users.accounts.items():
            if self.users.is_current(account):
                assert self.loaded_at > max(self.missed_at, self.doubted_at[name])
        is_current = self.followed.state is FollowState.CURRENT
        assert (self.followed in self.users.not_current) is not is_current
        assert self.users.has_read(self.followed) is is_current
        assert is_current is (self.loaded_at > max(self.missed_at, *self.doubted_at.values()))


TestEveryEvent = EveryEvent.TestCase
TestEveryEvent.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_doubt_of_one_account_leaves_the_others_current() -> None:
    users = FollowedUsers(OrderRetention())
    users.is_live = True
    followed = users.add(FakeUser("ada"))
    accounts = [users.account_for(followed, name, None) for name in "abc"]
    users.begin_snapshot(followed)
    users.load(
        followed, {name: AccountSnapshot((), (), (balance(account_id=name),)) for name in "abc"}, "sweep", None, NOW
    )
    assert users.accept_snapshot(followed)
    assert all(map(users.is_current, accounts))
    users.mark_suspect([followed], ["a"])
    users.mark_suspect([followed], ["b"])
    assert list(map(users.is_current, accounts)) == [False, False, True]
    users.mark_suspect([followed])
    users.mark_suspect([followed], ["a"])
    assert not any(map(users.is_current, accounts))
    assert followed.is_doubted
    users.is_live = False
    make_current(users)
    assert not any(map(users.is_current, accounts))
