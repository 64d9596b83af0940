"""Below the waterline: whose turn it is. Even from the start, without drift, and nobody twice before all once.

Each user has a place in the cycle that stays, spread by the golden ratio: wherever one looks, and however many come
later, the places lie evenly, and neighbours in the list of users are far apart in time. With one interval for all, the
users stand in a ring in the order of their turns: a turn costs the same for ten users as for fifty thousand, and who
has had a turn goes to the end. Many who come at once are sorted into it in one go. Turns that are missed are skipped
and never made up for. Only turns that know no order, such as those of an interval of each user's own, take a heap.
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
MANY = 8  # newcomers are many from one in so many of those who are there
EARLY = 0.0005  # timers fire a little early, and to wait once more for so little is not worth it


class PollState(IntEnum):
    """What a user is doing: ``PARKED`` waits as well, but for a rare turn that shows whether its secret is taken."""

    WAITING = 0
    RUNNING = 1
    PARKED = 2
    GONE = 3


WAITING, RUNNING, PARKED = (
    PollState.WAITING,
    PollState.RUNNING,
    PollState.PARKED,
)  # to look up a member of an enum costs more than all else in a turn


class PolledUser(msgspec.Struct, eq=False, gc=False):
    """What is kept of one user: some 150 bytes, values and bodies not among them.

    Attributes:
        user: the caller's own handle.
        due: the next turn, in seconds of the schedule's own time.
        ready: no turn is taken before, in seconds of the same.
        digest: of what the last good poll was answered; None before.
        failures: polls in a row that failed.
        refusals: polls in a row whose secret was refused; polls that prove nothing about the secret do not end the row.
        refused_since: when the first of these ended, in seconds on the client's clock.
        state: what it is doing.
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
    """One user's turn.

    Attributes:
        record: whose.
        late: seconds since it was due.
    """

    record: PolledUser
    late: float


