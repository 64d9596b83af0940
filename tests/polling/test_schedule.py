from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

import connecttrade_async.live
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule, Turn

HOURS_24 = 86_400.0


class Somebody(NamedTuple):
    user_id: str


def filled(
    count: int, every: float | None = 10.0, *, now: float = 0.0, own: float = 10.0
) -> tuple[Schedule, list[PolledUser]]:
    schedule = Schedule(every, 0.0)
    records = [PolledUser(Somebody(f"u{number}")) for number in range(count)]
    for record in records:
        schedule.add(record, now, own)
    return schedule, records


def taken(schedule: Schedule, now: float, interval: float = 10.0) -> Turn:
    turn = schedule.take(now)
    assert turn is not None
    schedule.finish_turn(turn.record, now, interval)
    return turn


def everything(schedule: Schedule, until: float, interval: float = 10.0) -> list[tuple[float, PolledUser]]:
    """Take each turn just when it is due."""
    told: list[tuple[float, PolledUser]] = []
    while (when := schedule.next_at()) is not None and when < until:
        told.append((when, taken(schedule, when, interval).record))
    return told


def test_the_room_says_what_it_is_for() -> None:
    assert connecttrade_async.live.__doc__


@pytest.mark.parametrize("every", [10.0, None])
def test_turns_are_spread_evenly_from_the_start_and_do_not_drift(every: float | None) -> None:
    schedule, records = filled(100, every)
    told = everything(schedule, HOURS_24)
    first = [when for when, _ in told[:100]]
    assert {record.user for _, record in told[:100]} == {record.user for record in records}
    assert max(later - earlier for earlier, later in pairwise([0.0, *first, 10.0])) < 0.2
    for when, record in told[-100:]:
        begun = next(begin for begin, other in told if other is record)
        assert (when - begun) / 10 == pytest.approx(round((when - begun) / 10), abs=1e-6)
    assert schedule.skipped == 0


def test_nothing_is_due_before_its_time() -> None:
    schedule, (record,) = filled(1)
    when = schedule.next_at()
    assert when is not None
    assert schedule.take(when - 0.1) is None
    assert schedule.take(when + 0.5) == Turn(record, 0.5)
    assert record.state is PollState.RUNNING
    assert Schedule(1.0, 0.0).next_at() is None
    assert Schedule(1.0, 0.0).take(5.0) is None


def test_who_still_runs_is_not_asked_again() -> None:
    schedule, (record,) = filled(1)
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
def test_nobody_has_a_turn_twice_before_all_once(users: int, every: float, steps: list[float], slow: float) -> None:
    schedule, records = filled(users, every, own=every)
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


def test_missed_cycles_are_skipped_and_places_are_kept() -> None:
    schedule, _ = filled(3)
    begun = everything(schedule, 10.0)
    first = taken(schedule, 95.0)
    assert first.record is begun[0][1]
    assert first.late == pytest.approx(85.0 - begun[0][0])
    assert schedule.skipped == 3 * 8
    assert schedule.take(95.0) is None  # the others come in their places, and not all at once
    after = everything(schedule, 125.0)
    assert [record for _, record in after] == [begun[place % 3][1] for place in range(1, len(after) + 1)]
    places = {record.user.user_id: when % 10 for when, record in begun}
    assert [when % 10 for when, _ in after] == pytest.approx([places[record.user.user_id] for _, record in after])
    assert schedule.skipped == 3 * 8


@pytest.mark.parametrize("users", [2, 20])
def test_who_comes_late_into_a_late_ring_stays_in_order(users: int) -> None:
    schedule, _ = filled(users)
    everything(schedule, 10.0)
    schedule.add(PolledUser(Somebody("new")), 10.0, 10.0)
    taken(schedule, 60.0)
    told = [record.user.user_id for _, record in everything(schedule, 100.0)]
    assert len(told) >= 9
    cycle = users + 1
    assert all(len({*told[begin : begin + cycle]}) == cycle for begin in range(len(told) - users))


def test_cycles_that_a_newcomer_missed_alone_are_its_own() -> None:
    schedule, _ = filled(20)
    everything(schedule, 10.0)
    schedule.add(late := PolledUser(Somebody("late")), 10.0, 10.0)
    taken(schedule, 60.0)  # the first of all misses cycles, and everybody with it
    skipped = schedule.skipped
    assert taken(schedule, 60.0).record is late
    assert 1 <= schedule.skipped - skipped <= 5


