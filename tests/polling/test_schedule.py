from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

import connecttrade_async.polling
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule, Turn

HOURS_24 = 86_400.0


class FakeUser(NamedTuple):
    user_id: str


def schedule_of(
    count: int, every: float | None = 10.0, *, now: float = 0.0, own: float = 10.0
) -> tuple[Schedule, list[PolledUser]]:
    schedule = Schedule(every, 0.0)
    records = [PolledUser(FakeUser(f"u{number}")) for number in range(count)]
    for record in records:
        schedule.add(record, now, own)
    return schedule, records


def take_turn(schedule: Schedule, now: float, interval: float = 10.0) -> Turn:
    turn = schedule.take(now)
    assert turn is not None
    schedule.finish_turn(turn.record, now, interval)
    return turn


def take_all(schedule: Schedule, until: float, interval: float = 10.0) -> list[tuple[float, PolledUser]]:
    """Take each turn when it is due."""
    turns: list[tuple[float, PolledUser]] = []
    while (when := schedule.next_at()) is not None and when < until:
        turns.append((when, take_turn(schedule, when, interval).record))
    return turns


def test_package_has_a_docstring() -> None:
    assert connecttrade_async.polling.__doc__


@pytest.mark.parametrize("every", [10.0, None])
def test_turns_are_spread_evenly_and_do_not_drift(every: float | None) -> None:
    schedule, records = schedule_of(100, every)
    turns = take_all(schedule, HOURS_24)
    first = [when for when, _ in turns[:100]]
    assert {record.user for _, record in turns[:100]} == {record.user for record in records}
    assert max(later - earlier for earlier, later in pairwise([0.0, *first, 10.0])) < 0.2
    for when, record in turns[-100:]:
        begin = next(begin for begin, other in turns if other is record)
        assert (when - begin) / 10 == pytest.approx(round((when - begin) / 10), abs=1e-6)
    assert schedule.skipped == 0


def test_take_returns_nothing_before_a_turn_is_due() -> None:
    schedule, (record,) = schedule_of(1)
    when = schedule.next_at()
    assert when is not None
    assert schedule.take(when - 0.1) is None
    assert schedule.take(when + 0.5) == Turn(record, 0.5)
    assert record.state is PollState.RUNNING
    assert Schedule(1.0, 0.0).next_at() is None
    assert Schedule(1.0, 0.0).take(5.0) is None


def test_running_user_skips_its_turn() -> None:
    schedule, (record,) = schedule_of(1)
    assert schedule.take(10.0) is not None
    assert schedule.take(20.0) is None
    assert schedule.skipped == 1
    schedule.finish_turn(record, 25.0, 10.0)
    assert schedule.take(30.0) is not None


@settings(deadline=None, max_examples=40)
@given(
    users=st.integers(min_value=1, max_value=30),
    every=st.sampled_from([0.5, 3.0, 10.0]),
    steps=st.lists(st.floats(min_value=0.0, max_value=20.0), max_size=25),
    slow=st.sampled_from([0.0, 0.3]),
)
def test_no_user_has_a_second_turn_before_all_others_had_one(
    users: int, every: float, steps: list[float], slow: float
) -> None:
    schedule, records = schedule_of(users, every, own=every)
    now, order = 0.0, list[str]()
    for step in steps:
        now += step
        while (turn := schedule.take(now)) is not None and len(order) < 300:
            order.append(turn.record.user.user_id)
            now += slow
            schedule.finish_turn(turn.record, now, every)
    assert len(records) == users
    for begin in range(0, len(order), 7):
        for end in range(begin, len(order), 11):
            counts = Counter(order[begin:end])
            most = max(counts.values(), default=0)
            assert most - min((counts[record.user.user_id] for record in records), default=0) <= 1


def test_missed_cycles_are_skipped_and_phases_are_kept() -> None:
    schedule, _ = schedule_of(3)
    cycle = take_all(schedule, 10.0)
    first = take_turn(schedule, 95.0)
    assert first.record is cycle[0][1]
    assert first.late == pytest.approx(85.0 - cycle[0][0])
    assert schedule.skipped == 3 * 8
    assert schedule.take(95.0) is None  # the others have their turns at their phases, not all at once
    after = take_all(schedule, 125.0)
    assert [record for _, record in after] == [cycle[index % 3][1] for index in range(1, len(after) + 1)]
    phases = {record.user.user_id: when % 10 for when, record in cycle}
    assert [when % 10 for when, _ in after] == pytest.approx([phases[record.user.user_id] for _, record in after])
    assert schedule.skipped == 3 * 8


