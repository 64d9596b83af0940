from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.live.sweep import Sweep
from manual_clock import SteppedClock

if TYPE_CHECKING:
    from connecttrade_async.books.followed_users import FollowedUser


class FakeUser:
    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.orders: Any = None
        self.positions: Any = None
        self.balances: Any = None
        self.connections: Any = None


class Line:
    """Records the enqueued users."""

    def __init__(self) -> None:
        self.wanted: list[str] = []

    def enqueue(self, followed: FollowedUser) -> None:
        self.wanted.append(followed.user.user_id)


def swept(names: list[str], every: float) -> tuple[SteppedClock, FollowedUsers, Line, Sweep]:
    clock, users, line = SteppedClock(), FollowedUsers(OrderRetention()), Line()
    for name in names:
        users.add(FakeUser(name))
    sweep = Sweep(users, line, clock, every)  # type: ignore[arg-type]
    sweep.start()
    return clock, users, line, sweep


def test_sweep_enqueues_every_user_once_per_interval_evenly() -> None:
    clock, _, line, _ = swept(["a", "b", "c"], 300)
    counts: list[int] = []
    for _ in range(6):
        clock.advance(100)
        counts.append(len(line.wanted))
    assert counts == [1, 2, 3, 4, 5, 6]
    assert line.wanted == ["a", "b", "c"] * 2


def test_sweep_of_many_users_enqueues_several_per_tick() -> None:
    names = [str(number) for number in range(10_000)]
    clock, _, line, _ = swept(names, 300)
    for _ in range(6):
        clock.advance(50)
        assert len(line.wanted) == pytest.approx(clock.now() / 300 * 10_000, abs=10)
    clock.advance(1)
    assert set(line.wanted) == set(names)
    # At most twenty wake-ups a second for any number of users.
    assert len(clock.asked) <= 301 * 20 + 1


def test_sweep_enqueues_each_user_at_most_once_per_tick() -> None:
    clock, _, line, _ = swept(["a", "b", "c"], 1e-6)
    clock.advance(0.06)
    assert line.wanted == ["a", "b", "c"]


def test_sweep_skips_removed_users_and_takes_new_ones_in_the_next_round() -> None:
    clock, users, line, sweep = swept(["a", "b", "c"], 300)
    clock.advance(100)
    users.remove("b")
    users.add(FakeUser("d"))
    clock.advance(300)
    assert line.wanted == ["a", "c", "a", "c"]
    clock.advance(100)
    assert line.wanted[-1] == "d"
    for name in ("a", "c", "d"):
        users.remove(name)
    clock.advance(600)
    assert len(line.wanted) == 5
    sweep.stop()
    clock.advance(600)
    asked = len(clock.asked)
    clock.advance(600)
    assert len(clock.asked) == asked


def test_sweep_that_was_not_started_can_be_stopped() -> None:
    Sweep(FollowedUsers(OrderRetention()), Line(), SteppedClock(), 300).stop()  # type: ignore[arg-type]
