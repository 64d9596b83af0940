from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.pacing import (
    CENTURY,
    MAX_RETRY_AFTER,
    TokenBucket,
    bounded_retry_after,
    equal_jitter_delay,
    equal_jitter_delays,
    full_jitter_delays,
    parse_retry_after,
    random_phase,
)

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)
SECONDS = st.floats(min_value=1e-3, max_value=1e3)


class TopDice(Random):
    """Always rolls the highest number, so that the bounds themselves come out."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


def seeded(base: float, cap: float, seed: int, count: int) -> list[float]:
    return list(islice(full_jitter_delays(base, cap, Random(seed)), count))  # noqa: S311 - spreads load; guards nothing


def test_bounds_double_from_base_to_cap() -> None:
    assert list(islice(full_jitter_delays(0.25, 3.0, TopDice()), 7)) == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_base_above_the_cap_is_the_cap() -> None:
    assert list(islice(full_jitter_delays(9.0, 2.0, TopDice()), 3)) == [2.0, 2.0, 2.0]


def test_the_bound_stays_for_ever() -> None:
    delays = full_jitter_delays(0.1, 5.0, TopDice())
    assert list(islice(delays, 3_000, 3_003)) == [5.0, 5.0, 5.0]


@given(base=SECONDS, cap=SECONDS, seed=st.integers())
@settings(deadline=None)
def test_delays_lie_between_zero_and_their_bound(base: float, cap: float, seed: int) -> None:
    for turn, delay in enumerate(seeded(base, cap, seed, 20)):
        assert 0.0 <= delay <= min(cap, base * 2**turn)


@given(seed=st.integers())
def test_the_same_seed_gives_the_same_delays(seed: int) -> None:
    one, other = (seeded(0.25, 8.0, seed, 10) for _ in range(2))
    assert one == other


def test_two_callers_do_not_wait_alike() -> None:
    one, other = (list(islice(full_jitter_delays(0.25, 8.0), 10)) for _ in range(2))
    assert one != other


def test_jitter_is_full_and_not_a_sliver() -> None:
    delays = seeded(1.0, 1.0, 7, 2_000)
    assert min(delays) < 0.05
    assert max(delays) > 0.95
    assert 0.45 < sum(delays) / len(delays) < 0.55


def test_a_burst_of_a_second_goes_through_and_the_rest_in_step() -> None:
    bucket = TokenBucket(rate=4.0, now=100.0)
    assert [bucket.reserve(100.0) for _ in range(7)] == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75]


def test_a_rate_below_one_still_lets_the_first_through() -> None:
    bucket = TokenBucket(rate=0.5, now=0.0)
    assert [bucket.reserve(0.0) for _ in range(3)] == [0.0, 2.0, 4.0]


def test_tokens_come_back_with_time_but_never_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=2.0, now=0.0)
    assert [bucket.reserve(0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert bucket.reserve(1.0) == 0.0
    assert [bucket.reserve(1_000.0) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_a_refund_makes_the_next_wait_shorter() -> None:
    bucket = TokenBucket(rate=1.0, now=0.0)
    assert [bucket.reserve(0.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    bucket.refund()
    assert bucket.reserve(0.0) == 2.0


def test_refunds_never_fill_the_bucket_above_its_burst() -> None:
    bucket = TokenBucket(rate=1.0, now=0.0)
    for _ in range(5):
        bucket.refund()
    assert [bucket.reserve(0.0) for _ in range(2)] == [0.0, 1.0]


@given(
    rate=st.floats(min_value=0.1, max_value=200),
    steps=st.lists(st.floats(min_value=0, max_value=3), min_size=2, max_size=60),
)
@settings(deadline=None)
def test_never_more_than_rate_and_burst_and_always_in_order(rate: float, steps: list[float]) -> None:
    now, bucket = 50.0, TokenBucket(rate, 50.0)
    used: list[float] = []
    for step in steps:
        now += step
        used.append(now + bucket.reserve(now))
    assert all(before <= after + 1e-6 for before, after in pairwise(used))
    for first, begin in enumerate(used):
        for last in range(first, len(used)):
            assert last - first + 1 <= rate * (used[last] - begin) + max(1.0, rate) + 1e-3


@given(rate=st.floats(min_value=0.1, max_value=200), gap=st.floats(min_value=1.01, max_value=5))
@settings(deadline=None)
def test_token_bucket_at_a_slower_rate_never_waits(rate: float, gap: float) -> None:
    bucket = TokenBucket(rate, 0.0)
    assert [bucket.reserve(turn * gap / rate) for turn in range(50)] == pytest.approx([0.0] * 50, abs=1e-9)


@given(base=SECONDS, cap=SECONDS, seed=st.integers())
@settings(deadline=None)
def test_growing_delays_lie_in_the_upper_half_below_their_bound(base: float, cap: float, seed: int) -> None:
    delays = islice(equal_jitter_delays(base, cap, Random(seed)), 20)  # noqa: S311 - spreads load; guards nothing
    for turn, delay in enumerate(delays):
        bound = min(cap, base * 2**turn)
        assert bound / 2 <= delay <= bound


def test_growing_delays_differ_between_callers() -> None:
    one, other = (list(islice(equal_jitter_delays(0.25, 8.0), 10)) for _ in range(2))
    assert one != other


@given(turn=st.integers(min_value=0, max_value=10_000), seed=st.integers())
def test_one_grown_delay_lies_in_the_upper_half_below_its_bound(turn: int, seed: int) -> None:
    bound = 0.5 * 2**turn if turn < 10 else 60.0
    assert min(bound, 60.0) / 2 <= equal_jitter_delay(turn, 0.5, 60.0, Random(seed)) <= min(bound, 60.0)  # noqa: S311 - spreads load
    assert 15.0 <= equal_jitter_delay(turn + 7, 0.5, 30.0) <= 30.0


def test_a_cycle_begins_anywhere() -> None:
    assert random_phase(Random(7)) == random_phase(Random(7))  # noqa: S311 - spreads load; guards nothing
    assert all(0.0 <= random_phase() < 1.0 for _ in range(10))


@given(
    asked=st.none() | st.floats(min_value=0.0, allow_nan=False), own=st.floats(min_value=0.0, max_value=MAX_RETRY_AFTER)
)
def test_bounded_retry_after_lies_between_our_backoff_and_the_maximum(asked: float | None, own: float) -> None:
    assert own <= bounded_retry_after(asked, own) <= MAX_RETRY_AFTER


def test_bounded_retry_after_grants_a_reasonable_wish() -> None:
    assert bounded_retry_after(30.0, 0.25) == 30.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("007", 7.0),
        ("86400", 86_400.0),
        ("Fri, 17 May 2024 12:01:30 GMT", 90.0),
        ("Fri, 17 May 2024 12:01:30 +0000", 90.0),
        ("Fri, 17 May 2024 08:01:30 -0400", 90.0),
        ("Fri, 17 May 2024 12:01:30 -0000", 90.0),
        ("Friday, 17-May-24 12:01:30 GMT", 90.0),
        ("Fri, 17 May 2024 11:00:00 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", 1.5),
        ("30.0", 30.0),
        ("30.", 30.0),
        ("-1.5", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("9" * 400, CENTURY),
        ("9" * 7000, CENTURY),
        ("0" * 7000, 0.0),
        (f"{'9' * 400}.5", CENTURY),
        ("31536000", 31_536_000.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CENTURY),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("soon", None),
        ("5 seconds", None),
        ("٣", None),
        ("Fri, 17 May 99999 12:00:00 GMT", None),
        ("Fri, 99 May 2024 12:00:00 GMT", None),
        ("17", 17.0),
    ],
)
def test_parse_retry_after_parses_seconds_and_dates(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


def test_parse_retry_after_of_an_empty_text_is_none() -> None:
    assert parse_retry_after("", NOW) is None


@given(
    st.text(max_size=40)
    | st.text("0123456789.-+e", max_size=500)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} [-+A-Z0-9]{1,9}")
)
def test_parse_retry_after_of_any_text_is_none_or_not_negative(text: str) -> None:
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= CENTURY


@given(st.integers(min_value=0, max_value=10**7))
def test_parse_retry_after_in_both_forms_is_equal(seconds: int) -> None:
    then = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(str(seconds), NOW) == parse_retry_after(then, NOW) == seconds


@given(text=st.text() | st.from_regex(r"Mon, 01 Jan 2024 00:00:00 [+-][0-9]{1,24}", fullmatch=True))
@settings(deadline=None)
def test_parse_retry_after_of_any_number_is_seconds_or_none(text: str) -> None:
    seconds = parse_retry_after(text, datetime(2026, 3, 2, tzinfo=UTC))
    assert seconds is None or seconds >= 0
