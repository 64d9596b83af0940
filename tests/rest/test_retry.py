from __future__ import annotations

import ast
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.config import Retry
from connecttrade_async.errors import (
    APIError,
    ClosedError,
    ConnectError,
    ConnectTradeError,
    MalformedResponseError,
    NotFoundError,
    OAuthError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)
from connecttrade_async.pacing import MAX_RETRY_AFTER
from connecttrade_async.rest.retry import (
    FAILURES,
    STATUSES,
    FailureRule,
    RetryState,
    is_ambiguous,
    rule_for,
    was_never_sent,
)
from connecttrade_async.rest.wire import RetryMode

if TYPE_CHECKING:
    from collections.abc import Iterator

DOORS = Path(__file__).parents[2] / "connecttrade_async" / "rest"
CLASSES = (TransportError, ConnectError, RequestTimeoutError)


def failure(kind: str) -> TransportError:
    return TransportError(method="GET", path="/orders", kind=kind, detail="in words")


def answer(status: int, retry_after: float | None = None) -> APIError:
    make = {404: NotFoundError, 429: RateLimitedError}.get(status, ServerError if status >= 500 else APIError)
    return make(status=status, message="no", method="GET", path="/orders", retry_after=retry_after)


def patience(
    *,
    may_be_sent: RetryMode = RetryMode.SAFE,
    attempts: int = 4,
    deadline: float = 100.0,
    delays: Iterator[float] | None = None,
) -> RetryState:
    return RetryState(
        Retry(attempts=attempts),
        repeat=may_be_sent,
        deadline=deadline,
        delays=repeat(0.5) if delays is None else delays,
    )


ERRORS = st.one_of(
    st.sampled_from(sorted(FAILURES)).map(failure),
    st.builds(answer, st.integers(min_value=300, max_value=599), st.none() | st.floats(min_value=0, max_value=200)),
)
RETRYABLE = st.one_of(
    st.sampled_from(sorted(kind for kind, row in FAILURES.items() if row.is_transient)).map(failure),
    st.builds(answer, st.sampled_from(sorted(STATUSES)), st.none() | st.floats(min_value=0, max_value=200)),
)


# --- the tables


@pytest.mark.parametrize("row", [*FAILURES.values(), *STATUSES.values()])
def test_each_failure_rule_has_a_reason(row: FailureRule) -> None:
    assert len(row.reason.split()) >= 4
    assert row.reason.isprintable()


def test_failure_rules_have_distinct_reasons() -> None:
    reasons = [row.reason for row in (*FAILURES.values(), *STATUSES.values())]
    assert len(set(reasons)) == len(reasons)


def kinds_in(source: str) -> set[str]:
    """Collect the kinds that a module can raise: ``kind="..."``, and the second of ``SomeError, "...", ...``."""
    names = {kind.__name__ for kind in CLASSES}
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.keyword(arg="kind", value=ast.Constant(value=str(kind))):
                found.add(kind)
            case ast.Tuple(elts=[ast.Name(id=name), ast.Constant(value=str(kind)), *_]) if name in names:
                found.add(kind)
            case _:
                pass
    return found


def test_kinds_in_finds_both_forms_of_a_kind() -> None:
    assert kinds_in("x = ConnectError, 'dns', f'{y}'\nraise TransportError(kind='torn')\nz = 'a', 'b'") == {
        "dns",
        "torn",
    }


def test_failures_has_exactly_the_kinds_of_transport_and_limiter() -> None:
    named = kinds_in((DOORS / "transport.py").read_text()) | kinds_in((DOORS / "limiter.py").read_text())
    assert named == set(FAILURES)


def test_unsent_requests_have_not_executed() -> None:
    before = {"refused", "dns", "unreachable", "connect-timeout", "tls", "pool-timeout"}
    assert {kind for kind, row in FAILURES.items() if not row.may_have_executed} == before


def test_transient_failures_are_exactly_these() -> None:
    assert {kind for kind, row in FAILURES.items() if not row.is_transient} == {
        "tls",
        "pool-timeout",
        "too-large",
        "garbled",
    }
    assert set(STATUSES) == {408, 429, 499, 502, 503, 504}
    assert all(row.is_transient for row in STATUSES.values())


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_rule_for_a_transport_error_is_its_rule_in_failures(kind: str) -> None:
    assert rule_for(failure(kind)) is FAILURES[kind]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 422])
def test_rule_for_a_4xx_is_a_refusal(status: int) -> None:
    row = rule_for(answer(status))
    assert (row.is_transient, row.may_have_executed) == (False, False)
    assert row.reason


@pytest.mark.parametrize("status", [302, 307, 500, 501, 505, 599])
def test_rule_for_a_5xx_is_not_transient_and_may_have_executed(status: int) -> None:
    row = rule_for(answer(status))
    assert (row.is_transient, row.may_have_executed) == (False, True)
    assert row.reason


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_rule_for_a_listed_status_is_its_rule_in_statuses(status: int) -> None:
    assert rule_for(answer(status)) is STATUSES[status]


def test_rule_for_a_malformed_response_may_have_executed() -> None:
    for error in (MalformedResponseError(where="$", problem="odd"), OAuthError(error="denied")):
        assert rule_for(error) == rule_for(answer(500))


# --- retry state


@given(error=ERRORS, now=st.floats(min_value=-1e6, max_value=99))
@settings(deadline=None)
def test_pause_after_with_never_gives_up(error: TransportError | APIError, now: float) -> None:
    assert patience(may_be_sent=RetryMode.NEVER).pause_after(error, now) is None


