"""A loop: take the next turn, ask, judge, tell, again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from connecttrade_async.errors import ClosedError
from connecttrade_async.pacing import random_phase
from connecttrade_async.polling.fetcher import Fetcher
from connecttrade_async.polling.outcomes import PollOutcomes
from connecttrade_async.polling.rate_limiter import PollRateLimiter
from connecttrade_async.polling.result_queue import ResultQueue
from connecttrade_async.polling.results import PollResult
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule
from connecttrade_async.polling.worker_pool import WorkerPool
from connecttrade_async.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.client import User
    from connecttrade_async.clock import Timer
    from connecttrade_async.polling.config import PollConfig
    from connecttrade_async.polling.fetcher import FetchResult, PollClient
    from connecttrade_async.polling.polled_books import PolledBooks
    from connecttrade_async.polling.results import PollEvent
    from connecttrade_async.polling.schedule import Turn

__all__ = ["PollLoop"]

T = TypeVar("T")
PROBE_MAY_TAKE = 60.0  # seconds: one user whose fetch hangs must not keep all others from being asked


class PollLoop(Generic[T]):
    """Polls users in turns.

    Args:
        fetch: asks for what is wanted of one user.
        plan: how often, and how much at once.
        house: the rooms above.
        books: what ``fetch`` keeps, if it does.

    Attributes:
        schedule: whose turn it is.
        workers: who take the turns.
        inbox: what is told.
        verdicts: what was judged, and of whom.
        is_full: whether everything waits for the consumer.
    """

    def __init__(
        self, fetch: Callable[[User], Awaitable[T]], plan: PollConfig, house: PollClient, books: PolledBooks | None
    ) -> None:
        self._books = books
        self._plan = plan
        self._capacity = plan.capacity
        self._clock = clock = house.caller.clock
        turnstile = PollRateLimiter(
            RateLimiter(plan.requests_per_second, plan.user_requests_per_second, clock.now()), clock
        )
        self._fetcher = Fetcher(fetch, house, turnstile)
        self.schedule = Schedule(plan.interval, random_phase())
        self.inbox: ResultQueue[PollResult[T] | PollEvent] = ResultQueue("the poller")
        self.verdicts: PollOutcomes[T] = PollOutcomes(
            plan, self.schedule, self.inbox, turnstile, clock, wake=self._wake, left=self._on_removed
        )
        conclude = self.verdicts.evaluate if books is None else self._conclude
        self.workers: WorkerPool[Turn, FetchResult[T]] = WorkerPool(
            plan.concurrency, self._take, self._fetcher.fetch, conclude, self.stop
        )
        self._counters = self.verdicts.counters
        self._timer: tuple[float, Timer] | None = None
        self.is_full = self._is_stopped = False
        self._leaving: dict[str, PolledUser] = {}

    # --- who is polled

    def add(self, user: User) -> None:
        """Give a user a turn within one interval; one who is there gets the new handle, and is parked no more."""
        records = self.verdicts.records
        record = records.get(user.user_id)
        if record is not None:
            record.user = user
            self.resume(user.user_id)
            return
        records[user.user_id] = record = PolledUser(user)
        if user.user_id not in self._leaving:
            self._add_user(record)

    def remove(self, user_id: str) -> None:
        """Forget a user, and what waits of it."""
        record = self.verdicts.records.pop(user_id, None)
        if record is None:
            return
        if record.state is PollState.RUNNING:
            self._leaving[user_id] = record
        self.verdicts.forget(record, user_id)
        if self._books is not None:
            self._books.forget(user_id)
        self.inbox.keep(lambda told: not isinstance(told, PollResult) or told.user.user_id != user_id)
        self.make_room()

    def resume(self, user_id: str) -> None:
        """Give a parked user turns again."""
        record = self.verdicts.records.get(user_id)
        if record is not None and self.verdicts.resume(record, user_id, self._clock.now()):
            self.workers.wake()

    def make_room(self) -> None:
        """Go on where everything waited for the consumer."""
        if self.is_full:
            self.is_full = False
            self.workers.wake()

    def stop(self, error: Exception | None) -> None:
        """Take no more turns; the consumer meets the error after what waits."""
        self._is_stopped = True
        self._fetcher.stop()
        self.inbox.close(error)
        if self._books is not None:
            self._books.teller.close(error or ClosedError("the poller"))
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        self.workers.stop()

    def state(self) -> str:
        """Name the state of the platform, as far as it is known."""
        if self._is_stopped:
            return "ENDED"
        if not self.verdicts.is_held:
            return "POLLING"
        return "SLOWED" if self.verdicts.outage.away_since is None else "OUTAGE"

    def _add_user(self, record: PolledUser) -> None:
        interval = self._plan.interval
        interval = self.verdicts.own_interval(record.user, None) if interval is None else interval
        self.schedule.add(record, self._clock.now(), interval)

    def _on_removed(self, record: PolledUser) -> None:
        """A user was removed while it was asked, and that has ended: if it has come again, it may be asked again."""
        user_id = record.user.user_id
        if self._leaving.get(user_id) is record:
            del self._leaving[user_id]
            again = self.verdicts.records.get(user_id)
            if again is not None:
                self._add_user(again)
                self.workers.wake()

    # --- turns

    def _conclude(self, turn: Turn, asked: FetchResult[T]) -> None:
        # Who takes the changes need not take the results as well: those that find no room are left out.
        if self._is_published_elsewhere and len(self.inbox) >= self._capacity:
            self.inbox.drop_oldest()
        self.verdicts.evaluate(turn, asked)

    def _wake(self) -> None:
        self.workers.wake()

    @property
    def _is_published_elsewhere(self) -> bool:
        return self._books is not None and self._books.is_followed

    def _take(self) -> Turn | None:
        if len(self.inbox.items) + self.workers.busy >= self._capacity and not self._is_published_elsewhere:
            self.is_full = True
            return None
        now, verdicts = self._clock.now(), self.verdicts
        if verdicts.is_held:
            turn = self._take_held(now)
            if turn is not None or verdicts.is_held:
                return turn
        turn = self.schedule.take(now)
        if turn is None:
            self._wake_at(self.schedule.next_at(), now)
        else:
            self._counters.late = turn.late
        return turn

    def _take_held(self, now: float) -> Turn | None:
        """While nobody is asked: send the one probe when it is time, or let everybody go on."""
        verdicts, standing = self.verdicts, self.verdicts.outage
        if standing.away_since is not None:
            next_at = standing.probe_at if verdicts.probe is None else verdicts.probe_until
            if now < next_at:
                self._wake_at(next_at, now)
                return None
            turn = self.schedule.probe()
            verdicts.probe = None if turn is None else turn.record
            verdicts.probe_until = now + PROBE_MAY_TAKE
            self._counters.late = 0.0
            return turn
        if standing.is_well(now):
            self.schedule.release(now)
            verdicts.is_held = False
        else:
            self._wake_at(standing.slow_until, now)
        return None

    def _wake_at(self, when: float | None, now: float) -> None:
        timer = self._timer
        if timer is not None:
            if when is not None and timer[0] <= when and timer[0] > now:
                return
            timer[1].cancel()
        self._timer = None if when is None else (when, self._clock.call_later(max(0.0, when - now), self._on_time))

    def _on_time(self) -> None:
        self._timer = None
        self.workers.wake()