class Schedule:
    """Turns, one after the other. Time is an argument, in seconds on the caller's clock.

    Args:
        every: the one interval, in seconds; None where each record has its own.
        phase: where in the cycle the first place is, from 0 to 1; drawn, so that many pollers do not keep step.

    Attributes:
        skipped: turns that were skipped because their time had passed, or their user's poll still ran.
    """

    __slots__ = ("_behind", "_count", "_every", "_fresh", "_heap", "_held_at", "_lost", "_phase", "_ring", "skipped")

    def __init__(self, every: float | None, phase: float) -> None:
        self._every = every
        self._phase = phase
        self._ring: deque[PolledUser] = deque()
        self._heap: list[tuple[float, int, PolledUser]] = []
        self._fresh: list[PolledUser] = []
        self._count = 0
        self._behind = 0.0
        self._lost = 0.0
        self._held_at: float | None = None
        self.skipped = 0

    def add(self, record: PolledUser, now: float, interval: float) -> None:
        """Give a user a place in the cycle; the first turn comes within one interval."""
        self._phase = (self._phase + GOLDEN) % 1.0
        due = self._own(now) + self._phase * interval
        if self._every is None:
            self._push(record, due)
        else:
            record.due = due
            self._fresh.append(record)

    def take(self, now: float) -> Turn | None:
        """Return the first turn that is due, or None."""
        if self._held_at is not None:
            return None
        if self._fresh:
            self._let_in()
        own = now - self._lost + EARLY
        ring, every = self._ring, self._every
        if ring and every is not None and not self._heap:
            # Nearly always: the first in the ring is due, and waits. It goes to the end.
            record = ring[0]
            due = record.due + self._behind
            if due > own:
                return None
            if record.state is WAITING and record.ready <= own:
                if own - due > every:
                    self._skip_cycles(own - due, every)
                record.due = max(record.due + every, ring[-1].due)
                record.state = RUNNING
                ring.rotate(-1)
                return Turn(record, max(0.0, own - EARLY - due))
        while (popped := self._pop(own)) is not None:
            record, due = popped
            if record.state is not RUNNING and record.ready <= own:
                record.state = RUNNING
                return Turn(record, max(0.0, own - EARLY - due))
            if record.state is RUNNING:
                self.skipped += 1
        return None

    def probe(self) -> Turn | None:
        """Return the next user in line whether or not it is due, also while time is held; None where nobody can be.

        A parked user is returned only where no other waits: its secret was refused before, so its answer proves little.
        """
        if self._fresh:
            self._let_in()
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
        """Return when the next turn is due, on the caller's clock; None where there is none."""
        if self._fresh:
            self._let_in()
        if self._held_at is not None or not (self._ring or self._heap):
            return None
        return self._head() + self._lost

    def done(self, record: PolledUser, now: float, interval: float, pause: float = 0.0) -> None:
        """End a turn. The next is one interval after the last, or as many as have passed; not before the pause ends.

        Args:
            record: whose.
            now: the present.
            interval: seconds between turns.
            pause: seconds that nothing is asked of this user, which keeps its place in the cycle.
        """
        record.ready = self._own(now) + pause if pause else 0.0
        if record.state is not RUNNING:
            return
        record.state = WAITING
        if self._every is None:
            own = self._own(now)
            passed = max(0, math.floor((max(own, record.ready) - record.due) / interval))
            self.skipped += max(0, math.floor((own - record.due) / interval))
            self._push(record, record.due + (passed + 1) * interval)

    def park(self, record: PolledUser, now: float, interval: float, pause: float) -> None:
        """End a turn, and take the next only after a long pause; it is no candidate for ``probe`` meanwhile.

        Args:
            record: whose.
            now: the present.
            interval: seconds between turns.
            pause: seconds that nothing is asked of this user, which keeps its place in the cycle.
        """
        self.done(record, now, interval, pause)
        if record.state is WAITING:
            record.state = PARKED

    def resume(self, record: PolledUser, now: float) -> None:
        """End a pause: with one interval for all the next turn is in its place in the cycle, else now."""
        record.ready = 0.0
        if record.state is RUNNING or record.state is PollState.GONE:
            return
        record.state = WAITING
        if self._every is None:
            self._push(record, self._own(now))

    def hold(self, now: float) -> None:
        """Let the schedule's time stand."""
        if self._held_at is None:
            self._held_at = now

    def release(self, now: float) -> None:
        """Let it go on, from where it stood: what was due meanwhile is still spread as it was."""
        if self._held_at is not None:
            self._lost += now - self._held_at
            self._held_at = None

    def _own(self, now: float) -> float:
        return (now if self._held_at is None else self._held_at) - self._lost

    def _let_in(self) -> None:
        """Give whoever is new a place in line: many are sorted into the ring in one go, few take the heap."""
        fresh, self._fresh = self._fresh, []
        if len(fresh) * MANY < len(self._ring):
            for record in fresh:
                self._push(record, record.due)
            return
        for record in fresh:
            record.due -= self._behind
        self._ring.extend(fresh)
        self._ring = deque(sorted(self._ring, key=attrgetter("due")))

    def _push(self, record: PolledUser, due: float) -> None:
        record.due = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, record))

    def _head(self) -> float:
        ring = self._ring[0].due + self._behind if self._ring else math.inf
        heap = self._heap[0][0] if self._heap else math.inf
        return min(ring, heap)

    def _pop(self, own: float) -> tuple[PolledUser, float] | None:
        """Pop what is due, first come first; with one interval for all, it goes to the end of the ring at once."""
        ring, heap = self._ring, self._heap
        while ring or heap:
            if from_ring := bool(ring) and (not heap or ring[0].due + self._behind <= heap[0][0]):
                due = ring[0].due + self._behind
            else:
                due = heap[0][0]
                if due != heap[0][2].due:  # it was pushed anew when its pause was ended
                    heapq.heappop(heap)
                    continue
            if due > own:
                return None
            record = ring.popleft() if from_ring else heapq.heappop(heap)[2]
            if record.state is not PollState.GONE:
                if self._every is not None:
                    self._to_the_end(record, due, own, self._every, from_ring=from_ring)
                return record, due
        return None

    def _to_the_end(self, record: PolledUser, due: float, own: float, every: float, *, from_ring: bool) -> None:
        if every < own - due < math.inf:
            if from_ring:
                due += self._skip_cycles(own - due, every, 1)
            else:
                missed = math.floor((own - due) / every)
                due += missed * every
                self.skipped += missed
        record.due = due + every - self._behind
        if self._ring:  # who came late stays behind whoever is in line, so that the ring is in order
            record.due = max(record.due, self._ring[-1].due)
        self._ring.append(record)

    def _skip_cycles(self, late: float, every: float, popped: int = 0) -> float:
        """Skip whole cycles for all in the ring at once: the order stays, and everybody's place. Return the seconds."""
        missed = math.floor(late / every)
        self._behind += missed * every
        self.skipped += missed * (len(self._ring) + popped)
        return missed * every
