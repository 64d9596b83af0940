"""A loop: workers that take one job after the other. No task for each user, and none that nobody needs yet."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from connecttrade_async.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

__all__ = ["WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("connecttrade_async.live")


class WorkerPool(Generic[T, R]):
    """A pool of tasks.

    Args:
        most: how many at most.
        take: returns the next job, or None where there is none now; whoever makes one due calls ``wake``.
        work: does a job. What it raises is a mistake, or the end.
        done: takes a job and what came of it.
        crashed: takes what was raised where jobs are taken or done.

    Attributes:
        busy: jobs that were taken and are not done.
    """

    __slots__ = ("_crashed", "_done", "_is_stopped", "_most", "_resting", "_take", "_tasks", "_woken", "_work", "busy")

    def __init__(
        self,
        most: int,
        take: Callable[[], T | None],
        work: Callable[[T], Coroutine[Any, Any, R]],
        done: Callable[[T, R], None],
        crashed: Callable[[Exception], None],
    ) -> None:
        self._most = most
        self._take = take
        self._work = work
        self._done = done
        self._crashed = crashed
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: list[asyncio.Future[T]] = []
        self._woken = 0
        self._is_stopped = False
        self.busy = 0

    def wake(self) -> None:
        """Give what there is to do to those who rest, and start more where these are too few."""
        while not self._is_stopped and (self._resting or len(self._tasks) < self._most):
            job = self._following()
            if job is None:
                return
            self._woken += 1
            if self._resting:
                # The latest to rest is woken first, so that no more are busy than need be.
                self._resting.pop().set_result(job)
            else:
                task = asyncio.create_task(self._run(job), name="connecttrade poll")
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Cancel everybody; wait for them with ``aclose``."""
        self._is_stopped = True
        self._resting.clear()
        for task in self._tasks:
            task.cancel()

    async def aclose(self, seconds: float, companions: Iterable[asyncio.Task[None]]) -> None:
        """Cancel everybody, and wait for so long until they are gone, and companions of theirs with them.

        Cancelling leaves them ending by themselves.
        """
        self.stop()
        others = {*self._tasks, *companions} - {asyncio.current_task()}
        if others:
            _, left = await asyncio.wait(others, timeout=seconds)
            if left:
                log.warning("%d tasks of a poller would not be cancelled within %.3g s", len(left), seconds)

    async def _run(self, job: T) -> None:
        self._woken -= 1
        take, work, done = self._take, self._work, self._done
        while True:
            try:
                try:
                    outcome = await work(job)
                finally:
                    self.busy -= 1
                done(job, outcome)
                if self._is_stopped:  # a job may have swallowed that it was cancelled
                    return
                if self._woken:
                    await asyncio.sleep(0)  # who was woken before begins before, so that jobs begin in their order
                following = take()
            except Exception as exc:  # noqa: BLE001 - a worker that ended in silence would be missed by nobody
                self._crashed(exc)
                return
            if following is None:
                job = await self._rest()
            else:
                self.busy += 1
                job = following

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._is_stopped:
            return
        # Its job has no end now, and would be waited for as long as all goes on.
        if task.cancelled():
            self._crashed(CallerError("a task of the poller was cancelled from outside"))
        elif (error := task.exception()) is not None:
            ended = CallerError(f"a task of the poller was ended by {type(error).__name__}")
            ended.__cause__ = error
            self._crashed(ended)

    def _following(self) -> T | None:
        try:
            job = self._take()
        except Exception as exc:  # noqa: BLE001 - likewise; whoever wakes the workers has nothing to do with it
            self._crashed(exc)
            return None
        if job is not None:
            self.busy += 1
        return job

    async def _rest(self) -> T:
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._resting.append(place)
        job = await place
        self._woken -= 1
        return job
