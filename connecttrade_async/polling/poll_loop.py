"""The loop of a poller: take the next turn, fetch, evaluate, and wait until another turn is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from connecttrade_async.errors import ClosedError
from connecttrade_async.pacing import random_phase
from connecttrade_async.polling.fetcher import Fetcher
from connecttrade_async.polling.outcomes import PollOutcomes
from connecttrade_async.polling.result_queue import ResultQueue
from connecttrade_async.polling.results import PollResult
from connecttrade_async.polling.schedule import PolledUser, PollState, Schedule
from connecttrade_async.polling.worker_pool import WorkerPool
from connecttrade_async.rest.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.clock import Timer
    from connecttrade_async.polling.config import PollConfig
    from connecttrade_async.polling.fetcher import FetchResult, PollClient
    from connecttrade_async.polling.polled_books import PolledBooks
    from connecttrade_async.polling.results import PollEvent
    from connecttrade_async.polling.schedule import Turn
    from connecttrade_async.user import User

__all__ = ["PollLoop"]

T = TypeVar("T")
GONE = PollState.GONE  # looked up for each poll
PROBE_TIMEOUT = 60.0  # seconds: after that another user is probed, because one ``fetch`` may hang


class PollLoop(Generic[T]):
    """Polls users in turns.

    Args:
        fetch: The function that reads what the poller is for.
        config: The settings.
        client: The parts of the client that are used.
        books: The books that ``fetch`` keeps, or None.

    Attributes:
        schedule: The turns of the users.
        workers: The tasks that poll.
        results: The queue of results and events.
        outcomes: The state of each user and of the platform.
        is_full: Whether polling waits until the consumer takes results.
    """

    def __init__(
        self, fetch: Callable[[User], Awaitable[T]], config: PollConfig, client: PollClient, books: PolledBooks | None
    ) -> None:
        self._books = books
        self._config = config
        self._capacity = config.capacity
        self._clock = clock = client.sender.clock
        rate_limiter = RateLimiter(config.requests_per_second, config.user_requests_per_second, clock)
        self._fetcher = Fetcher(fetch, client, rate_limiter)
        self.schedule = Schedule(config.interval, random_phase())
        self.results: ResultQueue[PollResult[T] | PollEvent] = ResultQueue("the poller")
        self.outcomes: PollOutcomes[T] = PollOutcomes(config, self.schedule, self.results, rate_limiter, clock)
        self.workers: WorkerPool[Turn, FetchResult[T]] = WorkerPool(
            config.concurrency, self._next_turn, self._fetcher.fetch, self._evaluate, self.stop
        )
        self._counters = self.outcomes.counters
        self._timer: tuple[float, Timer] | None = None
        self.is_full = self._is_stopped = False
        self._ending: dict[str, PolledUser] = {}

    # --- users

    def add(self, user: User) -> None:
        """Add a user. Its first turn comes within one interval.

        A user that was added before gets the new handle, and is no longer parked.
        """
        records = self.outcomes.records
        record = records.get(user.user_id)
        if record is not None:
            record.user = user
            self.resume(user.user_id)
            return
        records[user.user_id] = record = PolledUser(user)
        if user.user_id not in self._ending:
            self._add_user(record)

    def remove(self, user_id: str) -> None:
        """Remove a user and its queued results."""
        record = self.outcomes.records.pop(user_id, None)
        if record is None:
            return
        if record.state is PollState.RUNNING:
            self._ending[user_id] = record
        self.outcomes.forget(record, user_id)
        if self._books is not None:
            self._books.forget(user_id)
        self.results.keep(lambda item: not isinstance(item, PollResult) or item.user.user_id != user_id)
        self.make_room()

    def resume(self, user_id: str) -> None:
        """Return a parked user to its ordinary turns."""
        record = self.outcomes.records.get(user_id)
        if record is not None and self.outcomes.resume(record, user_id, self._clock.now()):
            self.workers.wake()

    def make_room(self) -> None:
        """Continue if polling waited until the consumer took results."""
        if self.is_full:
            self.is_full = False
            self.workers.wake()

    def stop(self, error: Exception | None) -> None:
        """End polling. The consumer receives the queued results, then the error."""
        self._is_stopped = True
        self._fetcher.stop()
        self.results.close(error)
        if self._books is not None:
            self._books.change_feed.close(error or ClosedError("the poller"))
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        self.workers.stop()

    def state(self) -> str:
        """Return the state for ``PollStatistics``."""
        if self._is_stopped:
            return "ENDED"
        if not self.outcomes.is_held:
            return "POLLING"
        return "SLOWED" if self.outcomes.outage.outage_since is None else "OUTAGE"

    def _add_user(self, record: PolledUser) -> None:
        interval = self._config.interval
        interval = self.outcomes.own_interval(record.user, None) if interval is None else interval
        self.schedule.add(record, self._clock.now(), interval)

    def _on_removed(self, record: PolledUser) -> None:
        """End the poll of a removed user; a user that was added again meanwhile gets turns only now."""
        user_id = record.user.user_id
        if self._ending.get(user_id) is record:
            del self._ending[user_id]
            again = self.outcomes.records.get(user_id)
            if again is not None:
                self._add_user(again)
                self.workers.wake()

    # --- turns

    def _evaluate(self, turn: Turn, fetched: FetchResult[T]) -> None:
        # A consumer of ``changes`` need not take the results too, so the oldest result gives way to the newest.
        if self._books is not None and self._books.is_followed and len(self.results) >= self._capacity:
            self.results.drop_oldest()
        if self.outcomes.evaluate(turn, fetched):
            self.workers.wake()
        if turn.record.state is GONE:
            self._on_removed(turn.record)

    @property
    def _is_published_elsewhere(self) -> bool:
        return self._books is not None and self._books.is_followed

    def _next_turn(self) -> Turn | None:
        if len(self.results.items) + self.workers.busy >= self._capacity and not self._is_published_elsewhere:
            self.is_full = True
            return None
        now, outcomes = self._clock.now(), self.outcomes
        if outcomes.is_held:
            turn = self._next_held_turn(now)
            if turn is not None or outcomes.is_held:
                return turn
        turn = self.schedule.take(now)
        if turn is None:
            self._set_timer(self.schedule.next_at(), now)
        else:
            self._counters.late = turn.late
        return turn

    def _next_held_turn(self, now: float) -> Turn | None:
        """Return the next probe of an outage if it is due, or release the schedule if the pause is over."""
        outcomes, outage = self.outcomes, self.outcomes.outage
        if outage.outage_since is not None:
            next_at = outage.probe_at if outcomes.probe is None else outcomes.probe_until
            if now < next_at:
                self._set_timer(next_at, now)
                return None
            turn = self.schedule.probe()
            outcomes.probe = None if turn is None else turn.record
            outcomes.probe_until = now + PROBE_TIMEOUT
            self._counters.late = 0.0
            return turn
        if outage.is_available(now):
            self.schedule.release(now)
            outcomes.is_held = False
        else:
            self._set_timer(outage.paused_until, now)
        return None

    def _set_timer(self, when: float | None, now: float) -> None:
        """Wake the workers at a time, unless the present timer fires earlier."""
        timer = self._timer
        if timer is not None:
            if when is not None and timer[0] <= when and timer[0] > now:
                return
            timer[1].cancel()
        self._timer = None if when is None else (when, self._clock.call_later(max(0.0, when - now), self._on_timer))

    def _on_timer(self) -> None:
        self._timer = None
        self.workers.wake()