def test_an_interval_of_each_user_s_own() -> None:
    schedule, (fast, slow) = filled(2, None)
    counts: Counter[str] = Counter()
    while (when := schedule.next_at()) is not None and when < 100:
        turn = schedule.take(when)
        assert turn is not None
        counts[turn.record.user.user_id] += 1
        schedule.finish_turn(turn.record, when, 1.0 if turn.record is fast else 20.0)
    assert counts["u0"] >= 90
    assert counts["u1"] == 5
    assert slow.state is PollState.WAITING
    # Turns whose time has passed are not made up for.
    turn = schedule.take(200.0)
    assert turn is not None
    schedule.finish_turn(turn.record, 200.0, 1.0)
    assert schedule.skipped > 50
    assert schedule.next_at() is not None


@pytest.mark.parametrize("every", [10.0, None])
def test_who_failed_is_left_alone_for_the_pause_and_keeps_its_place(every: float | None) -> None:
    schedule, (record,) = filled(1, every)
    begun = schedule.next_at()
    assert begun is not None
    assert schedule.take(begun) is not None
    schedule.finish_turn(record, begun, 10.0, pause=25.0)
    asked = [when for when in (begun + 10 * turn for turn in range(1, 5)) if schedule.take(when) is not None]
    assert asked == [begun + 30.0]


@pytest.mark.parametrize("every", [10.0, None])
def test_parked_users_take_a_turn_after_their_pause_and_gone_users_take_none(every: float | None) -> None:
    schedule, (one, other) = filled(2, every)
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
    schedule.resume(one, 161.0)  # it is being asked
    assert one.state is PollState.RUNNING
    assert schedule.take(200.0) is None
    one.state = PollState.GONE
    schedule.park(one, 200.0, 10.0, 1.0)
    schedule.resume(one, 200.0)
    assert one.state is PollState.GONE
    assert schedule.take(300.0) is None


@pytest.mark.parametrize("every", [10.0, None])
def test_a_parked_user_is_the_probe_only_where_no_other_waits(every: float | None) -> None:
    schedule, records = filled(3, every)
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
    assert sorted(map(id, later)) == sorted(map(id, (one, other)))  # none was lost, and none is there twice


@settings(deadline=None, max_examples=60)
@given(
    every=st.sampled_from([10.0, None]),
    steps=st.lists(
        st.tuples(st.sampled_from(["done", "fail", "park", "resume", "probe"]), st.integers(0, 3)), max_size=60
    ),
)
def test_no_user_is_lost_or_asked_twice_however_turns_end(every: float | None, steps: list[tuple[str, int]]) -> None:
    schedule, records = filled(4, every)
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


def test_who_is_gone_while_waiting_is_forgotten() -> None:
    for every in (10.0, None):
        schedule, (record,) = filled(1, every)
        record.state = PollState.GONE
        assert schedule.take(100.0) is None
        assert schedule.next_at() is None
        schedule, (record,) = filled(1, every)
        record.state = PollState.GONE
        assert schedule.probe() is None


@pytest.mark.parametrize("every", [10.0, None])
def test_while_time_is_held_there_are_only_probes_in_turn(every: float | None) -> None:
    schedule, records = filled(3, every)
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
    # It goes on as it was spread, and not all at once.
    told = everything(schedule, 125.0)
    assert len({record.user for _, record in told}) == 3
    assert all(later - earlier > 1 for (earlier, _), (later, _) in pairwise(told))


def test_a_probe_passes_over_who_is_being_asked() -> None:
    schedule, records = filled(3)
    asked = schedule.take(10.0)
    assert asked is not None
    probed = [schedule.probe() for _ in range(3)]
    assert {turn.record.user for turn in probed if turn is not None} == {
        record.user for record in records if record is not asked.record
    }
    assert probed[2] is None


def test_many_newcomers_and_few_take_their_turns_in_the_order_in_which_they_are_due() -> None:
    schedule = Schedule(10.0, 0.0)
    records = [PolledUser(Somebody(f"u{number}")) for number in range(100)]
    for record in records[:40]:
        schedule.add(record, 0.0, 10.0)
    taken: list[tuple[float, PolledUser]] = []

    def take_until(end: float) -> None:
        while (when := schedule.next_at()) is not None and when < end:
            turn = schedule.take(when)
            assert turn is not None
            schedule.finish_turn(turn.record, when, 10.0)
            taken.append((when, turn.record))

    take_until(15.0)
    for record in records[40:]:  # many
        schedule.add(record, 15.0, 10.0)
    take_until(18.0)
    late = PolledUser(Somebody("late"))
    schedule.add(late, 18.0, 10.0)  # one alone
    take_until(60.0)
    whens = [when for when, _ in taken]
    assert whens == sorted(whens)
    for record in (*records, late):
        own = [when for when, each in taken if each is record]
        assert all(after - before == pytest.approx(10.0) for before, after in pairwise(own))
        assert len(own) >= 4
