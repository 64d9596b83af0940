"""The turns of polled users: evenly spread, without drift, and fair.

Each user has a fixed phase in the cycle. The golden ratio spaces the phases, so they are evenly spread for any number
of users, and neighbors in the list of users are far apart in time.

With one interval for all, the users form a ring in the order of their turns, and a polled user moves to its end. A turn
costs the same for ten users as for fifty thousand. Many new users are sorted into the ring at once. Missed turns are
skipped and never made up for. Only turns out of that order take a heap: those of an interval for each user, and those
of a few new users.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from enum import IntEnum
from operator import attrgetter
from typing import Any

import msgspec

__all__ = ["PollState", "PolledUser", "Schedule", "Turn"]

GOLDEN = (math.sqrt(5) - 1) / 2
SORT_RATIO = 8  # new users are sorted into the ring if they are at least 1/8 of its length, else each takes the heap
TIMER_TOLERANCE = 0.0005  # seconds; a timer may fire a little early, and waiting again costs more


class PollState(IntEnum):
    """What a user does. ``PARKED`` also waits, but for a rare turn that checks whether its secret is accepted again."""

    WAITING = 0
    RUNNING = 1
    PARKED = 2
    GONE = 3


# Looking up a member of an enum costs more than the rest of a turn.
WAITING, RUNNING, PARKED = PollState.WAITING, PollState.RUNNING, PollState.PARKED


class PolledUser(msgspec.Struct, eq=False, gc=False):
    """The state of one polled user: about 150 bytes, without values and responses.

    Attributes:
        user: The caller's own handle.
        due: The next turn, in seconds of the schedule's own time.
        ready: The earliest time of a turn, in seconds of the schedule's own time.
        digest: The digest of the responses of the last successful poll, or None.
        failures: Failed polls in a row.
        refusals: Refusals of the secret in a row; a poll that proves nothing about the secret does not end the row.
        refused_since: When the first of these refusals came, in seconds on the client's clock.
        state: What the user does.
    """

    user: Any
    due: float = 0.0
    ready: float = 0.0
    digest: int | None = None
    failures: int = 0
    refusals: int = 0
    refused_since: float = 0.0
    state: PollState = PollState.WAITING


class Turn(msgspec.Struct, gc=False):
    """One turn of a user.

    Attributes:
        record: The user.
        late: Seconds since the turn was due.
    """

    record: PolledUser
    late: float


class Schedule:
    """The queue of turns. Each method takes the time in seconds on the caller's clock.

    The schedule's own time stands still while ``hold`` is in effect, so that users stay spread afterwards.

    Args:
        every: The one interval in seconds; None if each user has its own.
        phase: The first phase in the cycle, from 0 to 1; random, so that many pollers are not in step.

    Attributes:
        skipped: Turns that were skipped, because their time had passed or their user's poll still ran.
    """

    __slots__ = (
        "_count",
        "_every",
        "_heap",
        "_held_at",
        "_held_seconds",
        "_new",
        "_phase",
        "_ring",
        "_ring_offset",
        "skipped",
    )

    def __init__(self, every: float | None, phase: float) -> None:
        self._every = every
        self._phase = phase
        self._ring: deque[PolledUser] = deque()
        self._heap: list[tuple[float, int, PolledUser]] = []
        self._new: list[PolledUser] = []
        self._count = 0
        self._ring_offset = 0.0
        self._held_seconds = 0.0
        self._held_at: float | None = None
        self.skipped = 0

    def add(self, record: PolledUser, now: float, interval: float) -> None:
        """Give a user a phase in the cycle; the first turn comes within one interval."""
        self._phase = (self._phase + GOLDEN) % 1.0
        due = self._schedule_time(now) + self._phase * interval
        if self._every is None:
            self._push(record, due)
        else:
            record.due = due
            self._new.append(record)

    def take(self, now: float) -> Turn | None:
        """Return the first turn that is due, or None."""
        if self._held_at is not None:
            return None
        if self._new:
            self._insert_new()
        schedule_now = now - self._held_seconds + TIMER_TOLERANCE
        ring, every = self._ring, self._every
        if ring and every is not None and not self._heap:
            # The usual case, spelled out for speed: the first in the ring is due and not running, and moves to the end.
            record = ring[0]
            due = record.due + self._ring_offset
            if due > schedule_now:
                return None
            if record.state is WAITING and record.ready <= schedule_now:
                if schedule_now - due > every:
                    self._skip_cycles(schedule_now - due, every)
                record.due = max(record.due + every, ring[-1].due)
                record.state = RUNNING
                ring.rotate(-1)
                return Turn(record, max(0.0, schedule_now - TIMER_TOLERANCE - due))
        while (popped := self._pop(schedule_now)) is not None:
            record, due = popped
            if record.state is not RUNNING and record.ready <= schedule_now:
                record.state = RUNNING
                return Turn(record, max(0.0, schedule_now - TIMER_TOLERANCE - due))
            if record.state is RUNNING:
                self.skipped += 1
        return None

    def probe(self) -> Turn | None:
        """Return the next user's turn whether or not it is due, also in a ``hold``; None if no user is free.

        A parked user is returned only if no other is free: its secret was refused before, so its answer proves little.
        """
        if self._new:
            self._insert_new()
        found: PolledUser | None = None
        parked: list[PolledUser] = []
        for _ in range(len(self._ring) + len(self._heap)):
            popped = self._pop(math.inf)
            if popped is None:
                break
            if popped[0].state is WAITING:
                found = popped[0]
                break
            if popped[0].state is PARKED:
                parked.append(popped[0])
        if found is None and parked:
            found = parked.pop(0)
        if self._every is None:
            for record in parked:
                self._push(record, record.due)
        if found is None:
            return None
        found.state = RUNNING
        return Turn(found, 0.0)

    def next_at(self) -> float | None:
        """Return when the next turn is due, on the caller's clock; None if there is none."""
        if self._new:
            self._insert_new()
        if self._held_at is not None or not (self._ring or self._heap):
            return None
        return self._next_due() + self._held_seconds

    def finish_turn(self, record: PolledUser, now: float, interval: float, pause: float = 0.0) -> None:
        """End a turn. The next one is a whole number of intervals after the last, and not before the pause ends.

        Args:
            record: The user.
            now: The current time in seconds.
            interval: Seconds between turns.
            pause: Seconds without a turn; the user keeps its phase in the cycle.
        """
        record.ready = self._schedule_time(now) + pause if pause else 0.0
        if record.state is not RUNNING:
            return
        record.state = WAITING
        if self._every is None:
            schedule_now = self._schedule_time(now)
            passed = max(0, math.floor((max(schedule_now, record.ready) - record.due) / interval))
            self.skipped += max(0, math.floor((schedule_now - record.due) / interval))
            self._push(record, record.due + (passed + 1) * interval)

    def park(self, record: PolledUser, now: float, interval: float, pause: float) -> None:
        """End a turn, and give the next one only after a long pause; meanwhile ``probe`` avoids the user.

        Args:
            record: The user.
            now: The current time in seconds.
            interval: Seconds between turns.
            pause: Seconds without a turn; the user keeps its phase in the cycle.
        """
        self.finish_turn(record, now, interval, pause)
        if record.state is WAITING:
            record.state = PARKED

    def resume(self, record: PolledUser, now: float) -> None:
        """End a pause. With one interval for all the next turn is at the user's phase in the cycle, else now."""
        record.ready = 0.0
        if record.state is RUNNING or record.state is PollState.GONE:
            return
        record.state = WAITING
        if self._every is None:
            self._push(record, self._schedule_time(now))

    def hold(self, now: float) -> None:
        """Stop the schedule's time."""
        if self._held_at is None:
            self._held_at = now

    def release(self, now: float) -> None:
        """Let the schedule's time continue where it stopped; the turns keep their spacing."""
        if self._held_at is not None:
            self._held_seconds += now - self._held_at
            self._held_at = None

    def _schedule_time(self, now: float) -> float:
        """Return the schedule's own time, which excludes the holds."""
        return (now if self._held_at is None else self._held_at) - self._held_seconds

    def _insert_new(self) -> None:
        """Queue the new users: many are sorted into the ring at once, a few take the heap."""
        new, self._new = self._new, []
        if len(new) * SORT_RATIO < len(self._ring):
            for record in new:
                self._push(record, record.due)
            return
        for record in new:
            record.due -= self._ring_offset
        self._ring.extend(new)
        self._ring = deque(sorted(self._ring, key=attrgetter("due")))

    def _push(self, record: PolledUser, due: float) -> None:
        record.due = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, record))

    def _next_due(self) -> float:
        ring = self._ring[0].due + self._ring_offset if self._ring else math.inf
        heap = self._heap[0][0] if self._heap else math.inf
        return min(ring, heap)

    def _pop(self, schedule_now: float) -> tuple[PolledUser, float] | None:
        """Pop the first user that is due; with one interval for all, it moves to the end of the ring at once."""
        ring, heap = self._ring, self._heap
        while ring or heap:
            if from_ring := bool(ring) and (not heap or ring[0].due + self._ring_offset <= heap[0][0]):
                due = ring[0].due + self._ring_offset
            else:
                due = heap[0][0]
                if due != heap[0][2].due:  # an outdated entry: ``resume`` pushed another
                    heapq.heappop(heap)
                    continue
            if due > schedule_now:
                return None
            record = ring.popleft() if from_ring else heapq.heappop(heap)[2]
            if record.state is not PollState.GONE:
                if self._every is not None:
                    self._requeue(record, due, schedule_now, self._every, from_ring=from_ring)
                return record, due
        return None

    def _requeue(self, record: PolledUser, due: float, schedule_now: float, every: float, *, from_ring: bool) -> None:
        """Append a popped user to the ring, at its next turn that has not passed."""
        if every < schedule_now - due < math.inf:
            if from_ring:
                due += self._skip_cycles(schedule_now - due, every, 1)
            else:
                missed = math.floor((schedule_now - due) / every)
                due += missed * every
                self.skipped += missed
        record.due = due + every - self._ring_offset
        if self._ring:  # the ring stays in order: a late user keeps its position behind the last one
            record.due = max(record.due, self._ring[-1].due)
        self._ring.append(record)

    def _skip_cycles(self, late: float, every: float, popped: int = 0) -> float:
        """Skip whole cycles for all users in the ring at once, which keeps their order and phases.

        Returns:
            The skipped seconds.
        """
        missed = math.floor(late / every)
        self._ring_offset += missed * every
        self.skipped += missed * (len(self._ring) + popped)
        return missed * every