@pytest.mark.parametrize("users", [2, 20])
def test_user_added_to_a_late_ring_keeps_the_ring_in_order(users: int) -> None:
    schedule, _ = schedule_of(users)
    take_all(schedule, 10.0)
    schedule.add(PolledUser(FakeUser("new")), 10.0, 10.0)
    take_turn(schedule, 60.0)
    turns = [record.user.user_id for _, record in take_all(schedule, 100.0)]
    assert len(turns) >= 9
    cycle = users + 1
    assert all(len({*turns[begin : begin + cycle]}) == cycle for begin in range(len(turns) - users))


def test_cycles_that_only_a_new_user_missed_are_skipped_for_it_alone() -> None:
    schedule, _ = schedule_of(20)
    take_all(schedule, 10.0)
    schedule.add(late := PolledUser(FakeUser("late")), 10.0, 10.0)
    take_turn(schedule, 60.0)  # the first in the ring missed cycles, and all others with it
    skipped = schedule.skipped
    assert take_turn(schedule, 60.0).record is late
    assert 1 <= schedule.skipped - skipped <= 5


def test_interval_of_each_user_sets_its_own_turns() -> None:
    schedule, (fast, slow) = schedule_of(2, None)
    counts: Counter[str] = Counter()
    while (when := schedule.next_at()) is not None and when < 100:
        turn = schedule.take(when)
        assert turn is not None
        counts[turn.record.user.user_id] += 1
        schedule.finish_turn(turn.record, when, 1.0 if turn.record is fast else 20.0)
    assert counts["u0"] >= 90
    assert counts["u1"] == 5
    assert slow.state is PollState.WAITING
    # Missed turns are not made up for.
    turn = schedule.take(200.0)
    assert turn is not None
    schedule.finish_turn(turn.record, 200.0, 1.0)
    assert schedule.skipped > 50
    assert schedule.next_at() is not None


@pytest.mark.parametrize("every", [10.0, None])
def test_paused_user_has_no_turn_and_keeps_its_phase(every: float | None) -> None:
    schedule, (record,) = schedule_of(1, every)
    first = schedule.next_at()
    assert first is not None
    assert schedule.take(first) is not None
    schedule.finish_turn(record, first, 10.0, pause=25.0)
    polled = [when for when in (first + 10 * turn for turn in range(1, 5)) if schedule.take(when) is not None]
    assert polled == [first + 30.0]


@pytest.mark.parametrize("every", [10.0, None])
def test_parked_users_have_a_turn_after_their_pause_and_gone_users_have_none(every: float | None) -> None:
    schedule, (one, other) = schedule_of(2, every)
    for _ in range(2):
        assert schedule.take(10.0) is not None
    schedule.park(one, 10.0, 10.0, 100.0)
    other.state = PollState.GONE
    schedule.finish_turn(other, 10.0, 10.0)
    assert [schedule.take(float(now)) for now in range(20, 110)] == [None] * 90
    turns = [turn.record for now in range(110, 121) if (turn := schedule.take(float(now))) is not None]
    assert turns == [one]
    assert one.state is PollState.RUNNING
    schedule.park(one, 120.0, 10.0, 100.0)
    schedule.resume(one, 141.0)
    schedule.resume(one, 141.0)
    turns = [turn.record for now in (145.0, 150.0, 155.0, 160.0) if (turn := schedule.take(now)) is not None]
    assert turns == [one]
    schedule.resume(one, 161.0)  # its poll still runs
    assert one.state is PollState.RUNNING
    assert schedule.take(200.0) is None
    one.state = PollState.GONE
    schedule.park(one, 200.0, 10.0, 1.0)
    schedule.resume(one, 200.0)
    assert one.state is PollState.GONE
    assert schedule.take(300.0) is None


@pytest.mark.parametrize("every", [10.0, None])
def test_probe_returns_a_parked_user_only_if_no_other_waits(every: float | None) -> None:
    schedule, records = schedule_of(3, every)
    one, other, third = records
    for _ in records:
        assert schedule.take(10.0) is not None
    for record in (one, other):
        schedule.park(record, 10.0, 10.0, 100.0)
    schedule.finish_turn(third, 10.0, 10.0)
    for _ in range(5):
        turn = schedule.probe()
        assert turn is not None
        assert turn.record is third
        schedule.finish_turn(third, 10.0, 10.0)
    third.state = PollState.GONE
    turns = [schedule.probe(), schedule.probe()]
    assert {turn.record for turn in turns if turn is not None} == {one, other}
    assert schedule.probe() is None
    for record in (one, other):
        schedule.park(record, 20.0, 10.0, 100.0)
    later = [turn.record for now in range(20, 140) if (turn := schedule.take(float(now))) is not None]
    assert sorted(map(id, later)) == sorted(map(id, (one, other)))  # no user is lost, and no user is queued twice


