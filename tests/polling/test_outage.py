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
from connecttrade_async.polling.outage import (
    ErrorScope,
    OutageDetector,
    OutageEvent,
    classify_error,
    error_text,
    retry_after_of,
)

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
BROKEN = ServerError(status=503, **FACTS)
REFUSED = AuthenticationError(status=401, **FACTS)
NOTHING = NotFoundError(status=404, **FACTS)
LIMITED = RateLimitedError(status=429, **FACTS)
EVENTS: list[Exception | None] = [None, BROKEN, REFUSED, NOTHING, LIMITED, KeyError("mine")]
WIRE: dict[str, Any] = {"method": "GET", "path": "/positions", "detail": "gone"}


def rate_limited(seconds: float) -> RateLimitedError:
    return RateLimitedError(status=429, retry_after=seconds, **FACTS)


def make_detector() -> OutageDetector:
    return OutageDetector(partial(equal_jitter_delay, rng=Random(7)))  # noqa: S311 - spreads load; guards nothing


def detector_in_outage(users: int = 3) -> OutageDetector:
    detector = make_detector()
    assert [detector.record_failure(BROKEN, float(moment), users) for moment in range(users)] == [
        *[None] * (users - 1),
        OutageEvent.OUTAGE,
    ]
    return detector


@pytest.mark.parametrize(
    ("error", "scope"),
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
def test_classify_error_returns_the_scope_of_each_kind_of_error(error: Exception, scope: ErrorScope) -> None:
    assert classify_error(error) is scope


def wrapped(error: Exception, inside: BaseException) -> Exception:
    error.__cause__ = inside
    return error


@pytest.mark.parametrize(
    ("error", "scope"),
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
def test_classify_error_finds_errors_of_the_library_in_causes_and_groups(error: Exception, scope: ErrorScope) -> None:
    assert classify_error(error) is scope


def test_classify_error_with_a_cycle_of_causes_returns_local() -> None:
    one, other = KeyError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert classify_error(one) is ErrorScope.LOCAL


def test_retry_after_of_a_group_returns_the_longest() -> None:
    assert (
        retry_after_of(ExceptionGroup("all", [rate_limited(3.0), rate_limited(7.0), LIMITED, KeyError("mine")])) == 7.0
    )
    assert retry_after_of(KeyError("mine")) is None
    detector = make_detector()
    assert detector.record_failure(ExceptionGroup("one", [rate_limited(7.0)]), 10.0, 3) is OutageEvent.SLOWED
    assert detector.paused_until == 17.0


def raises(*_: object) -> Any:
    raise LookupError


def ignore(*_: object) -> None:
    """Accept any arguments."""


ODD_LIMIT: Any = type("OddLimit", (RateLimitedError,), {"retry_after": property(raises, ignore)})
ODD_STATUS: Any = type("OddStatus", (APIError,), {"status": property(raises, ignore)})
ODD_CAUSE: Any = type("OddCause", (Exception,), {"__cause__": property(raises), "__str__": raises})


def test_errors_with_attributes_that_raise_are_classified_and_described_without_raising() -> None:
    assert classify_error(ODD_STATUS(status=401, **FACTS)) is ErrorScope.LOCAL
    assert classify_error(ODD_CAUSE()) is ErrorScope.LOCAL
    assert classify_error(ODD_LIMIT(status=429, **FACTS)) is ErrorScope.RATE_LIMIT
    assert retry_after_of(ODD_LIMIT(status=429, **FACTS)) is None
    assert error_text(ODD_CAUSE()) == "OddCause"
    assert error_text(ValueError("one\n\x1b[31mtwo")) == "one [31mtwo"


@pytest.mark.parametrize("error", [BROKEN, LIMITED], ids=repr)
def test_outage_detector_is_degraded_after_a_failure_until_an_answer(error: Exception) -> None:
    detector = make_detector()
    was = [detector.is_degraded]
    detector.record_failure(error, 0.0, 10)
    was += [detector.is_degraded, detector_in_outage().is_degraded]
    detector.record_answer(100.0)
    assert [*was, detector.is_degraded] == [False, True, True, False]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from([0.0, 0.1, 1.0, 10.0, 100.0])), max_size=30))
