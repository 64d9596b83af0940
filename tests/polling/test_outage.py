from __future__ import annotations

import copy
import math
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    ConnectError,
    CursorError,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)
from connecttrade_async.pacing import MAX_RETRY_AFTER, equal_jitter_delay
from connecttrade_async.polling.outage import ErrorScope, OutageDetector, OutageEvent, classify_error, retry_after_of

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
BROKEN = ServerError(status=503, **FACTS)
REFUSED = AuthenticationError(status=401, **FACTS)
NOTHING = NotFoundError(status=404, **FACTS)
LIMITED = RateLimitedError(status=429, **FACTS)
EVENTS: list[Exception | None] = [None, BROKEN, REFUSED, NOTHING, LIMITED, KeyError("mine")]
WIRE: dict[str, Any] = {"method": "GET", "path": "/positions", "detail": "gone"}


def limited(seconds: float) -> RateLimitedError:
    return RateLimitedError(status=429, retry_after=seconds, **FACTS)


def standing() -> OutageDetector:
    return OutageDetector(partial(equal_jitter_delay, rng=Random(7)))  # noqa: S311 - spreads load; guards nothing


def away(users: int = 3) -> OutageDetector:
    it = standing()
    assert [it.record_failure(BROKEN, float(moment), users) for moment in range(users)] == [
        *[None] * (users - 1),
        OutageEvent.OUTAGE,
    ]
    return it


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (BROKEN, ErrorScope.PLATFORM),
        (ServerError(status=500, **FACTS), ErrorScope.PLATFORM),
        (ConnectError(kind="refused", **WIRE), ErrorScope.PLATFORM),
        (RequestTimeoutError(kind="timeout", **WIRE), ErrorScope.PLATFORM),
        (MalformedResponseError(where="$", problem="no JSON"), ErrorScope.PLATFORM),
        (TransportError(kind="dropped", **WIRE), ErrorScope.PLATFORM),
        (RequestTimeoutError(kind="pool-timeout", **WIRE), ErrorScope.LOCAL),
        (CursorError(cursor="c", why="a circle"), ErrorScope.LOCAL),
        (KeyError("mine"), ErrorScope.LOCAL),
        (REFUSED, ErrorScope.CREDENTIALS),
        (AuthenticationError(status=403, **FACTS), ErrorScope.REQUEST),
        (NOTHING, ErrorScope.REQUEST),
        (LIMITED, ErrorScope.RATE_LIMIT),
    ],
    ids=repr,
)
def test_a_failure_is_judged_by_who_could_mend_it(error: Exception, whose: ErrorScope) -> None:
    assert classify_error(error) is whose


def wrapped(error: Exception, inside: BaseException) -> Exception:
    error.__cause__ = inside
    return error


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (wrapped(KeyError("mine"), BROKEN), ErrorScope.PLATFORM),
        (wrapped(KeyError("mine"), wrapped(ValueError("mine too"), REFUSED)), ErrorScope.CREDENTIALS),
        (wrapped(KeyError("mine"), ValueError("mine too")), ErrorScope.LOCAL),
        (ExceptionGroup("two", [BROKEN, KeyError("mine")]), ErrorScope.PLATFORM),
        (ExceptionGroup("two", [NOTHING, REFUSED, BROKEN]), ErrorScope.CREDENTIALS),
        (ExceptionGroup("two", [ExceptionGroup("one", [LIMITED]), REFUSED]), ErrorScope.RATE_LIMIT),
        (ExceptionGroup("two", [KeyError("mine"), ValueError("mine too")]), ErrorScope.LOCAL),
        (wrapped(NotFoundError(status=404, **FACTS), BROKEN), ErrorScope.REQUEST),
    ],
    ids=repr,
)
def test_what_the_platform_said_counts_whatever_is_wrapped_around_it(error: Exception, whose: ErrorScope) -> None:
    assert classify_error(error) is whose


def test_an_error_that_is_its_own_cause_is_the_caller_s() -> None:
    one, other = KeyError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert classify_error(one) is ErrorScope.LOCAL


def test_patience_is_asked_for_from_within_a_group_too() -> None:
    assert retry_after_of(ExceptionGroup("all", [limited(3.0), limited(7.0), LIMITED, KeyError("mine")])) == 7.0
    assert retry_after_of(KeyError("mine")) is None
    it = standing()
    assert it.record_failure(ExceptionGroup("one", [limited(7.0)]), 10.0, 3) is OutageEvent.SLOWED
    assert it.paused_until == 17.0


