"""A loop's judgement: what one poll means for its user, and for all.

Its vow: a failure is never a storm. A user that fails is asked more and more rarely, and when everything fails one
probe at a time stands for all. What everybody suffered is held against nobody.

A user is parked where its secret is refused again and again: ``REFUSALS`` times in a row, over ``REFUSED_FOR`` seconds
at least, while no secret was refused and then taken unchanged. The last is what a gateway that refuses at random cannot
avoid. A parked user is asked rarely, at pauses that grow from ten minutes to six hours, and comes back as soon as its
secret is taken.
"""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import msgspec

from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delay
from connecttrade_async.polling.config import seconds_between
from connecttrade_async.polling.outage import (
    ErrorScope,
    OutageDetector,
    OutageEvent,
    classify_error,
    in_words,
    retry_after_of,
)
from connecttrade_async.polling.results import Outage, OutageEnded, PollResult, RateLimited
from connecttrade_async.polling.schedule import PollState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connecttrade_async.client import User
    from connecttrade_async.clock import Clock
    from connecttrade_async.polling.config import PollConfig
    from connecttrade_async.polling.fetcher import FetchResult
    from connecttrade_async.polling.rate_limiter import PollRateLimiter
    from connecttrade_async.polling.result_queue import ResultQueue
    from connecttrade_async.polling.results import PollEvent
    from connecttrade_async.polling.schedule import PolledUser, Schedule, Turn

__all__ = ["PollCounters", "PollOutcomes"]

T = TypeVar("T")
GONE = PollState.GONE
REFUSALS = 3  # in a row, before a user is parked
REFUSED_FOR = (
    60.0  # seconds from the first of these to the last, for a gateway that is replaced may refuse all meanwhile
)
FLAP_COUNTS = 600.0  # seconds that refusals prove nothing after secrets were refused and then taken
PARKED_AT_LEAST, PARKED_AT_MOST = 600.0, 21_600.0  # bounds of the pauses between polls of a parked user, in seconds
log = logging.getLogger("connecttrade_async.live")


class PollCounters(msgspec.Struct):
    """What has happened so far."""

    failing: int = 0
    polls: int = 0
    unchanged: int = 0
    failures: int = 0
    late: float = 0.0


