"""A door: when exchanges must be over. One timer for all that are under way.

Nearly all of them are over long before, and a timer for each, made and called off again, would cost more than all else
that is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    Running = asyncio.Task[Any]

__all__ = ["Deadlines"]

GRAIN = 0.005  # seconds: where many end one after another, they are not looked through for each of them
COARSE = 5.0  # seconds: a limit from there on may be so much as a second late, so that one look serves many


class Deadlines:
    """Tasks that wait for an answer, each until its deadline, when it is cancelled.

    A task is in it once at a time. Like ``asyncio.timeout``, it tells its own cancelling from that of others.
    """

    __slots__ = ("_alarm", "_overdue", "_rings_at", "_until")

    def __init__(self) -> None:
        self._until: dict[Running, float] = {}
        self._overdue: set[Running] = set()
        self._rings_at = math.inf
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, task: Running, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Give a task so many seconds from now on. Each ``add`` needs one ``remove``."""
        self._until[task] = until = loop.time() + seconds
        if until < self._rings_at and (when := math.ceil(until) if seconds >= COARSE else until) < self._rings_at:
            self._set_alarm(loop, when)

    def remove(self, task: Running) -> None:
        """Let a task go."""
        del self._until[task]
        if task in self._overdue:  # it was cancelled, and something on the way has swallowed it
            self.is_over(task, 0)

    def is_over(self, task: Running, cancelling: int) -> bool:
        """Say of a task that was cancelled whether that was for its deadline, and nobody else wants it to end.

        Args:
            task: the task.
            cancelling: how often it was being cancelled already when it was added.
        """
        if task not in self._overdue:
            return False
        self._overdue.discard(task)
        return task.uncancel() <= cancelling

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._rings_at = when
        self._alarm = loop.call_at(when, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._rings_at, self._alarm = math.inf, None
        now, earliest = loop.time(), math.inf
        for task, until in self._until.items():
            if task in self._overdue:
                continue
            if until <= now:
                self._overdue.add(task)
                task.cancel()
            else:
                earliest = min(earliest, until)
        if earliest < math.inf:
            self._set_alarm(loop, max(earliest, now + GRAIN))
