from __future__ import annotations

from hypothesis import given, settings, strategies as st

from connecttrade_async.live.doubt_budget import CALM, LONGEST_PAUSE, DoubtBudget, GrowingPauses


def test_pauses_grow_while_the_cause_lasts_and_start_over_afterwards() -> None:
    pauses, now, delays = GrowingPauses(1.0, 30.0), 0.0, list[float]()
    for _ in range(10):
        pauses.note("ada", now)
        delays.append(pauses.reserve("ada", now))
        now += delays[-1]
    assert delays[0] == 0.0
    bounds = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert all(bound / 2 <= delay <= bound for delay, bound in zip(delays[1:], bounds, strict=True))
    # A pause that has passed does not reset the pauses.
    pauses.note("ada", now)
    now += CALM - 1
    pauses.note("ada", now)
    assert pauses.reserve("ada", now) == 0.0
    assert 15.0 <= pauses.reserve("ada", now) <= 30.0
    now += CALM + 1
    pauses.note("ada", now)
    assert pauses.reserve("ada", now) == 0.0
    assert 0.5 <= pauses.reserve("ada", now) <= 1.0


def test_refunded_turn_does_not_lengthen_pauses() -> None:
    pauses = GrowingPauses(1.0, 8.0)
    pauses.note("ada", 0.0)
    pauses.reserve("ada", 0.0)
    first = pauses.reserve("ada", 0.0)
    for _ in range(20):
        pauses.refund("ada")
        assert pauses.reserve("ada", 0.0) == first
    pauses.refund("nobody")


def test_pauses_are_separate_for_each_user() -> None:
    budget = DoubtBudget(1.0, 0.0)
    for name in ("ada", "bob"):
        budget.note(name, 0.0)
        assert budget.reserve(name, 2, 0.0) == 0.0
        assert budget.reserve(name, 2, 0.0) > 0.0
    budget.forget("ada")
    budget.note("ada", 0.0)
    assert budget.reserve("ada", 2, 0.0) == 0.0


def test_all_users_have_one_read_each_and_then_a_common_rate() -> None:
    budget = DoubtBudget(1.0, 0.0)
    for number in range(110):
        budget.note(f"u{number}", 0.0)
        assert budget.reserve(f"u{number}", 100, 0.0) == 0.0
    budget.note("late", 0.0)
    # 20 of 100 users a minute.
    assert 2.9 < budget.reserve("late", 100, 0.0) < 3.1
    budget.refund("late")
    budget.refund("u0")
    budget.note("later", 0.0)
    assert budget.reserve("later", 100, 0.0) == 0.0


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 300)), max_size=200),
    base=st.floats(0.01, 5.0),
)
def test_reads_stay_within_the_budget_for_any_doubts(steps: list[tuple[str, float]], base: float) -> None:
    budget, now, reads = DoubtBudget(base, 0.0), 0.0, list[float]()
    last: dict[str, float] = {}
    for name, pause in steps:
        now += pause
        budget.note(name, now)
        if last.get(name, -1.0) <= now:  # a user has at most one planned read
            last[name] = now + budget.reserve(name, 5, now)
            reads.append(last[name])
    span = max(reads, default=0.0)
    assert len(reads) <= 5 + 10 + 1 + span * 5 / LONGEST_PAUSE