def test_record_answer_changes_the_state_only_if_degraded(events: list[tuple[Exception | None, float]]) -> None:
    detector, now = make_detector(), 0.0
    for error, seconds in events:
        now += seconds
        if error is None:
            detector.record_answer(now)
        else:
            detector.record_failure(error, now, 4)
        after = copy.copy(detector)
        event = after.record_answer(math.inf)
        assert detector.is_degraded is (state_of(detector) != state_of(after))
        assert detector.is_degraded or event is None


def state_of(detector: OutageDetector) -> dict[str, object]:
    """Return the whole state, except fields that matter only in a degraded state."""
    return {
        name: getattr(detector, name)
        for name in OutageDetector.__slots__
        if name not in {"_first_failure_at", "is_degraded"}
    }


def test_outage_detector_reports_the_begin_and_the_end_of_an_outage_once() -> None:
    detector = detector_in_outage()
    assert not detector.is_available(1e9)
    assert detector.outage_since == 0.0
    assert 2.5 <= detector.probe_at <= 3.0
    assert detector.record_failure(BROKEN, 2.1, 3) is None  # a poll that began before the outage
    assert detector.probe_at <= 3.0
    assert detector.record_answer(3.0) is OutageEvent.RECOVERED
    assert detector.is_available(2.2)
    assert detector.record_answer(3.0) is None


def test_outage_detector_probes_at_growing_bounded_delays() -> None:
    detector, waits = detector_in_outage(), list[float]()
    for _ in range(12):
        now = detector.probe_at
        assert detector.record_failure(BROKEN, now, 3) is None
        waits.append(detector.probe_at - now)
    assert 1.0 <= waits[0] <= 2.0
    assert all(15.0 <= wait <= 30.0 for wait in waits[5:])
    assert detector.record_failure(ServerError(status=503, retry_after=99.0, **FACTS), detector.probe_at, 3) is None
    assert detector.record_failure(LIMITED, detector.probe_at, 3) is None
    assert detector.record_failure(KeyError("mine"), detector.probe_at, 3) is None
    assert not detector.is_available(1e9)


@pytest.mark.parametrize("error", [KeyError("mine"), CursorError(cursor="c", why="a circle"), LIMITED, BROKEN, REFUSED])
def test_failed_probe_postpones_the_next_one_whatever_its_error(error: Exception) -> None:
    detector = detector_in_outage()
    now = detector.probe_at
    assert detector.record_failure(error, now, 3) is None
    assert 1.0 <= detector.probe_at - now <= 2.0
    assert detector.outage_since == 0.0
    late = detector.probe_at
    assert detector.record_failure(error, now + 0.1, 3) is None  # a poll that began before the outage
    assert detector.probe_at == late


def test_outage_since_is_the_first_failure_after_the_last_answer() -> None:
    detector = make_detector()
    detector.record_failure(BROKEN, 1.0, 3)
    detector.record_answer(2.0)
    assert [detector.record_failure(BROKEN, moment, 3) for moment in (3.0, 4.0, 5.0)] == [
        None,
        None,
        OutageEvent.OUTAGE,
    ]
    assert detector.outage_since == 3.0


def test_refusal_of_a_request_among_failures_prevents_an_outage() -> None:
    detector = make_detector()
    for moment in range(20):
        assert detector.record_failure(BROKEN, moment, 3) is None
        assert detector.record_failure(REFUSED, moment, 3) is None
        assert detector.record_failure(NOTHING, moment, 3) is None
    assert detector_in_outage().record_failure(NOTHING, 9.0, 3) is OutageEvent.RECOVERED


def test_errors_of_the_callers_own_code_do_not_count_for_an_outage() -> None:
    detector = make_detector()
    assert [detector.record_failure(KeyError("mine"), 0.0, 3) for _ in range(50)] == [None] * 50
    assert detector.consecutive_failures == 0


def test_outage_needs_three_failures_even_of_one_user() -> None:
    detector = make_detector()
    assert detector.record_failure(BROKEN, 0.0, 1) is None
    assert detector.record_failure(BROKEN, 1.0, 1) is None
    assert detector.record_failure(BROKEN, 2.0, 1) is OutageEvent.OUTAGE


def test_rate_limit_pauses_for_the_longest_retry_after_and_is_reported_once() -> None:
    detector = make_detector()
    assert detector.record_failure(rate_limited(7.0), 10.0, 3) is OutageEvent.SLOWED
    assert detector.record_failure(rate_limited(9.0), 10.5, 3) is None
    assert detector.record_failure(rate_limited(1.0), 11.0, 3) is None
    assert detector.paused_until == 19.5
    assert not detector.is_available(19.4)
    assert detector.is_available(19.5)


