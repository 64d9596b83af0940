"""Decide what one poll means for its user and for all users of a poller.

A user that fails is polled at growing pauses. During an outage one probe at a time is sent for all users, and the
failures that led to the outage count against no user.

A user is parked after ``PARK_AFTER_REFUSALS`` refusals (401) in a row over at least ``PARK_AFTER_SECONDS``, unless
refusals prove nothing: if the platform refuses a secret and then accepts the same one, the cause is a gateway. A parked
user is polled at pauses from ten minutes to six hours, and returns to its turns when its secret is accepted.
"""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import msgspec

from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delay
from connecttrade_async.polling.config import validate_interval
from connecttrade_async.polling.outage import (
    ErrorScope,
    OutageDetector,
    OutageEvent,
    classify_error,
    error_text,
    retry_after_of,
)
from connecttrade_async.polling.results import Outage, OutageEnded, PollResult, RateLimited
from connecttrade_async.polling.schedule import PollState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connecttrade_async.clock import Clock
    from connecttrade_async.polling.config import PollConfig
    from connecttrade_async.polling.fetcher import FetchResult
    from connecttrade_async.polling.result_queue import ResultQueue
    from connecttrade_async.polling.results import PollEvent
    from connecttrade_async.polling.schedule import PolledUser, Schedule, Turn
    from connecttrade_async.rest.rate_limiter import RateLimiter
    from connecttrade_async.user import User

__all__ = ["PollCounters", "PollOutcomes"]

T = TypeVar("T")
GONE = PollState.GONE
PARK_AFTER_REFUSALS = 3  # refusals in a row that park a user
# A gateway that is being replaced may refuse every secret for some seconds.
PARK_AFTER_SECONDS = 60.0  # from the first of these refusals to the last
FLAP_WINDOW = 600.0  # seconds without parking after secrets were refused and then accepted
MIN_PARKED_PAUSE, MAX_PARKED_PAUSE = 600.0, 21_600.0  # seconds between polls of a parked user
log = logging.getLogger("connecttrade_async.live")


class PollCounters(msgspec.Struct):
    """Counters of a poller; ``PollStatistics`` documents them."""

    failing: int = 0
    polls: int = 0
    unchanged: int = 0
    failures: int = 0
    late: float = 0.0


