"""A loop: take the next turn, ask, judge, tell, again.

Its vow: a failure is never an empty value, and never a storm. Each call is asked once, whatever the client's ``Retry``
says: the next turn is the retry. A user that fails is asked more and more rarely, a refused secret is not asked
again, and when everything fails one probe at a time stands for all.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

import msgspec

from connecttrade_async.errors import APIError, CallerError, ClosedError
from connecttrade_async.live.inbox import Inbox
from connecttrade_async.live.pace import Pace
from connecttrade_async.live.plan import seconds_between
from connecttrade_async.live.polled import Outage, PollResult, Recovered, Slowed
from connecttrade_async.live.schedule import Record, Schedule, State
from connecttrade_async.live.standing import Blame, News, Standing, blame
from connecttrade_async.live.turnstile import Turnstile
from connecttrade_async.live.workers import Workers
from connecttrade_async.pacing import grown_delay, start_of_cycle
from connecttrade_async.rest.watching import WatchedRequester

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from connecttrade_async.client import User
    from connecttrade_async.clock import Timer
    from connecttrade_async.live.plan import Plan
    from connecttrade_async.live.polled import PollEvent
    from connecttrade_async.live.schedule import Turn
    from connecttrade_async.rest.caller import Caller, Requester

__all__ = ["House", "Rounds", "Tally"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
log = logging.getLogger("connecttrade_async.live")


class House(NamedTuple):
    """What a poller needs of the rooms above it.

    Attributes:
        caller: the client's own way of asking.
        requester_of: tells in whose name a handle asks.
        handle: makes a handle.
        asks_once: tells whether a call sends one request, and returns its answer as it was read.
    """

    caller: Caller
    requester_of: Callable[[User], Requester]
    handle: Callable[[Requester], User]
    asks_once: Callable[[object], bool]


class Tally(msgspec.Struct):
    """What has happened so far."""

    running: int = 0
    failing: int = 0
    polls: int = 0
    unchanged: int = 0
    failures: int = 0
    late: float = 0.0


class Rounds(Generic[T]):
    """Polls users in turns.

    Args:
        fetch: asks for what is wanted of one user.
        plan: how often, and how much at once.
        house: the rooms above.

    Attributes:
        records: the users, by their id.
        parked: those whose secret was refused, with how.
        inbox: what is told.
        tally: what has happened so far.
    """

    def __init__(self, fetch: Callable[[User], Awaitable[T]], plan: Plan, house: House) -> None:
        self._fetch = fetch
        self._plan = plan
        self._house = house
        self._clock = clock = house.caller.clock
        self.schedule = Schedule(plan.interval, start_of_cycle())
        self.standing = Standing()
        self._turnstile = Turnstile(Pace(plan.requests_per_second, plan.user_requests_per_second, clock.now()), clock)
        self.workers: Workers[Turn] = Workers(plan.concurrency, self._take, self._poll)
        self.inbox: Inbox[PollResult[T] | PollEvent] = Inbox("the poller")
        self.records: dict[str, Record] = {}
        self.parked: dict[str, Exception] = {}
        self.tally = Tally()
        self._parked_in_a_row: list[str] = []
        self._once: dict[Caller, Caller] = {}
        self._timer: tuple[float, Timer] | None = None
        self._probe: Record | None = None
        self._away_since = 0.0
        self._is_held = self._is_full = self._is_stopped = False

    # --- who is polled

    def add(self, user: User) -> None:
        """Give a user a turn within one interval; one who is there gets the new handle, and is parked no more."""
        record = self.records.get(user.user_id)
        if record is not None:
            record.user = user
            self.resume(user.user_id)
            return
        self.records[user.user_id] = record = Record(user)
        interval = self._plan.interval
        self.schedule.add(record, self._clock.now(), self._own_interval(user, None) if interval is None else interval)

    def remove(self, user_id: str) -> None:
        """Forget a user, and what waits of it."""
        record = self.records.pop(user_id, None)
        if record is None:
            return
        self._set_failures(record, 0)
        record.state = State.GONE
        self.parked.pop(user_id, None)
        self._turnstile.pace.forget(user_id)
        self.inbox.keep(lambda told: not isinstance(told, PollResult) or told.user.user_id != user_id)
        self.make_room()

    def resume(self, user_id: str) -> None:
        """Give a parked user turns again."""
        if self.parked.pop(user_id, None) is not None:
            self.schedule.resume(self.records[user_id], self._clock.now())
            self.workers.wake()

    def make_room(self) -> None:
        """Go on where everything waited for the consumer."""
        if self._is_full:
            self._is_full = False
            self.workers.wake()

    def stop(self, error: Exception | None) -> None:
        """Take no more turns; the consumer meets the error after what waits."""
        self._is_stopped = True
        self.inbox.close(error)
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        self.workers.stop()

    def state(self) -> str:
        """Name the state of the platform, as far as it is known."""
        if self._is_stopped:
            return "ENDED"
        if not self._is_held:
            return "POLLING"
        return "SLOWED" if self.standing.away_since is None else "OUTAGE"

    # --- turns

    def _take(self) -> Turn | None:
        if self._is_stopped:
            return None
        if len(self.inbox) + self.tally.running >= self._plan.capacity:
            self._is_full = True
            return None
        now = self._clock.now()
        turn = self._take_held(now) if self._is_held else None
        if turn is None and not self._is_held:
            turn = self.schedule.take(now)
            if turn is None:
                self._wake_at(self.schedule.next_at(), now)
        if turn is not None:
            self.tally.running += 1
            self.tally.late = turn.late
        return turn

    def _take_held(self, now: float) -> Turn | None:
        """While nobody is asked: send the one probe when it is time, or let everybody go on."""
        standing = self.standing
        if standing.away_since is not None:
            if self._probe is not None:
                return None
            if now < standing.probe_at:
                self._wake_at(standing.probe_at, now)
                return None
            turn = self.schedule.probe()
            self._probe = None if turn is None else turn.record
            return turn
        if standing.is_well(now):
            self.schedule.release(now)
            self._is_held = False
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

    # --- one turn

    async def _poll(self, turn: Turn) -> None:
        record, user, began = turn.record, turn.record.user, self._clock.now()
        origin = self._house.requester_of(user)
        requester = WatchedRequester(origin, self._asking_once(origin.caller), self._turnstile, record.digest)
        value: object = None
        error: Exception | None = None
        try:
            call = self._fetch(self._house.handle(requester))
            requester.is_single = self._house.asks_once(call)
            value = await call
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is told as the result of this poll
            error = _trimmed(exc)
        except asyncio.CancelledError as exc:
            if self._is_stopped or _is_being_cancelled():
                raise
            error = CallerError("the fetch of a poll was cancelled by its own code")
            error.__cause__ = _trimmed(exc)
        self.tally.running -= 1
        if isinstance(error, ClosedError) and (origin.caller.is_closed or origin.caller.gate.is_closed):
            self.stop(error)
            return
        now = self._clock.now()
        seen = requester.seen()
        result: PollResult[T] = PollResult(
            user,
            value,
            error,
            changed=error is not None or seen is None or seen != record.digest,
            latency=now - began,
            due=self._at(began - turn.late, now),
            late=turn.late,
        )
        self._conclude(record, result, seen, now)

    def _conclude(self, record: Record, result: PollResult[T], seen: bytes | None, now: float) -> None:
        if record is self._probe:
            self._probe = None
        self.tally.polls += 1
        error = result.error
        if error is None:
            record.digest = seen
            self._set_failures(record, 0)
            self.tally.unchanged += not result.changed
            news = self.standing.answered() if seen is not None else None
        else:
            self.tally.failures += 1
            record.digest = None  # so that the next good answer is told as a change, whatever it says
            news = self.standing.failed(error, now, self._everybody())
        if not self.standing.in_a_row:
            self._parked_in_a_row.clear()
        if news is News.RECOVERED:
            self.inbox.put(Recovered(since=self._at(self._away_since, now), seconds=now - self._away_since))
        if record.state is not State.GONE and (result.changed or not self._plan.only_changed):
            self.inbox.put(result)
        self._next_turn(record, result, now)
        if news is not None or (error is not None and not self.standing.is_well(now)):
            self._spread(news, error, now)

    def _next_turn(self, record: Record, result: PollResult[T], now: float) -> None:
        error, interval = result.error, self._plan.interval
        if interval is None:
            try:
                interval = self._own_interval(result.user, result)
            except Exception as exc:  # noqa: BLE001 - the caller's own function; met where the results are taken
                self.stop(_trimmed(exc))
                return
        why = None if error is None else blame(error)
        if error is None or why is Blame.PACE or record.state is State.GONE:
            self.schedule.done(record, now, interval)
        elif self.standing.away_since is not None:
            self._set_failures(record, record.failures or 1)  # it is not this user's trouble
            self.schedule.done(record, now, interval)
        elif why is Blame.SECRET and record.user is not result.user:
            self.schedule.done(record, now, interval)  # there is a new handle, with another secret perhaps
        elif why is Blame.SECRET:
            self._set_failures(record, 0)
            self.schedule.park(record)
            self.parked[result.user.user_id] = error
            level = logging.DEBUG if self._parked_in_a_row else logging.WARNING
            self._parked_in_a_row.append(result.user.user_id)
            log.log(level, "a user's secret was refused, so it is parked: %s", error)
        else:
            self._set_failures(record, record.failures + 1)
            asked_for = (error.retry_after if isinstance(error, APIError) else None) or 0.0
            pause = grown_delay(record.failures, interval, max(interval, self._plan.slowest))
            self.schedule.done(record, now, interval, max(pause, asked_for))

    def _spread(self, news: News | None, error: Exception | None, now: float) -> None:
        """Let everybody feel what one poll has found out."""
        standing = self.standing
        self._turnstile.pace.not_before = standing.slow_until
        if not standing.is_well(now) and not self._is_held:
            self._is_held = True
            self.schedule.hold(now)
        if news is News.RECOVERED:
            log.info("the platform answers again")
        elif error is not None and standing.away_since is not None and news is News.OUTAGE:
            self._away_since = standing.away_since
            log.warning("everything fails, so one probe at a time stands for all: %s", error)
            self.inbox.put(Outage(since=self._at(self._away_since, now), error=error, failures=standing.in_a_row))
            # It is not their secrets, since nobody's was taken.
            for user_id in self._parked_in_a_row:
                self.resume(user_id)
        elif error is not None and news is News.SLOWED:
            log.warning("asked to slow down, for %.3g s", standing.slow_until - now)
            self.inbox.put(Slowed(seconds=standing.slow_until - now, error=error))
        self.workers.wake()

    def _everybody(self) -> int:
        """How many must fail in a row to speak for all: each user once, or as many as are asked at once."""
        asked = len(self.records) - len(self.parked) + len(self._parked_in_a_row)
        return min(asked, self._plan.concurrency)

    def _own_interval(self, user: User, result: PollResult[T] | None) -> float:
        every = cast("Callable[[User, PollResult[T] | None], float]", self._plan.every)
        return seconds_between(every(user, result))

    def _asking_once(self, caller: Caller) -> Caller:
        once = self._once.get(caller)
        if once is None:
            self._once[caller] = once = caller.with_options(None, msgspec.structs.replace(caller.retry, attempts=1))
        return once

    def _set_failures(self, record: Record, failures: int) -> None:
        self.tally.failing += bool(failures) - bool(record.failures)
        record.failures = failures

    def _at(self, moment: float, now: float) -> datetime:
        return self._clock.wall() - timedelta(seconds=now - moment)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _trimmed(exc: E) -> E:
    # Without the frame of ours that holds the error: the two would keep each other alive.
    return exc.with_traceback(exc.__traceback__ and exc.__traceback__.tb_next)
