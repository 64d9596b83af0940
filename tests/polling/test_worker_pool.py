from __future__ import annotations

import asyncio
from collections import deque

import pytest

from connecttrade_async.errors import CallerError
from connecttrade_async.polling.worker_pool import WorkerPool
from stream_fixtures import nothing_left


class Jobs:
    """A pool of two workers over a queue of jobs, which end when ``released`` is set."""

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
        self.started: list[int] = []
        self.done: list[tuple[int, int]] = []
        self.errors: list[Exception] = []
        self.released = asyncio.Event()
        self.error: BaseException | None = None
        self.pool: WorkerPool[int, int] = WorkerPool(
            2, self.take, self.work, lambda job, outcome: self.done.append((job, outcome)), self.errors.append
        )

    def take(self) -> int | None:
        return self.queue.popleft() if self.queue else None

    async def work(self, job: int) -> int:
        self.started.append(job)
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return job * 10


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_wake_starts_no_more_than_max_workers_and_each_takes_job_after_job() -> None:
    jobs = Jobs()
    async with nothing_left():
        jobs.queue.extend(range(5))
        jobs.pool.wake()
        await settle()
        assert (jobs.started, jobs.pool.busy) == ([0, 1], 2)
        jobs.released.set()
        await settle()
        assert sorted(jobs.done) == [(number, number * 10) for number in range(5)]
        assert jobs.pool.busy == 0
        await jobs.pool.aclose(1.0, ())
    assert jobs.errors == []


async def test_wake_gives_a_job_to_an_idle_worker() -> None:
    jobs = Jobs()
    jobs.released.set()
    async with nothing_left():
        for job in (1, 2, 3):
            jobs.queue.append(job)
            jobs.pool.wake()
            await settle()
        assert jobs.done == [(1, 10), (2, 20), (3, 30)]
        assert len([task for task in asyncio.all_tasks() if task.get_name() == "connecttrade poll"]) == 1
        await jobs.pool.aclose(1.0, ())


@pytest.mark.parametrize("error", [KeyError("mine"), GeneratorExit()], ids=repr)
async def test_work_that_raises_is_reported_and_ends_its_worker(error: BaseException) -> None:
    jobs = Jobs()
    jobs.error = error
    jobs.released.set()
    jobs.queue.append(1)
    jobs.pool.wake()
    await settle()
    (reported,) = jobs.errors
    if isinstance(error, Exception):
        assert reported is error
    else:
        assert isinstance(reported, CallerError)
        assert reported.__cause__ is error
    assert jobs.pool.busy == 0


async def test_worker_cancelled_from_outside_is_reported() -> None:
    jobs = Jobs()
    jobs.queue.append(1)
    jobs.pool.wake()
    await settle()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "connecttrade poll"]
    task.cancel()
    await settle()
    (reported,) = jobs.errors
    assert isinstance(reported, CallerError)


async def test_aclose_cancels_all_workers_and_reports_nothing() -> None:
    jobs = Jobs()
    async with nothing_left():
        jobs.queue.extend([1, 2, 3])
        jobs.pool.wake()
        await settle()
        await jobs.pool.aclose(1.0, ())
        jobs.pool.wake()
        await settle()
    assert (jobs.started, jobs.done, jobs.errors) == ([1, 2], [], [])
