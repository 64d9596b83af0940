from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from connecttrade_async.rest.deadlines import Deadline, DeadlineTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class Handle:
    def __init__(self, when: float, ring: Callable[[], object]) -> None:
        self.when = when
        self.ring = ring
        self.is_off = False

    def cancel(self) -> None:
        self.is_off = True


class HeldLoop:
    """The part of an event loop that deadlines use, with a manual clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, ring: Callable[..., object], *args: object) -> Handle:
        self.handles.append(handle := Handle(when, lambda: ring(*args)))
        return handle

    def step_to(self, now: float) -> None:
        self.now = now
        while due := [each for each in self.handles if not each.is_off and each.when <= now]:
            due[0].is_off = True
            due[0].ring()


class Scene:
    """Tasks with deadlines; each returns its outcome."""

    def __init__(self) -> None:
        self.loop = HeldLoop()
        self.deadlines = DeadlineTimer()
        self.tasks: list[asyncio.Task[str]] = []

    async def begin(self, seconds: float) -> asyncio.Task[str]:
        begun = asyncio.Event()
        self.tasks.append(task := asyncio.create_task(self._wait(seconds, begun)))
        await begun.wait()
        return task

    def add(self, task: asyncio.Task[Any], seconds: float) -> Deadline:
        return self.deadlines.add(task, cast("asyncio.AbstractEventLoop", self.loop), seconds)

    async def _wait(self, seconds: float, begun: asyncio.Event) -> str:
        task = asyncio.current_task()
        assert task is not None
        deadline = self.add(task, seconds)
        try:
            begun.set()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if deadline.is_cancelled_by_others():
                raise
            assert deadline.has_ended
            return "overdue"
        finally:
            self.deadlines.remove(deadline)
        return "answered"


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    assert all(task.done() for task in scene.tasks)


async def test_deadline_timer_cancels_a_task_at_its_deadline_and_not_before(scene: Scene) -> None:
    task = await scene.begin(0.5)
    scene.loop.step_to(0.49)
    await asyncio.sleep(0)
    assert not task.done()
    scene.loop.step_to(0.5)
    assert await task == "overdue"


async def test_deadline_timer_uses_one_timer_for_all_pending_deadlines(scene: Scene) -> None:
    tasks: list[asyncio.Task[str]] = []
    for second in range(30):
        scene.loop.step_to(float(second))
        tasks.append(await scene.begin(30.0))
    assert len(scene.loop.handles) == 1
    for task in tasks[:-1]:
        task.cancel()
    await asyncio.wait(tasks[:-1])
    scene.loop.step_to(30.0)
    await asyncio.sleep(0)
    assert not tasks[-1].done()
    scene.loop.step_to(59.0)
    assert await tasks[-1] == "overdue"
    assert len(scene.loop.handles) == 2


async def test_deadlines_within_one_second_share_one_timer(scene: Scene) -> None:
    tasks: list[asyncio.Task[str]] = []
    for tenth in range(2, 10):
        scene.loop.step_to(tenth / 10)
        tasks.append(await scene.begin(30.0))
    assert len(scene.loop.handles) == 1
    scene.loop.step_to(31.0)
    assert await asyncio.gather(*tasks) == ["overdue"] * len(tasks)


async def test_shorter_deadline_does_not_wait_for_a_longer_one(scene: Scene) -> None:
    long, short = await scene.begin(30.0), await scene.begin(0.1)
    scene.loop.step_to(0.1)
    assert await short == "overdue"
    assert not long.done()
    scene.loop.step_to(30.0)
    assert await long == "overdue"


async def test_coarse_deadlines_end_on_whole_seconds_and_never_early(scene: Scene) -> None:
    scene.loop.now = 0.3
    task = await scene.begin(10.0)
    scene.loop.step_to(10.99)
    await asyncio.sleep(0)
    assert not task.done()
    scene.loop.step_to(11.0)
    assert await task == "overdue"


async def test_deadline_reports_a_cancellation_by_other_code(scene: Scene) -> None:
    task = await scene.begin(0.5)
    task.cancel()
    scene.loop.step_to(0.5)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_swallowed_cancellation_of_a_deadline_is_taken_back(scene: Scene) -> None:
    async def swallowing() -> int:
        task = asyncio.current_task()
        assert task is not None
        deadline = scene.add(task, 0.5)
        try:
            scene.loop.step_to(0.5)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass
        scene.deadlines.remove(deadline)
        return task.cancelling()

    assert await asyncio.create_task(swallowing()) == 0


@pytest.mark.parametrize(("inner", "outer"), [(0.5, 1.0), (1.0, 0.5), (0.5, 0.5)])
async def test_nested_deadlines_of_one_task_end_the_due_exchange(scene: Scene, inner: float, outer: float) -> None:
    begun = asyncio.Event()

    async def wait(seconds: float, within: Coroutine[Any, Any, str] | None) -> str:
        task = asyncio.current_task()
        assert task is not None
        deadline = scene.add(task, seconds)
        try:
            if within is not None:
                said = await within
                return f"{said}, then answered"
            begun.set()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if deadline.is_cancelled_by_others():
                raise
            return f"{seconds} is over"
        finally:
            scene.deadlines.remove(deadline)
        raise AssertionError

    async def both() -> tuple[str, int]:
        task = asyncio.current_task()
        assert task is not None
        return await wait(outer, wait(inner, None)), task.cancelling()

    task = asyncio.create_task(both())
    await begun.wait()
    scene.loop.step_to(min(inner, outer))
    said = f"{inner} is over, then answered" if inner < outer else f"{outer} is over"
    assert await task == (said, 0)


async def test_end_all_spares_the_calling_task(scene: Scene) -> None:
    one, other = await scene.begin(30.0), await scene.begin(30.0)
    scene.deadlines.end_all(except_for=one)
    assert await other == "overdue"
    assert not one.done()
    scene.deadlines.end_all(except_for=None)
    scene.deadlines.end_all(except_for=None)
    assert await one == "overdue"
