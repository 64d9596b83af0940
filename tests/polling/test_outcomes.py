"""Outcomes without an event loop: the test passes the time and the result of each poll."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connecttrade_async import Outage, OutageEnded, PollResult, RateLimited
from connecttrade_async.client import ConnectTrade
from connecttrade_async.errors import AuthenticationError, NotFoundError, RateLimitedError, ServerError
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.outcomes import PollOutcomes
from connecttrade_async.polling.result_queue import ResultQueue
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule, Turn
from connecttrade_async.rest.rate_limiter import RateLimiter
from manual_clock import BEGIN, SteppedClock

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
BROKEN = ServerError(status=503, **FACTS)
REFUSED = AuthenticationError(status=401, **FACTS)
NOTHING = NotFoundError(status=404, **FACTS)
CLIENT = ConnectTrade("client", "hush")


class OutcomesHarness:
    """``PollOutcomes`` of some users, and its effects."""

    def __init__(self, users: int, *, every: Any = 5.0, only_changed: bool = False) -> None:
        self.clock = SteppedClock()
        config = PollConfig(
            every=every,
            concurrency=100,
            capacity=1000,
            only_changed=only_changed,
            requests_per_second=None,
            user_requests_per_second=None,
            slowest=60.0,
        )
        self.schedule = Schedule(config.interval, 0.0)
        self.results: ResultQueue[Any] = ResultQueue("the poller")
        self.rate_limiter = RateLimiter(None, None, self.clock)
        self.wakes = 0
        self.outcomes: PollOutcomes[Any] = PollOutcomes(
            config, self.schedule, self.results, self.rate_limiter, self.clock
        )
        for number in range(users):
            user = CLIENT.user(f"u{number}", "whisper")
            record = self.outcomes.records[user.user_id] = PolledUser(user)
            self.schedule.add(record, 0.0, 5.0)

    def record(self, number: int) -> PolledUser:
        return self.outcomes.records[f"u{number}"]

    def poll(
        self, number: int, at: float, error: Exception | None = None, *, changed: bool = True, user: Any = None
    ) -> list[Any]:
        """End a poll of a user; return the events that it adds to the queue."""
        self.clock.seconds = at
        record = self.record(number)
        record.state = PollState.RUNNING if record.state is not PollState.GONE else PollState.GONE
        result: PollResult[Any] = PollResult(
            user or record.user, "value", error, changed, 0.1, 0.0, at, (at, self.clock.wall())
        )
        before = len(self.results.items)
        self.wakes += self.outcomes.evaluate(Turn(record, 0.0), (result, None if error else 7, at))
        return [item for item in list(self.results.items)[before:] if not isinstance(item, PollResult)]


def test_outage_begins_with_its_first_failure_and_clears_the_failures_of_users() -> None:
    harness = OutcomesHarness(3)
    assert (harness.poll(0, 1.0, BROKEN), harness.poll(1, 2.0, BROKEN)) == ([], [])
    assert harness.record(0).ready > 1.0
    assert (harness.wakes, harness.outcomes.is_held, harness.outcomes.counters.failing) == (0, False, 2)
    (outage,) = harness.poll(2, 3.0, BROKEN)
    assert isinstance(outage, Outage)
    assert (outage.since, outage.error, outage.failures) == (BEGIN + timedelta(seconds=1), BROKEN, 3)
    assert (harness.wakes, harness.outcomes.is_held, harness.schedule.next_at()) == (1, True, None)
    assert [harness.record(number).ready for number in range(3)] == [0.0] * 3
    assert harness.outcomes.counters.failing == 3
    probe = harness.outcomes.probe = harness.record(0)
    assert harness.poll(1, 8.0, BROKEN) == []  # its poll began before the outage
    assert [harness.outcomes.probe] == [probe]
    (recovered,) = harness.poll(0, 10.0)
    assert isinstance(recovered, OutageEnded)
    assert (recovered.since, recovered.seconds) == (outage.since, 9.0)
    assert [harness.outcomes.probe] == list[PolledUser | None]([None])
    assert (harness.wakes, harness.outcomes.counters.failing) == (3, 2)
    assert [harness.record(number).state for number in range(3)] == [PollState.WAITING] * 3


def test_failures_before_an_answer_do_not_count_for_a_later_outage() -> None:
    harness = OutcomesHarness(3)
    harness.poll(0, 1.0, BROKEN)
    harness.poll(1, 2.0, BROKEN)
    ready = harness.record(0).ready
    harness.poll(2, 3.0)
    harness.poll(1, 4.0, BROKEN)
    harness.poll(2, 5.0, BROKEN)
    (outage,) = harness.poll(1, 6.0, BROKEN)
    assert outage.since == BEGIN + timedelta(seconds=4)
    assert harness.record(0).ready == ready  # it failed before the outage, perhaps for a reason of its own


def test_rate_limit_holds_all_requests_and_is_not_a_failure_of_the_user() -> None:
    harness = OutcomesHarness(3)
    assert harness.rate_limiter.is_free
    (slowed,) = harness.poll(0, 1.0, error := RateLimitedError(status=429, retry_after=30.0, **FACTS))
    assert isinstance(slowed, RateLimited)
    assert (slowed.seconds, slowed.error) == (30.0, error)
    assert harness.rate_limiter.delay("u1") == 30.0
    assert harness.record(0).state is PollState.WAITING
    assert (harness.outcomes.is_held, harness.outcomes.counters.failing, harness.record(0).failures) == (True, 0, 0)
    assert (harness.wakes, harness.outcomes.counters.failures, harness.outcomes.counters.polls) == (1, 1, 1)


def refuse(harness: OutcomesHarness, number: int, *moments: float) -> bool:
    for moment in moments:
        harness.poll(1, moment - 0.1)  # another user's success prevents an outage
        harness.poll(number, moment, REFUSED)
    return f"u{number}" in harness.outcomes.parked


@pytest.mark.parametrize(
    ("moments", "is_parked"),
    [((10.0, 500.0), False), ((10.0, 40.0, 69.9), False), ((10.0, 40.0, 70.0), True), ((10.0, 11.0, 12.0, 70.5), True)],
)
def test_parking_needs_three_refusals_over_a_minute(moments: tuple[float, ...], *, is_parked: bool) -> None:
    harness = OutcomesHarness(3)
    assert refuse(harness, 0, *moments) is is_parked
    assert (harness.record(0).state is PollState.PARKED) is is_parked
    assert harness.record(0).refusals == len(moments)
    assert harness.outcomes.counters.failing == 1


def test_parking_is_suspended_after_two_refused_secrets_were_accepted_within_ten_minutes() -> None:
    harness = OutcomesHarness(5)
    harness.poll(3, 1.0, REFUSED)
    harness.poll(3, 2.0)  # the first such user: the reason may be its own
    assert refuse(harness, 0, 10.0, 40.0, 80.0)
    harness.poll(4, 100.0, REFUSED)
    harness.poll(4, 101.0)  # the second
    assert not refuse(harness, 2, 110.0, 200.0, 701.0)
    assert refuse(harness, 2, 701.1)
    harness.poll(3, 800.0, REFUSED)
    harness.poll(3, 801.0)  # 700 seconds after the last: too late to count together
    harness.outcomes.resume(harness.record(0), "u0", 802.0)
    assert refuse(harness, 0, 810.0, 840.0, 870.0)


@pytest.mark.parametrize(
    ("refused_for", "least", "most"), [(60, 300, 600), (10_000, 5_000, 10_000), (1e6, 10_800, 21_600)]
)
def test_parked_user_pauses_about_as_long_as_it_was_refused(refused_for: float, least: float, most: float) -> None:
    harness = OutcomesHarness(3)
    assert refuse(harness, 0, 10.0, 40.0, 70.0)
    if refused_for > 60:
        assert refuse(harness, 0, 10.0 + refused_for)
    pause = harness.record(0).ready - harness.clock.now()
    assert least <= pause <= most
    assert harness.record(0).state is PollState.PARKED


@pytest.mark.parametrize("error", [None, NOTHING])
def test_parked_user_returns_to_its_turns_with_an_answer(error: Exception | None) -> None:
    harness = OutcomesHarness(3)
    assert refuse(harness, 0, 10.0, 40.0, 70.0)
    harness.poll(0, 900.0, BROKEN)  # proves nothing about the secret
    assert harness.record(0).state is PollState.PARKED
    harness.poll(0, 1800.0, error)
    assert (harness.outcomes.parked, harness.record(0).refusals) == ({}, 0)
    assert harness.record(0).state is PollState.WAITING
    assert harness.outcomes.counters.failing == (error is not None)


def test_resume_and_forget_drop_all_refusals_of_a_user() -> None:
    harness = OutcomesHarness(3)
    assert not harness.outcomes.resume(harness.record(0), "u0", 1.0)
    refuse(harness, 0, 10.0, 40.0)
    assert harness.outcomes.resume(harness.record(0), "u0", 41.0)
    assert (harness.record(0).refusals, harness.record(0).ready, harness.outcomes.counters.failing) == (0, 0.0, 0)
    assert refuse(harness, 0, 50.0, 80.0, 110.0)
    record = harness.record(0)
    harness.outcomes.forget(record, "u0")
    assert (harness.outcomes.parked, harness.outcomes.counters.failing, record.state) == ({}, 0, PollState.GONE)


def test_refusal_of_a_replaced_handle_does_not_count() -> None:
    harness = OutcomesHarness(3)
    old = harness.record(0).user
    harness.record(0).user = CLIENT.user("u0", "renewed")
    harness.poll(0, 1.0, REFUSED, user=old)
    assert (harness.record(0).refusals, harness.record(0).failures, harness.record(0).ready) == (0, 0, 0.0)


def test_result_of_a_removed_user_is_dropped() -> None:
    harness = OutcomesHarness(2)
    record = harness.record(0)
    harness.outcomes.forget(record, "u0")
    for error in (None, REFUSED, BROKEN):
        harness.poll(0, 1.0, error)
    assert list(harness.results.items) == []
    assert (harness.outcomes.parked, record.state) == ({}, PollState.GONE)


def test_only_changed_drops_unchanged_successes() -> None:
    for only_changed, item in ((True, 2), (False, 3)):
        harness = OutcomesHarness(2, only_changed=only_changed)
        harness.poll(0, 1.0)
        harness.poll(0, 2.0, changed=False)
        harness.poll(0, 3.0, BROKEN)
        assert len(harness.results) == item
        counters = harness.outcomes.counters
        assert (counters.polls, counters.unchanged, counters.failures, counters.failing) == (3, 1, 1, 1)
        assert harness.record(0).digest is None
        harness.poll(0, 4.0)
        assert harness.record(0).digest == 7


def test_interval_function_is_called_with_the_last_result() -> None:
    calls: list[Any] = []

    def every(user: Any, last: Any) -> float:
        calls.append((user.user_id, last))
        return 30.0

    harness = OutcomesHarness(1, every=every)
    harness.poll(0, 1.0)
    ((name, last),) = calls
    assert (name, last) == ("u0", harness.results.items[0])
    assert 26.0 <= harness.record(0).due <= 35.0