@pytest.mark.parametrize("error", [BROKEN, LIMITED], ids=repr)
def test_after_a_failure_the_next_answer_matters_and_the_one_after_that_does_not(error: Exception) -> None:
    it = standing()
    was = [it.is_degraded]
    it.record_failure(error, 0.0, 10)
    was += [it.is_degraded, away().is_degraded]
    it.record_answer(100.0)
    assert [*was, it.is_degraded] == [False, True, True, False]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from([0.0, 0.1, 1.0, 10.0, 100.0])), max_size=30))
def test_an_answer_changes_something_only_where_there_is_trouble(events: list[tuple[Exception | None, float]]) -> None:
    it, now = standing(), 0.0
    for error, seconds in events:
        now += seconds
        if error is None:
            it.record_answer(now)
        else:
            it.record_failure(error, now, 4)
        after = copy.copy(it)
        news = after.record_answer(math.inf)
        assert it.is_degraded is (facts_of(it) != facts_of(after))
        assert it.is_degraded or news is None


def facts_of(it: OutageDetector) -> dict[str, object]:
    """All that it knows, but for what only means something in trouble."""
    return {
        name: getattr(it, name) for name in OutageDetector.__slots__ if name not in {"_first_failure_at", "is_degraded"}
    }


def test_when_everything_fails_it_is_one_outage_and_then_over() -> None:
    it = away()
    assert not it.is_available(1e9)
    assert it.outage_since == 0.0
    assert 2.5 <= it.probe_at <= 3.0
    assert it.record_failure(BROKEN, 2.1, 3) is None  # who was still being asked
    assert it.probe_at <= 3.0
    assert it.record_answer(3.0) is OutageEvent.RECOVERED
    assert it.is_available(2.2)
    assert it.record_answer(3.0) is None


def test_probes_become_rarer_and_never_too_rare() -> None:
    it, waits = away(), list[float]()
    for _ in range(12):
        now = it.probe_at
        assert it.record_failure(BROKEN, now, 3) is None
        waits.append(it.probe_at - now)
    assert 1.0 <= waits[0] <= 2.0
    assert all(15.0 <= wait <= 30.0 for wait in waits[5:])
    assert it.record_failure(ServerError(status=503, retry_after=99.0, **FACTS), it.probe_at, 3) is None
    assert it.record_failure(LIMITED, it.probe_at, 3) is None
    assert it.record_failure(KeyError("mine"), it.probe_at, 3) is None
    assert not it.is_available(1e9)


@pytest.mark.parametrize("error", [KeyError("mine"), CursorError(cursor="c", why="a circle"), LIMITED, BROKEN, REFUSED])
def test_a_probe_that_fails_in_any_way_sets_the_next_one_later(error: Exception) -> None:
    it = away()
    now = it.probe_at
    assert it.record_failure(error, now, 3) is None
    assert 1.0 <= it.probe_at - now <= 2.0
    assert it.outage_since == 0.0
    late = it.probe_at
    assert it.record_failure(error, now + 0.1, 3) is None  # asked before the outage was known
    assert it.probe_at == late


def test_an_outage_began_with_the_first_failure_after_the_last_answer() -> None:
    it = standing()
    it.record_failure(BROKEN, 1.0, 3)
    it.record_answer(2.0)
    assert [it.record_failure(BROKEN, moment, 3) for moment in (3.0, 4.0, 5.0)] == [None, None, OutageEvent.OUTAGE]
    assert it.outage_since == 3.0


def test_one_answer_says_that_the_platform_is_there() -> None:
    it = standing()
    for moment in range(20):
        assert it.record_failure(BROKEN, moment, 3) is None
        assert it.record_failure(REFUSED, moment, 3) is None
        assert it.record_failure(NOTHING, moment, 3) is None
    assert away().record_failure(NOTHING, 9.0, 3) is OutageEvent.RECOVERED


def test_the_caller_s_own_failures_say_nothing_about_the_platform() -> None:
    it = standing()
    assert [it.record_failure(KeyError("mine"), 0.0, 3) for _ in range(50)] == [None] * 50
    assert it.consecutive_failures == 0


def test_few_users_are_not_everybody() -> None:
    it = standing()
    assert it.record_failure(BROKEN, 0.0, 1) is None
    assert it.record_failure(BROKEN, 1.0, 1) is None
    assert it.record_failure(BROKEN, 2.0, 1) is OutageEvent.OUTAGE


def test_everybody_waits_for_what_was_asked_and_is_told_once() -> None:
    it = standing()
    assert it.record_failure(limited(7.0), 10.0, 3) is OutageEvent.SLOWED
    assert it.record_failure(limited(9.0), 10.5, 3) is None
    assert it.record_failure(limited(1.0), 11.0, 3) is None
    assert it.paused_until == 19.5
    assert not it.is_available(19.4)
    assert it.is_available(19.5)