class PollOutcomes(Generic[T]):
    """Evaluates finished polls.

    Args:
        config: The settings of the poller.
        schedule: The turns of the users.
        results: The queue to which results and events are added.
        rate_limiter: Delays all requests after a 429.
        clock: The client's clock.

    Attributes:
        records: The polled users by id.
        parked: The latest refusal of each parked user's secret, by user id.
        outage: The state of the platform.
        counters: The counters so far.
        probe: The user that is polled as the present probe of an outage, or None.
        probe_until: The time after which another probe may be sent, in seconds on the client's clock.
        is_held: Whether all turns but probes are held back.
    """

    def __init__(
        self,
        config: PollConfig,
        schedule: Schedule,
        results: ResultQueue[PollResult[T] | PollEvent],
        rate_limiter: RateLimiter,
        clock: Clock,
    ) -> None:
        self._config = config
        self._interval, self._only_changed = config.interval, config.only_changed
        self._schedule = schedule
        self._results = results
        self._rate_limiter = rate_limiter
        self._clock = clock
        self.records: dict[str, PolledUser] = {}
        self.parked: dict[str, Exception] = {}
        self.outage = OutageDetector()
        self.counters = PollCounters()
        self.probe: PolledUser | None = None
        self.probe_until = 0.0
        self.is_held = False
        self._suspects: list[PolledUser] = []
        self._outage_since = 0.0
        # The latest user with a secret that was refused and then accepted, and when.
        self._last_accepted: tuple[PolledUser, float] | None = None
        self._flapped_at: float | None = None
        self._park_warned_at = -math.inf
        self._uses_given_handles = False

    def evaluate(self, turn: Turn, fetched: FetchResult[T]) -> bool:
        """Record one finished poll, add its result to the queue, and schedule the user's next turn.

        Returns:
            Whether the turns of all users are affected, so that the workers must look for turns again.

        Raises:
            Exception: The caller's own ``every`` raised, or did not return a positive number of seconds.
        """
        record, (result, digest, now) = turn.record, fetched
        error, counters, event = result.error, self.counters, None
        counters.polls += 1
        if error is not None or record.failures or self.outage.is_degraded:
            # A ``fetch`` that uses handles of its own never produces a digest, so its return counts as an answer. But
            # if other polls did produce digests, a poll without one sent no request.
            was_answered = digest is not None or not self._uses_given_handles
            event = self._record(record, error, now, was_answered=was_answered)
        if error is None:
            if not result.changed:
                counters.unchanged += 1
            record.digest = digest
            if digest is not None:
                self._uses_given_handles = True
        else:
            counters.failures += 1
            record.digest = None  # so that the next success is reported as a change, whatever it contains
        if record.state is not GONE and (result.changed or not self._only_changed):
            self._results.put(result)
        if error is None and self._interval is not None:
            self._schedule.finish_turn(record, now, self._interval)
        else:
            self._end_turn(record, result, now)
        if event is not None or (error is not None and not self.outage.is_available(now)):
            self._apply_to_all(event, error, now)
            return True
        return False

    def _record(
        self, record: PolledUser, error: Exception | None, now: float, *, was_answered: bool
    ) -> OutageEvent | None:
        """Record what a poll shows about the platform, unless all is well before and after it."""
        event: OutageEvent | None = None
        if record is self.probe:
            self.probe = None
        if error is not None:
            # In an outage each failure counts, because it moves the time of the next probe.
            if self.outage.outage_since is not None or not self._is_known_refusal(record, error):
                event = self.outage.record_failure(error, now, self._outage_threshold())
        else:
            if record.refusals:
                self._secret_accepted(record, now, was_answered=was_answered)
            if record.failures:
                self.set_failures(record, 0)
            if was_answered:
                event = self.outage.record_answer(now)
        if not self.outage.consecutive_failures:
            self._suspects.clear()
        if event is OutageEvent.RECOVERED:
            self.probe = None  # a poll other than the probe, begun before the outage, may be the one that succeeded
            self._results.put(
                OutageEnded(since=self._wall_time(self._outage_since, now), seconds=now - self._outage_since)
            )
        return event

    def own_interval(self, user: User, result: PollResult[T] | None) -> float:
        """Return the seconds to a user's next turn from the caller's own function ``every``."""
        every = cast("Callable[[User, PollResult[T] | None], float]", self._config.every)
        return validate_interval(every(user, result))

    def resume(self, record: PolledUser, user_id: str, now: float) -> bool:
        """Return a user with refused secrets to its ordinary turns.

        Returns:
            Whether its secret was refused.
        """
        if not record.refusals:
            return False
        self.parked.pop(user_id, None)
        record.refusals = 0
        self.set_failures(record, 0)
        self._schedule.resume(record, now)
        return True

    def forget(self, record: PolledUser, user_id: str) -> None:
        """Drop all state of a removed user."""
        self.set_failures(record, 0)
        record.refusals = 0
        record.state = GONE
        self.parked.pop(user_id, None)
        self._rate_limiter.forget(user_id)

    def set_failures(self, record: PolledUser, failures: int) -> None:
        """Set a user's number of failures in a row, and update the counter of failing users."""
        self.counters.failing += bool(failures) - bool(record.failures)
        record.failures = failures

    def _end_turn(self, record: PolledUser, result: PollResult[T], now: float) -> None:
        """End a user's turn, and choose the time of the next one."""
        error, interval = result.error, self._interval
        if interval is None:
            interval = self.own_interval(result.user, result)
        if error is None or record.state is GONE:
            self._schedule.finish_turn(record, now, interval)
            return
        scope = classify_error(error)
        if scope is ErrorScope.REQUEST and record.refusals:
            # The platform refused the request, not the secret.
            self.parked.pop(record.user.user_id, None)
            record.refusals = 0
        if record.user.user_id in self.parked:
            self._park_again(record, error if scope is ErrorScope.CREDENTIALS else None, interval, now)
        elif scope is ErrorScope.RATE_LIMIT:
            self._schedule.finish_turn(record, now, interval)
        elif self.outage.outage_since is not None:
            self.set_failures(record, record.failures or 1)  # the outage is not this user's failure
            self._schedule.finish_turn(record, now, interval)
        elif scope is ErrorScope.CREDENTIALS and record.user is not result.user:
            self._schedule.finish_turn(record, now, interval)  # ``add`` replaced the handle: its secret may be another
        else:
            if scope is ErrorScope.PLATFORM:
                self._suspects.append(record)
            self.set_failures(record, record.failures + 1)
            if scope is ErrorScope.CREDENTIALS and self._is_refused_persistently(record, now):
                self._park(record, error, interval, now)
                return
            own = equal_jitter_delay(record.failures, interval, max(interval, self._config.slowest))
            self._schedule.finish_turn(record, now, interval, bounded_retry_after(retry_after_of(error), own))

    # --- refused secrets

    def _is_known_refusal(self, record: PolledUser, error: Exception) -> bool:
        """Return whether a failure repeats a refusal of a secret that already counts or is parked.

        A repeated refusal proves nothing about the platform. Otherwise one wrong secret, refused again and again, would
        begin an outage.
        """
        is_known = record in self._suspects or record.user.user_id in self.parked
        return is_known and classify_error(error) is ErrorScope.CREDENTIALS

    def _is_refused_persistently(self, record: PolledUser, now: float) -> bool:
        """Count a refusal, and return whether the refusals in a row prove the secret wrong."""
        if not record.refusals:
            record.refused_since = now
        record.refusals += 1
        if record not in self._suspects:
            self._suspects.append(record)
        return (
            record.refusals >= PARK_AFTER_REFUSALS
            and now - record.refused_since >= PARK_AFTER_SECONDS
            and (self._flapped_at is None or now - self._flapped_at > FLAP_WINDOW)
        )

    def _secret_accepted(self, record: PolledUser, now: float, *, was_answered: bool) -> None:
        """Record that a refused secret is accepted unchanged: the refusals were wrong.

        If that happens to two users, or to the only one, refusals prove nothing for ``FLAP_WINDOW`` seconds. If it
        happens to one of many, the cause may be that user's own, such as a missing entitlement for one of its requests.
        """
        if self.parked.pop(record.user.user_id, None) is not None:
            log.info("secret of a parked user accepted again", extra={"user_id": record.user.user_id})
        record.refusals = 0
        if not was_answered:
            return
        last = self._last_accepted
        is_alone = len(self.records) - len(self.parked) <= 1
        if is_alone or (last is not None and last[0] is not record and now - last[1] <= FLAP_WINDOW):
            self._flapped_at = now
        self._last_accepted = record, now

    def _park(self, record: PolledUser, error: Exception, interval: float, now: float) -> None:
        """Park a user, and log it: one warning a minute, for many users may be parked at once."""
        is_first = now - self._park_warned_at >= PARK_AFTER_SECONDS
        if is_first:
            self._park_warned_at = now
        level = logging.WARNING if is_first else logging.DEBUG
        log.log(
            level,
            "user parked and polled rarely, because its secret is refused again and again: %s",
            error_text(error),
            extra={"user_id": record.user.user_id, "refusals": record.refusals},
        )
        self._park_again(record, error, interval, now)

    def _park_again(self, record: PolledUser, refusal: Exception | None, interval: float, now: float) -> None:
        """Schedule the next poll of a parked user after a long pause."""
        if refusal is not None:
            self.parked[record.user.user_id] = refusal
        self._schedule.park(record, now, interval, self._parked_pause(record, interval, now))

    def _parked_pause(self, record: PolledUser, interval: float, now: float) -> float:
        """Return the seconds until a parked user is polled: about as long as its refusals go on, within bounds."""
        shortest = max(interval, self._config.slowest, MIN_PARKED_PAUSE)
        bound = max(shortest, min(now - record.refused_since, MAX_PARKED_PAUSE))
        return equal_jitter_delay(0, bound, bound)

    def _apply_to_all(self, event: OutageEvent | None, error: Exception | None, now: float) -> None:
        """Apply to all users what one poll shows: hold the schedule and the rate limiter, add an event, log it."""
        outage = self.outage
        if outage.paused_until > now:
            self._rate_limiter.hold(outage.paused_until)
        if not outage.is_available(now) and not self.is_held:
            self.is_held = True
            self._schedule.hold(now)
        if event is OutageEvent.RECOVERED:
            log.info("the platform answers again", extra={"seconds": now - self._outage_since})
        elif error is not None and outage.outage_since is not None and event is OutageEvent.OUTAGE:
            self._outage_since = outage.outage_since
            log.warning(
                "all requests fail, so one probe at a time is sent: %s",
                error_text(error),
                extra={"failures": outage.consecutive_failures},
            )
            self._results.put(
                Outage(
                    since=self._wall_time(self._outage_since, now), error=error, failures=outage.consecutive_failures
                )
            )
            self._clear_suspects(now)
        elif error is not None and event is OutageEvent.SLOWED:
            seconds = outage.paused_until - now
            log.warning(
                "rate limited by the platform, so polling pauses for %.3g s", seconds, extra={"seconds": seconds}
            )
            self._results.put(RateLimited(seconds=seconds, error=error))

    def _clear_suspects(self, now: float) -> None:
        """Forget the failures that led to an outage: the cause was the platform, not these users or their secrets."""
        for record in self._suspects:
            record.ready = 0.0
            self.resume(record, record.user.user_id, now)
        self._suspects.clear()

    def _outage_threshold(self) -> int:
        """Return the failures in a row that make an outage: one of each user, or as many as run at once."""
        parked = sum(record.user.user_id in self.parked for record in self._suspects)
        return min(len(self.records) - len(self.parked) + parked, self._config.concurrency)

    def _wall_time(self, moment: float, now: float) -> datetime:
        return self._clock.wall() - timedelta(seconds=now - moment)