@settings(deadline=None, max_examples=60)
@given(
    every=st.sampled_from([10.0, None]),
    steps=st.lists(
        st.tuples(st.sampled_from(["done", "fail", "park", "resume", "probe"]), st.integers(0, 3)), max_size=60
    ),
)
def test_no_user_is_lost_or_polled_twice_however_turns_end(every: float | None, steps: list[tuple[str, int]]) -> None:
    schedule, records = schedule_of(4, every)
    now, running = 0.0, list[PolledUser]()
    for step, number in steps:
        now += 7.0
        record = records[number]
        if step == "resume":
            schedule.resume(record, now)
        elif step == "probe" and (turn := schedule.probe()) is not None:
            running.append(turn.record)
        while (turn := schedule.take(now)) is not None:
            running.append(turn.record)
        assert len(running) == len(set(map(id, running)))
        if record in running:
            running.remove(record)
            if step == "park":
                schedule.park(record, now, 10.0, 30.0)
            else:
                schedule.finish_turn(record, now, 10.0, 25.0 if step == "fail" else 0.0)
    for record in running:
        schedule.finish_turn(record, now, 10.0)
    later = list[PolledUser]()
    for _ in range(10):
        now += 10.0
        while (turn := schedule.take(now)) is not None:
            later.append(turn.record)
            schedule.finish_turn(turn.record, now, 10.0)
    counts = Counter(map(id, later))
    assert set(counts) == set(map(id, records))
    assert max(counts.values()) <= 11


def test_gone_user_is_dropped_from_the_queue() -> None:
    for every in (10.0, None):
        schedule, (record,) = schedule_of(1, every)
        record.state = PollState.GONE
        assert schedule.take(100.0) is None
        assert schedule.next_at() is None
        schedule, (record,) = schedule_of(1, every)
        record.state = PollState.GONE
        assert schedule.probe() is None


@pytest.mark.parametrize("every", [10.0, None])
def test_held_schedule_gives_only_probes_in_turn(every: float | None) -> None:
    schedule, records = schedule_of(3, every)
    schedule.hold(0.0)
    schedule.hold(5.0)
    assert schedule.next_at() is None
    assert schedule.take(50.0) is None
    probed: list[PolledUser] = []
    for now in (50.0, 60.0, 70.0):
        turn = schedule.probe()
        assert turn is not None
        probed.append(turn.record)
        schedule.finish_turn(turn.record, now, 10.0)
    assert {record.user for record in probed} == {record.user for record in records}
    schedule.release(100.0)
    schedule.release(200.0)
    # The turns keep their spacing, and are not due all at once.
    turns = take_all(schedule, 125.0)
    assert len({record.user for _, record in turns}) == 3
    assert all(later - earlier > 1 for (earlier, _), (later, _) in pairwise(turns))


def test_probe_skips_running_users() -> None:
    schedule, records = schedule_of(3)
    polled = schedule.take(10.0)
    assert polled is not None
    probed = [schedule.probe() for _ in range(3)]
    assert {turn.record.user for turn in probed if turn is not None} == {
        record.user for record in records if record is not polled.record
    }
    assert probed[2] is None


def test_users_added_one_by_one_or_many_at_once_have_turns_in_order() -> None:
    schedule = Schedule(10.0, 0.0)
    records = [PolledUser(FakeUser(f"u{number}")) for number in range(100)]
    for record in records[:40]:
        schedule.add(record, 0.0, 10.0)
    take_turn: list[tuple[float, PolledUser]] = []

    def take_until(end: float) -> None:
        while (when := schedule.next_at()) is not None and when < end:
            turn = schedule.take(when)
            assert turn is not None
            schedule.finish_turn(turn.record, when, 10.0)
            take_turn.append((when, turn.record))

    take_until(15.0)
    for record in records[40:]:  # many
        schedule.add(record, 15.0, 10.0)
    take_until(18.0)
    late = PolledUser(FakeUser("late"))
    schedule.add(late, 18.0, 10.0)  # one alone
    take_until(60.0)
    whens = [when for when, _ in take_turn]
    assert whens == sorted(whens)
    for record in (*records, late):
        own = [when for when, each in take_turn if each is record]
        assert all(after - before == pytest.approx(10.0) for before, after in pairwise(own))
        assert len(own) >= 4
