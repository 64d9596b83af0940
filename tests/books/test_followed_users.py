from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
from msgspec.structs import astuple

from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.changes import OrderChanged, PositionChanged
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.books.order_tracker import OrderRetention
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
    users.unread.clear()
    times = ["2026-03-02T14:00:00Z", "2026-03-02T14:10:00Z", "2026-03-02T14:20:00Z"]
    first, second, third = (datetime.fromisoformat(time) for time in times)
    users.last = position_frame(times[0])
    users.mark_suspect([ada])
    users.mark_stale([ada, bob])
    users.unread.discard(bob)
    users.last = position_frame(times[1])
    users.mark_stale([ada, bob])
    assert (ada.missed_since, bob.missed_since) == (first, second)
    # A user that replaces another keeps its time.
    assert users.add(FakeUser("ada")).missed_since == first
    users.unread.clear()
    users.last = position_frame(times[2])
    assert users.add(FakeUser("bob")).missed_since == third


def test_missed_since_is_never_in_the_future() -> None:
    users = FollowedUsers(OrderRetention())
    ada = users.add(FakeUser("ada"))
    users.unread.clear()
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
    followed.is_reading = True
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
