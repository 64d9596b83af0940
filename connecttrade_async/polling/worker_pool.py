"""A pool of tasks that take one job after the other. A task is started only when there is a job for it."""

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
    """A bounded pool of tasks.

    Its callbacks are plain functions, because a poll costs little more than they do.

    Args:
        max_workers: The maximum number of tasks.
        take: Return the next job, or None if there is none now. After a job becomes due, call ``wake``.
        work: Do a job. An exception ends the pool.
        on_done: Called with a job and its outcome.
        on_crash: Called with the exception of ``take``, ``work`` or ``on_done``.

    Attributes:
        busy: Jobs that were taken and are not done.
    """

    __slots__ = (
        "_assigned",
        "_idle",
        "_is_stopped",
        "_max_workers",
        "_on_crash",
        "_on_done",
        "_take",
        "_tasks",
        "_work",
        "busy",
    )

    def __init__(
        self,
        max_workers: int,
        take: Callable[[], T | None],
        work: Callable[[T], Coroutine[Any, Any, R]],
        on_done: Callable[[T, R], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._max_workers = max_workers
        self._take = take
        self._work = work
        self._on_done = on_done
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[T]] = []
        self._assigned = 0
        self._is_stopped = False
        self.busy = 0

    def wake(self) -> None:
        """Give available jobs to idle tasks, and start more tasks if these are too few."""
        while not self._is_stopped and (self._idle or len(self._tasks) < self._max_workers):
            job = self._take_job()
            if job is None:
                return
            self._assigned += 1
            if self._idle:
                # Last in, first out: that keeps the number of tasks in use small.
                self._idle.pop().set_result(job)
            else:
                task = asyncio.create_task(self._run(job), name="connecttrade poll")
                self._tasks.add(task)
                task.add_done_callback(self._on_task_end)

    def stop(self) -> None:
        """Cancel all tasks; ``aclose`` waits for them."""
        self._is_stopped = True
        self._idle.clear()
        for task in self._tasks:
            task.cancel()

    async def aclose(self, seconds: float, others: Iterable[asyncio.Task[None]]) -> None:
        """Cancel all tasks, and wait until they end.

        Args:
            seconds: How long to wait.
            others: Cancelled tasks of the caller to wait for as well.

        If it is cancelled, the tasks end on their own.
        """
        self.stop()
        others = {*self._tasks, *others} - {asyncio.current_task()}
        if others:
            _, remaining = await asyncio.wait(others, timeout=seconds)
            if remaining:
                log.warning(
                    "%d cancelled tasks of a poller did not end within %.3g s",
                    len(remaining),
                    seconds,
                    extra={"tasks": len(remaining)},
                )

    async def _run(self, job: T) -> None:
        self._assigned -= 1
        take, work, on_done = self._take, self._work, self._on_done
        while True:
            try:
                try:
                    outcome = await work(job)
                finally:
                    self.busy -= 1
                on_done(job, outcome)
                if self._is_stopped:  # the job may have suppressed its cancellation
                    return
                if self._assigned:
                    await asyncio.sleep(0)  # tasks that were woken earlier run first, so that jobs start in order
                next_job = take()
            except Exception as exc:  # noqa: BLE001 - an exception of any kind must end the poller, not only this task
                self._on_crash(exc)
                return
            if next_job is None:
                job = await self._wait_for_job()
            else:
                self.busy += 1
                job = next_job

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._is_stopped:
            return
        # The job of this task never finishes, and its user would have no more turns.
        if task.cancelled():
            self._on_crash(CallerError("a task of the poller was cancelled from outside"))
        elif (error := task.exception()) is not None:
            ended = CallerError(f"a task of the poller was ended by {type(error).__name__}")
            ended.__cause__ = error
            self._on_crash(ended)

    def _take_job(self) -> T | None:
        try:
            job = self._take()
        except Exception as exc:  # noqa: BLE001 - the exception must end the poller, and the caller of ``wake`` is not its cause
            self._on_crash(exc)
            return None
        if job is not None:
            self.busy += 1
        return job

    async def _wait_for_job(self) -> T:
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        job = await waiter
        self._assigned -= 1
        return job
