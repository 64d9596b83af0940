"""What one poll means for its user and for all, judged without an event loop: time and outcomes are handed in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connecttrade_async import Outage, OutageEnded, PollResult, RateLimited
from connecttrade_async.client import ConnectTrade
from connecttrade_async.errors import AuthenticationError, NotFoundError, RateLimitedError, ServerError
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.outcomes import PollOutcomes
from connecttrade_async.polling.rate_limiter import PollRateLimiter
from connecttrade_async.polling.result_queue import ResultQueue
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule, Turn
from connecttrade_async.rate_limiter import RateLimiter
from manual_clock import BEGIN, SteppedClock

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
BROKEN = ServerError(status=503, **FACTS)
REFUSED = AuthenticationError(status=401, **FACTS)
NOTHING = NotFoundError(status=404, **FACTS)
CLIENT = ConnectTrade("client", "hush")


class Court:
    """Verdicts over some users, and what came of them."""

    def __init__(self, users: int, *, every: Any = 5.0, only_changed: bool = False) -> None:
        self.clock = SteppedClock()
        plan = PollConfig(
            every=every,
            concurrency=100,
            capacity=1000,
            only_changed=only_changed,
            requests_per_second=None,
            user_requests_per_second=None,
            slowest=60.0,
        )
        self.schedule = Schedule(plan.interval, 0.0)
        self.inbox: ResultQueue[Any] = ResultQueue("the poller")
        self.turnstile = PollRateLimiter(RateLimiter(None, None, 0.0), self.clock)
        self.wakes = 0
        self.gone: list[PolledUser] = []
        self.verdicts: PollOutcomes[Any] = PollOutcomes(
            plan, self.schedule, self.inbox, self.turnstile, self.clock, wake=self.wake, left=self.gone.append
        )
        for number in range(users):
            user = CLIENT.user(f"u{number}", "whisper")
            record = self.verdicts.records[user.user_id] = PolledUser(user)
            self.schedule.add(record, 0.0, 5.0)

    def wake(self) -> None:
        self.wakes += 1

    def record(self, number: int) -> PolledUser:
        return self.verdicts.records[f"u{number}"]

    def poll(
        self, number: int, at: float, error: Exception | None = None, *, changed: bool = True, user: Any = None
    ) -> list[Any]:
        """End a poll of a user; return what is told but for results."""
        self.clock.seconds = at
        record = self.record(number)
        record.state = PollState.RUNNING if record.state is not PollState.GONE else PollState.GONE
        result: PollResult[Any] = PollResult(
            user or record.user, "value", error, changed, 0.1, 0.0, at, (at, self.clock.wall())
        )
        before = len(self.inbox.items)
        self.verdicts.evaluate(Turn(record, 0.0), (result, None if error else 7, at))
        return [told for told in list(self.inbox.items)[before:] if not isinstance(told, PollResult)]


def test_outage_begins_with_its_first_failure_and_holds_nothing_against_those_who_failed() -> None:
    court = Court(3)
    assert (court.poll(0, 1.0, BROKEN), court.poll(1, 2.0, BROKEN)) == ([], [])
    assert court.record(0).ready > 1.0
    assert (court.wakes, court.verdicts.is_held, court.verdicts.counters.failing) == (0, False, 2)
    (outage,) = court.poll(2, 3.0, BROKEN)
    assert isinstance(outage, Outage)
    assert (outage.since, outage.error, outage.failures) == (BEGIN + timedelta(seconds=1), BROKEN, 3)
    assert (court.wakes, court.verdicts.is_held, court.schedule.next_at()) == (1, True, None)
    assert [court.record(number).ready for number in range(3)] == [0.0] * 3
    assert court.verdicts.counters.failing == 3
    probe = court.verdicts.probe = court.record(0)
    assert court.poll(1, 8.0, BROKEN) == []  # it was asked before
    assert [court.verdicts.probe] == [probe]
    (recovered,) = court.poll(0, 10.0)
    assert isinstance(recovered, OutageEnded)
    assert (recovered.since, recovered.seconds) == (outage.since, 9.0)
    assert [court.verdicts.probe] == list[PolledUser | None]([None])
    assert (court.wakes, court.verdicts.counters.failing) == (3, 2)
    assert [court.record(number).state for number in range(3)] == [PollState.WAITING] * 3


def test_failures_before_an_answer_do_not_count_for_a_later_outage() -> None:
    court = Court(3)
    court.poll(0, 1.0, BROKEN)
    court.poll(1, 2.0, BROKEN)
    ready = court.record(0).ready
    court.poll(2, 3.0)
    court.poll(1, 4.0, BROKEN)
    court.poll(2, 5.0, BROKEN)
    (outage,) = court.poll(1, 6.0, BROKEN)
    assert outage.since == BEGIN + timedelta(seconds=4)
    assert court.record(0).ready == ready  # it failed before the outage, and may have a trouble of its own


def test_slowing_down_holds_every_request_and_is_no_failure_of_the_user() -> None:
    court = Court(3)
    assert court.turnstile.is_free
    (slowed,) = court.poll(0, 1.0, error := RateLimitedError(status=429, retry_after=30.0, **FACTS))
    assert isinstance(slowed, RateLimited)
    assert (slowed.seconds, slowed.error) == (30.0, error)
    assert court.turnstile.delay("u1") == 30.0
    assert court.record(0).state is PollState.WAITING
    assert (court.verdicts.is_held, court.verdicts.counters.failing, court.record(0).failures) == (True, 0, 0)
    assert (court.wakes, court.verdicts.counters.failures, court.verdicts.counters.polls) == (1, 1, 1)


def refuse(court: Court, number: int, *moments: float) -> bool:
    for moment in moments:
        court.poll(1, moment - 0.1)  # another is answered, so it is no outage
        court.poll(number, moment, REFUSED)
    return f"u{number}" in court.verdicts.parked


@pytest.mark.parametrize(
    ("moments", "is_parked"),
    [((10.0, 500.0), False), ((10.0, 40.0, 69.9), False), ((10.0, 40.0, 70.0), True), ((10.0, 11.0, 12.0, 70.5), True)],
)
def test_parking_needs_three_refusals_over_a_minute(moments: tuple[float, ...], *, is_parked: bool) -> None:
    court = Court(3)
    assert refuse(court, 0, *moments) is is_parked
    assert (court.record(0).state is PollState.PARKED) is is_parked
    assert court.record(0).refusals == len(moments)
    assert court.verdicts.counters.failing == 1


def test_parking_needs_that_no_two_refused_secrets_were_taken_within_ten_minutes() -> None:
    court = Court(5)
    court.poll(3, 1.0, REFUSED)
    court.poll(3, 2.0)  # the first such user: it may be its own trouble
    assert refuse(court, 0, 10.0, 40.0, 80.0)
    court.poll(4, 100.0, REFUSED)
    court.poll(4, 101.0)  # the second
    assert not refuse(court, 2, 110.0, 200.0, 701.0)
    assert refuse(court, 2, 701.1)
    court.poll(3, 800.0, REFUSED)
    court.poll(3, 801.0)  # 700 seconds after the last: too far apart to be one trouble
    court.verdicts.resume(court.record(0), "u0", 802.0)
    assert refuse(court, 0, 810.0, 840.0, 870.0)


@pytest.mark.parametrize(
    ("refused_for", "least", "most"), [(60, 300, 600), (10_000, 5_000, 10_000), (1e6, 10_800, 21_600)]
)
def test_parked_user_is_left_alone_about_as_long_as_it_was_refused(
    refused_for: float, least: float, most: float
) -> None:
    court = Court(3)
    assert refuse(court, 0, 10.0, 40.0, 70.0)
    if refused_for > 60:
        assert refuse(court, 0, 10.0 + refused_for)
    pause = court.record(0).ready - court.clock.now()
    assert least <= pause <= most
    assert court.record(0).state is PollState.PARKED


@pytest.mark.parametrize("error", [None, NOTHING])
def test_parked_user_comes_back_with_an_answer(error: Exception | None) -> None:
    court = Court(3)
    assert refuse(court, 0, 10.0, 40.0, 70.0)
    court.poll(0, 900.0, BROKEN)  # says nothing about the secret
    assert court.record(0).state is PollState.PARKED
    court.poll(0, 1800.0, error)
    assert (court.verdicts.parked, court.record(0).refusals) == ({}, 0)
    assert court.record(0).state is PollState.WAITING
    assert court.verdicts.counters.failing == (error is not None)


def test_resuming_and_forgetting_a_refused_user_leaves_nothing_of_the_refusals() -> None:
    court = Court(3)
    assert not court.verdicts.resume(court.record(0), "u0", 1.0)
    refuse(court, 0, 10.0, 40.0)
    assert court.verdicts.resume(court.record(0), "u0", 41.0)
    assert (court.record(0).refusals, court.record(0).ready, court.verdicts.counters.failing) == (0, 0.0, 0)
    assert refuse(court, 0, 50.0, 80.0, 110.0)
    record = court.record(0)
    court.verdicts.forget(record, "u0")
    assert (court.verdicts.parked, court.verdicts.counters.failing, record.state) == ({}, 0, PollState.GONE)


def test_refusal_of_a_handle_that_was_replaced_meanwhile_counts_for_nobody() -> None:
    court = Court(3)
    old = court.record(0).user
    court.record(0).user = CLIENT.user("u0", "renewed")
    court.poll(0, 1.0, REFUSED, user=old)
    assert (court.record(0).refusals, court.record(0).failures, court.record(0).ready) == (0, 0, 0.0)


def test_user_that_is_gone_is_not_told_of_and_its_end_is_noted() -> None:
    court = Court(2)
    record = court.record(0)
    court.verdicts.forget(record, "u0")
    for error in (None, REFUSED, BROKEN):
        court.poll(0, 1.0, error)
    assert list(court.inbox.items) == []
    assert court.gone == [record] * 3
    assert (court.verdicts.parked, record.state) == ({}, PollState.GONE)


def test_only_changed_leaves_out_good_results_that_are_the_same() -> None:
    for only_changed, told in ((True, 2), (False, 3)):
        court = Court(2, only_changed=only_changed)
        court.poll(0, 1.0)
        court.poll(0, 2.0, changed=False)
        court.poll(0, 3.0, BROKEN)
        assert len(court.inbox) == told
        tally = court.verdicts.counters
        assert (tally.polls, tally.unchanged, tally.failures, tally.failing) == (3, 1, 1, 1)
        assert court.record(0).digest is None
        court.poll(0, 4.0)
        assert court.record(0).digest == 7


def test_interval_of_a_user_s_own_is_asked_with_its_result() -> None:
    asked: list[Any] = []

    def every(user: Any, last: Any) -> float:
        asked.append((user.user_id, last))
        return 30.0

    court = Court(1, every=every)
    court.poll(0, 1.0)
    ((name, last),) = asked
    assert (name, last) == ("u0", court.inbox.items[0])
    assert 26.0 <= court.record(0).due <= 35.0
