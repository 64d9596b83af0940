"""When exchanges must be over: one timer for all that are under way.

Nearly all of them are over long before, and a timer for each, made and canceled again, would cost more than all else
that is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Deadline", "DeadlineTimer"]

MIN_TIMER_GAP = 0.005  # seconds: where many end one after another, they are not looked through for each of them
COARSE_FROM = 5.0  # seconds: a limit from there on may be so much as a second late, so that one look serves many


class Deadline:
    """The deadline of one exchange. A task that sends a request from within another has one for each.

    Attributes:
        task: the task that waits for the answer.
        until: seconds on the loop's clock.
        cancelling: how often the task was being canceled already at the start.
        has_ended: whether the exchange was ended, and the task canceled for it.
    """

    __slots__ = ("cancelling", "has_ended", "task", "until")

    def __init__(self, task: asyncio.Task[Any], until: float) -> None:
        self.task = task
        self.until = until
        self.cancelling = task.cancelling()
        self.has_ended = False

    def end(self) -> None:
        """Cancel the task, once."""
        if not self.has_ended:
            self.has_ended = True
            self.task.cancel()

    def is_cancelled_by_others(self) -> bool:
        """Say whether anything but this deadline cancels the task, or canceled it before the exchange began to wait."""
        return self.task.cancelling() - self.has_ended > self.cancelling


class DeadlineTimer:
    """Tasks that wait for an answer, each until its deadline, when it is canceled.

    Like ``asyncio.timeout``, it keeps its own cancelling apart from that of others.
    """

    __slots__ = ("_due_at", "_timer", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[Deadline, None] = {}
        self._due_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop, seconds: float) -> Deadline:
        """Give a task so many seconds from now on. Each ``add`` needs one ``remove``."""
        until = loop.time() + seconds
        deadline = Deadline(task, until)
        self._waiting[deadline] = None
        if until < self._due_at and (when := math.ceil(until) if seconds >= COARSE_FROM else until) < self._due_at:
            self._start_timer(loop, when)
        return deadline

    def remove(self, deadline: Deadline) -> None:
        """Let a task go."""
        del self._waiting[deadline]
        if deadline.has_ended:  # also where something on the way has swallowed the cancelling: it leaves no trace
            deadline.task.uncancel()

    def end_all(self, *, except_for: asyncio.Task[Any] | None) -> None:
        """End all exchanges at once, but those of one task, such as the one that asks for it."""
        for deadline in self._waiting:
            if deadline.task is not except_for:
                deadline.end()

    def _start_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_at = when
        self._timer = loop.call_at(when, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at, self._timer = math.inf, None
        now, earliest = loop.time(), math.inf
        for deadline in self._waiting:
            if deadline.has_ended:
                continue
            if deadline.until <= now:
                deadline.end()
            else:
                earliest = min(earliest, deadline.until)
        if earliest < math.inf:
            self._start_timer(loop, max(earliest, now + MIN_TIMER_GAP))