@given(error=ERRORS, now=st.floats(min_value=-1e6, max_value=99))
@settings(deadline=None)
def test_pause_after_with_if_unsent_repeats_only_unsent_requests(error: TransportError | APIError, now: float) -> None:
    never_left = isinstance(error, TransportError) and not FAILURES[error.kind].may_have_executed
    assert was_never_sent(error) == never_left
    pause = patience(may_be_sent=RetryMode.IF_UNSENT).pause_after(error, now)
    assert (pause is not None) == (never_left and rule_for(error).is_transient and now + 0.5 < 100)


@pytest.mark.parametrize(
    ("error", "ambiguous"),
    [
        *((failure(kind), kind in {"timeout", "dropped", "torn", "too-large", "garbled"}) for kind in FAILURES),
        *((answer(status), False) for status in (400, 401, 403, 404, 409, 418, 422, 429)),
        *((answer(status), True) for status in (302, 307, 408, 499, 500, 501, 502, 503, 504, 599)),
        (MalformedResponseError(where="$", problem="odd"), True),
        (ClosedError(), False),
    ],
    ids=str,
)
def test_is_ambiguous_is_true_for_exactly_these_failures(error: ConnectTradeError, ambiguous: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_ambiguous(error) is ambiguous


@given(error=ERRORS, now=st.floats(min_value=-1e6, max_value=99))
@settings(deadline=None)
def test_pause_after_a_permanent_failure_gives_up(error: TransportError | APIError, now: float) -> None:
    if not rule_for(error).is_transient:
        assert patience().pause_after(error, now) is None


@given(errors=st.lists(RETRYABLE, min_size=10, max_size=10), attempts=st.integers(min_value=1, max_value=8))
@settings(deadline=None)
def test_pause_after_allows_no_more_attempts_than_set(errors: list[TransportError | APIError], attempts: int) -> None:
    trying = patience(attempts=attempts, deadline=1e9)
    pauses = [trying.pause_after(error, 0.0) for error in errors]
    assert None not in pauses[: attempts - 1]
    assert set(pauses[attempts - 1 :]) == {None}
    assert trying.attempts == len(errors)


@given(
    errors=st.lists(RETRYABLE, min_size=1, max_size=12),
    steps=st.lists(st.floats(min_value=0, max_value=20), min_size=12, max_size=12),
    delays=st.lists(st.floats(min_value=0, max_value=50), min_size=12, max_size=12),
    deadline=st.floats(min_value=0, max_value=100),
)
@settings(deadline=None)
def test_pause_after_never_ends_beyond_the_deadline(
    errors: list[TransportError | APIError],
    steps: list[float],
    delays: list[float],
    deadline: float,
) -> None:
    trying = patience(attempts=100, deadline=deadline, delays=iter(delays))
    now = 0.0
    for error, step in zip(errors, steps, strict=False):
        now += step
        pause = trying.pause_after(error, now)
        if pause is None:
            break
        now += pause
        assert now < deadline


@given(
    status=st.sampled_from(sorted(STATUSES)),
    seconds=st.none() | st.floats(min_value=0),
    own=st.floats(min_value=0, max_value=99),
)
def test_pause_after_with_retry_after_lies_between_own_delay_and_bound(
    status: int, seconds: float | None, own: float
) -> None:
    pause = patience(deadline=1e9, delays=repeat(own)).pause_after(answer(status, seconds), 0.0)
    assert pause is not None
    assert own <= pause <= max(own, MAX_RETRY_AFTER)
    if seconds is not None and own <= seconds <= MAX_RETRY_AFTER:
        assert pause == seconds


def test_pause_after_with_a_retry_after_of_zero_still_grows() -> None:
    trying = patience(attempts=5, delays=iter([0.25, 0.5, 7.0, 2.0]))
    assert trying.pause_after(answer(503, 0.0), 0.0) == 0.25
    assert trying.pause_after(answer(429, 0.0), 0.0) == 0.5
    assert trying.pause_after(answer(429, 3.0), 0.0) == 7.0
    assert trying.pause_after(answer(429, 3.0), 0.0) == 3.0


def test_pause_after_with_a_retry_after_beyond_the_deadline_gives_up() -> None:
    assert patience(deadline=10.0).pause_after(answer(429, 10.0), 0.0) is None
    assert patience(deadline=10.0).pause_after(answer(429, float("inf")), 0.0) is None


def test_pause_after_uses_the_delays_in_order() -> None:
    trying = patience(attempts=5, delays=iter([0.1, 0.2, 0.3, 0.4]))
    assert [trying.pause_after(failure("torn"), 0.0) for _ in range(5)] == [0.1, 0.2, 0.3, 0.4, None]


def test_pause_after_with_one_attempt_gives_up() -> None:
    assert patience(attempts=1).pause_after(failure("dropped"), 0.0) is None


@given(errors=st.lists(ERRORS, max_size=6))
@settings(deadline=None)
def test_may_have_executed_stays_set(errors: list[TransportError | APIError]) -> None:
    trying = patience(attempts=100, delays=iter(float(turn) for turn in count()))
    assert not trying.may_have_executed
    for index, error in enumerate(errors):
        trying.pause_after(error, 0.0)
        assert trying.may_have_executed == any(rule_for(past).may_have_executed for past in errors[: index + 1])