class PollOutcomes(Generic[T]):
    """Judges polls.

    Args:
        plan: how often, and how much at once.
        schedule: where turns are given, and time may be held.
        inbox: what is told.
        turnstile: what is told to let nobody pass before somebody's patience ends.
        clock: time.
        wake: called where more can be done now, or less.
        left: called with a user that was removed while it was asked, when that has ended.

    Attributes:
        records: the users, by their id.
        parked: those whose secret is refused again and again, by id, with the latest refusal.
        standing: how the platform stands.
        tally: what has happened so far.
        probe: the one user that is asked for all, while it is.
        probe_until: when another is asked for all although that one was not answered, in seconds on the client's clock.
        is_held: whether nobody else is asked.
    """

    def __init__(
        self,
        plan: PollConfig,
        schedule: Schedule,
        inbox: ResultQueue[PollResult[T] | PollEvent],
        turnstile: PollRateLimiter,
        clock: Clock,
        *,
        wake: Callable[[], None],
        left: Callable[[PolledUser], None],
    ) -> None:
        self._plan = plan
        self._interval, self._only_changed = plan.interval, plan.only_changed
        self._schedule = schedule
        self._inbox = inbox
        self._turnstile = turnstile
        self._clock = clock
        self._wake = wake
        self._left = left
        self.records: dict[str, PolledUser] = {}
        self.parked: dict[str, Exception] = {}
        self.outage = OutageDetector()
        self.counters = PollCounters()
        self.probe: PolledUser | None = None
        self.probe_until = 0.0
        self.is_held = False
        self._in_a_row: list[PolledUser] = []
        self._away_since = 0.0
        self._taken: tuple[PolledUser, float] | None = (
            None  # the latest user whose secret was refused and then taken, when
        )
        self._flapped_at: float | None = None
        self._warned_at = -math.inf
        self._is_asked_through_us = False

    def evaluate(self, turn: Turn, asked: FetchResult[T]) -> None:
        """Judge what came of a turn, and tell it.

        Raises:
            Exception: the caller's own ``every`` did, or returned no seconds.
        """
        record, (result, seen, now) = turn.record, asked
        error, tally, news = result.error, self.counters, None
        tally.polls += 1
        if error is not None or record.failures or self.outage.is_troubled:
            # Who fetches through handles of its own is never seen to ask: its word is then taken for an answer. But
            # where others ask through the handle that they are given, who did not has found its value elsewhere.
            was_answered = seen is not None or not self._is_asked_through_us
            news = self._note(record, error, now, was_answered=was_answered)
        if error is None:
            if not result.changed:
                tally.unchanged += 1
            record.digest = seen
            if seen is not None:
                self._is_asked_through_us = True
        else:
            tally.failures += 1
            record.digest = None  # so that the next good answer is told as a change, whatever it says
        if record.state is not GONE and (result.changed or not self._only_changed):
            self._inbox.put(result)
        if error is None and self._interval is not None:
            self._schedule.done(record, now, self._interval)
        else:
            self._next_turn(record, result, now)
        if news is not None or (error is not None and not self.outage.is_well(now)):
            self._apply_to_all(news, error, now)
            self._wake()
        if record.state is GONE:
            self._left(record)

    def _note(
        self, record: PolledUser, error: Exception | None, now: float, *, was_answered: bool
    ) -> OutageEvent | None:
        """Note what a poll says of the platform, where not all has been well."""
        news: OutageEvent | None = None
        if record is self.probe:
            self.probe = None
        if error is not None:
            # In an outage each failure counts, for it says when to probe again.
            if self.outage.away_since is not None or not self._is_no_news(record, error):
                news = self.outage.failed(error, now, self._all_users())
        else:
            if record.refusals:
                self._taken_again(record, now, was_answered=was_answered)
            if record.failures:
                self.set_failures(record, 0)
            if was_answered:
                news = self.outage.answered(now)
        if not self.outage.in_a_row:
            self._in_a_row.clear()
        if news is OutageEvent.RECOVERED:
            self.probe = None  # it may still be asked: somebody else was answered first
            self._inbox.put(OutageEnded(since=self._at(self._away_since, now), seconds=now - self._away_since))
        return news

    def own_interval(self, user: User, result: PollResult[T] | None) -> float:
        """Return the seconds to a user's next turn, where the caller's own function says."""
        every = cast("Callable[[User, PollResult[T] | None], float]", self._plan.every)
        return seconds_between(every(user, result))

    def resume(self, record: PolledUser, user_id: str, now: float) -> bool:
        """Ask a user whose secret was refused at its ordinary pace again; return whether it was refused."""
        if not record.refusals:
            return False
        self.parked.pop(user_id, None)
        record.refusals = 0
        self.set_failures(record, 0)
        self._schedule.resume(record, now)
        return True

    def forget(self, record: PolledUser, user_id: str) -> None:
        """Keep nothing of a user."""
        self.set_failures(record, 0)
        record.refusals = 0
        record.state = GONE
        self.parked.pop(user_id, None)
        self._turnstile.forget(user_id)

    def set_failures(self, record: PolledUser, failures: int) -> None:
        """Note how often a user has failed in a row."""
        self.counters.failing += bool(failures) - bool(record.failures)
        record.failures = failures

    def _next_turn(self, record: PolledUser, result: PollResult[T], now: float) -> None:
        error, interval = result.error, self._interval
        if interval is None:
            interval = self.own_interval(result.user, result)
        if error is None or record.state is GONE:
            self._schedule.done(record, now, interval)
            return
        why = classify_error(error)
        if why is ErrorScope.REQUEST and record.refusals:
            # The platform knows the user, so its secret was taken.
            self.parked.pop(record.user.user_id, None)
            record.refusals = 0
        if record.user.user_id in self.parked:
            self._park_again(record, error if why is ErrorScope.CREDENTIALS else None, interval, now)
        elif why is ErrorScope.RATE_LIMIT:
            self._schedule.done(record, now, interval)
        elif self.outage.away_since is not None:
            self.set_failures(record, record.failures or 1)  # it is not this user's trouble
            self._schedule.done(record, now, interval)
        elif why is ErrorScope.CREDENTIALS and record.user is not result.user:
            self._schedule.done(record, now, interval)  # there is a new handle, with another secret perhaps
        else:
            if why is ErrorScope.PLATFORM:
                self._in_a_row.append(record)
            self.set_failures(record, record.failures + 1)
            if why is ErrorScope.CREDENTIALS and self._is_refused_for_good(record, now):
                self._park(record, error, interval, now)
                return
            own = equal_jitter_delay(record.failures, interval, max(interval, self._plan.slowest))
            self._schedule.done(record, now, interval, bounded_retry_after(retry_after_of(error), own))

    # --- secrets that are refused

    def _is_no_news(self, record: PolledUser, error: Exception) -> bool:
        """Say whether a failure is one more refusal of a secret that was refused in this row already, or is parked.

        It proves nothing about the platform: else one wrong secret, refused again and again, would be an outage.
        """
        is_known = record in self._in_a_row or record.user.user_id in self.parked
        return is_known and classify_error(error) is ErrorScope.CREDENTIALS

    def _is_refused_for_good(self, record: PolledUser, now: float) -> bool:
        """Count a refusal, and say whether the row is evidence against the secret, and not against a gateway."""
        if not record.refusals:
            record.refused_since = now
        record.refusals += 1
        if record not in self._in_a_row:
            self._in_a_row.append(record)
        return (
            record.refusals >= REFUSALS
            and now - record.refused_since >= REFUSED_FOR
            and (self._flapped_at is None or now - self._flapped_at > FLAP_COUNTS)
        )

    def _taken_again(self, record: PolledUser, now: float, *, was_answered: bool) -> None:
        """Take note that a secret that was refused is taken, unchanged: the refusals were wrong.

        Where that happens to two users, or to the only one, refusals prove nothing for a while. Where it happens to one
        of many, it may be that user's own: what it asks for may be refused for want of an entitlement now and then.
        """
        if self.parked.pop(record.user.user_id, None) is not None:
            log.info("the secret of a parked user is taken again")
        record.refusals = 0
        if not was_answered:
            return
        last = self._taken
        is_alone = len(self.records) - len(self.parked) <= 1
        if is_alone or (last is not None and last[0] is not record and now - last[1] <= FLAP_COUNTS):
            self._flapped_at = now
        self._taken = record, now

    def _park(self, record: PolledUser, error: Exception, interval: float, now: float) -> None:
        is_first = now - self._warned_at >= REFUSED_FOR
        if is_first:
            self._warned_at = now
        level = logging.WARNING if is_first else logging.DEBUG
        log.log(level, "a user's secret is refused again and again, so it is asked only rarely: %s", in_words(error))
        self._park_again(record, error, interval, now)

    def _park_again(self, record: PolledUser, refusal: Exception | None, interval: float, now: float) -> None:
        if refusal is not None:
            self.parked[record.user.user_id] = refusal
        self._schedule.park(record, now, interval, self._rare_pause(record, interval, now))

    def _rare_pause(self, record: PolledUser, interval: float, now: float) -> float:
        """Return the seconds until a parked user is asked: about as long as it was refused so far, within bounds."""
        shortest = max(interval, self._plan.slowest, PARKED_AT_LEAST)
        bound = max(shortest, min(now - record.refused_since, PARKED_AT_MOST))
        return equal_jitter_delay(0, bound, bound)

    def _apply_to_all(self, news: OutageEvent | None, error: Exception | None, now: float) -> None:
        """Let everybody feel what one poll has found out."""
        standing = self.outage
        if standing.slow_until > now:
            self._turnstile.hold(standing.slow_until)
        if not standing.is_well(now) and not self.is_held:
            self.is_held = True
            self._schedule.hold(now)
        if news is OutageEvent.RECOVERED:
            log.info("the platform answers again")
        elif error is not None and standing.away_since is not None and news is OutageEvent.OUTAGE:
            self._away_since = standing.away_since
            log.warning("everything fails, so one probe at a time stands for all: %s", in_words(error))
            self._inbox.put(Outage(since=self._at(self._away_since, now), error=error, failures=standing.in_a_row))
            self._clear_blame(now)
        elif error is not None and news is OutageEvent.SLOWED:
            log.warning("asked to slow down, for %.3g s", standing.slow_until - now)
            self._inbox.put(RateLimited(seconds=standing.slow_until - now, error=error))

    def _clear_blame(self, now: float) -> None:
        """It was not those who failed, nor their secrets, since nobody's was taken."""
        for record in self._in_a_row:
            record.ready = 0.0
            self.resume(record, record.user.user_id, now)
        self._in_a_row.clear()

    def _all_users(self) -> int:
        """How many must fail in a row to speak for all: each user once, or as many as are asked at once."""
        parked = sum(record.user.user_id in self.parked for record in self._in_a_row)
        return min(len(self.records) - len(self.parked) + parked, self._plan.concurrency)

    def _at(self, moment: float, now: float) -> datetime:
        return self._clock.wall() - timedelta(seconds=now - moment)