@pytest.mark.parametrize("seconds", [0.0, -5.0, math.nan])
def test_rate_limit_with_a_retry_after_of_zero_still_pauses_at_growing_delays(seconds: float) -> None:
    detector, now, waits = make_detector(), 0.0, list[float]()
    for _ in range(12):
        assert detector.record_failure(rate_limited(seconds), now, 3) is OutageEvent.SLOWED
        waits.append(detector.paused_until - now)
        now = detector.paused_until
    assert 0.5 <= waits[0] <= 1.0
    assert all(30.0 <= wait <= 60.0 for wait in waits[8:])


RETRY_AFTERS = st.one_of(
    st.none(),
    st.floats(),
    st.integers(),
    st.sampled_from([0.0, -1.0, 3.0, 31_536_000.0, 10**400, math.inf, -math.inf, math.nan]),
)
STATUSES: dict[int, type[APIError]] = {401: AuthenticationError, 404: NotFoundError, 429: RateLimitedError}


@st.composite
def failures(draw: st.DrawFn) -> Exception:
    """Draw a failure with a ``Retry-After``: alone, in a group, or as the cause of the caller's own error."""

    def one() -> APIError:
        status = draw(st.sampled_from([401, 404, 425, 429, 500, 503, 599]))
        retry_after: Any = draw(RETRY_AFTERS)
        return STATUSES.get(status, ServerError)(status=status, retry_after=retry_after, **FACTS)

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
def test_retry_after_of_any_size_pauses_within_the_bound(events: list[tuple[Exception, int]]) -> None:
    detector, now = make_detector(), 0.0
    for error, seconds in events:
        now += seconds
        probe_at, paused_until = detector.probe_at, detector.paused_until
        event = detector.record_failure(error, now, 3)
        if event is OutageEvent.SLOWED:
            assert detector.paused_until - now >= 0.5
        if detector.probe_at != probe_at and detector.outage_since is not None:
            assert detector.probe_at - now >= 0.5
        if detector.paused_until != paused_until:
            assert detector.paused_until - now <= MAX_RETRY_AFTER
        assert detector.probe_at - now <= MAX_RETRY_AFTER
        assert detector.is_available(now + MAX_RETRY_AFTER) or detector.outage_since is not None


def test_short_recovery_keeps_the_delays_between_probes_long() -> None:
    detector = detector_in_outage()
    for _ in range(8):
        now = detector.probe_at
        assert detector.record_failure(BROKEN, now, 3) is None
    for _ in range(5):  # each probe succeeds, and then all requests fail again
        assert detector.record_answer(now := detector.probe_at) is OutageEvent.RECOVERED
        assert [detector.record_failure(BROKEN, now + 1.0, 3) for _ in range(3)] == [None, None, OutageEvent.OUTAGE]
        assert detector.probe_at - (now + 1.0) >= 15.0
    detector.record_answer(now := detector.probe_at)
    assert [detector.record_failure(BROKEN, now + 61.0, 3) for _ in range(3)] == [None, None, OutageEvent.OUTAGE]
    assert detector.probe_at - (now + 61.0) <= 1.0


def test_rate_limit_without_retry_after_pauses_longer_until_an_answer() -> None:
    detector, now, waits = make_detector(), 0.0, list[float]()
    for _ in range(12):
        assert detector.record_failure(LIMITED, now, 3) is OutageEvent.SLOWED
        waits.append(detector.paused_until - now)
        now = detector.paused_until
    assert 0.5 <= waits[0] <= 1.0
    assert all(30.0 <= wait <= 60.0 for wait in waits[8:])
    detector.record_answer(now)
    detector.record_failure(LIMITED, now, 3)
    assert detector.paused_until - now <= 1.0


def test_answer_during_a_pause_does_not_shorten_the_next_pause() -> None:
    detector, now = make_detector(), 0.0
    for _ in range(8):
        detector.record_failure(LIMITED, now, 3)
        assert detector.record_answer(now + 0.01) is None  # the request was sent before the pause
        now = detector.paused_until
    detector.record_failure(LIMITED, now, 3)
    assert detector.paused_until - now >= 30.0
    detector.record_answer(
        detector.paused_until
    )  # the request was sent after the pause, so the platform accepts requests again
    detector.record_failure(LIMITED, now := detector.paused_until, 3)
    assert detector.paused_until - now <= 1.0