@pytest.mark.parametrize("asked", [0.0, -5.0, math.nan])
def test_asking_for_no_patience_does_not_switch_the_pauses_off(asked: float) -> None:
    it, now, waits = standing(), 0.0, list[float]()
    for _ in range(12):
        assert it.record_failure(limited(asked), now, 3) is OutageEvent.SLOWED
        waits.append(it.paused_until - now)
        now = it.paused_until
    assert 0.5 <= waits[0] <= 1.0
    assert all(30.0 <= wait <= 60.0 for wait in waits[8:])


PATIENCE = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.sampled_from([0.0, -1.0, 3.0, 31_536_000.0, 10**400, math.inf, -math.inf, math.nan]),
)
STATUSES: dict[int, type[APIError]] = {401: AuthenticationError, 404: NotFoundError, 429: RateLimitedError}


@st.composite
def failures(draw: st.DrawFn) -> Exception:
    """Draw a failure that asks for patience: alone, in a group, or as the cause of an error of the caller's own."""

    def one() -> APIError:
        status = draw(st.sampled_from([401, 404, 425, 429, 500, 503, 599]))
        patience: Any = draw(PATIENCE)
        return STATUSES.get(status, ServerError)(status=status, retry_after=patience, **FACTS)

    match draw(st.sampled_from(["alone", "cause", "group", "groups"])):
        case "cause":
            return wrapped(KeyError("mine"), one())
        case "group":
            return ExceptionGroup("all", [one(), KeyError("mine"), one()])
        case "groups":
            return ExceptionGroup("all", [ExceptionGroup("one", [wrapped(KeyError("mine"), one())]), one()])
        case _:
            return one()


@given(st.lists(st.tuples(failures(), st.integers(min_value=0, max_value=1000)), max_size=20))
def test_no_retry_after_stops_the_poller_for_longer_than_the_bound(events: list[tuple[Exception, int]]) -> None:
    it, now = standing(), 0.0
    for error, seconds in events:
        now += seconds
        probe_at, slow_until = it.probe_at, it.paused_until
        news = it.record_failure(error, now, 3)
        if news is OutageEvent.SLOWED:
            assert it.paused_until - now >= 0.5
        if it.probe_at != probe_at and it.outage_since is not None:
            assert it.probe_at - now >= 0.5
        if it.paused_until != slow_until:
            assert it.paused_until - now <= MAX_RETRY_AFTER
        assert it.probe_at - now <= MAX_RETRY_AFTER
        assert it.is_available(now + MAX_RETRY_AFTER) or it.outage_since is not None


def test_a_short_recovery_does_not_make_the_probes_of_the_next_outage_frequent_again() -> None:
    it = away()
    for _ in range(8):
        now = it.probe_at
        assert it.record_failure(BROKEN, now, 3) is None
    for _ in range(5):  # each probe is answered, and all that is asked then fails again
        assert it.record_answer(now := it.probe_at) is OutageEvent.RECOVERED
        assert [it.record_failure(BROKEN, now + 1.0, 3) for _ in range(3)] == [None, None, OutageEvent.OUTAGE]
        assert it.probe_at - (now + 1.0) >= 15.0
    it.record_answer(now := it.probe_at)
    assert [it.record_failure(BROKEN, now + 61.0, 3) for _ in range(3)] == [None, None, OutageEvent.OUTAGE]
    assert it.probe_at - (now + 61.0) <= 1.0


def test_where_no_time_was_named_the_waits_grow_until_somebody_is_answered() -> None:
    it, now, waits = standing(), 0.0, list[float]()
    for _ in range(12):
        assert it.record_failure(LIMITED, now, 3) is OutageEvent.SLOWED
        waits.append(it.paused_until - now)
        now = it.paused_until
    assert 0.5 <= waits[0] <= 1.0
    assert all(30.0 <= wait <= 60.0 for wait in waits[8:])
    it.record_answer(now)
    it.record_failure(LIMITED, now, 3)
    assert it.paused_until - now <= 1.0


def test_an_answer_during_a_pause_does_not_make_the_next_pause_short() -> None:
    it, now = standing(), 0.0
    for _ in range(8):
        it.record_failure(LIMITED, now, 3)
        assert it.record_answer(now + 0.01) is None  # it was asked for before the pause
        now = it.paused_until
    it.record_failure(LIMITED, now, 3)
    assert it.paused_until - now >= 30.0
    it.record_answer(it.paused_until)  # asked for after the pause, so the platform takes requests again
    it.record_failure(LIMITED, now := it.paused_until, 3)
    assert it.paused_until - now <= 1.0
