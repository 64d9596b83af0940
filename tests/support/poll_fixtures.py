"""Fixtures for the stories of the poller: a client, users, a consumer of all results, and manual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from connecttrade_async import ConnectTrade, Endpoints, PollResult, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import Poller, User
    from connecttrade_async.polling.results import PollEvent
    from manual_clock import SteppedClock
    from scripted_server import ScriptedEnd

ENOUGH = 50


def client(end: ScriptedEnd | None = None, clock: SteppedClock | None = None, **settings: Any) -> ConnectTrade:
    """Make a client of a scripted server."""
    endpoints = Endpoints("http://127.0.0.1:9" if end is None else end.url)
    settings = {"timeouts": Timeouts(close=1.0)} | settings
    return ConnectTrade("client", "hush", endpoints=endpoints, clock=clock, **settings)


def make_users(ct: ConnectTrade, count: int) -> list[User]:
    """Return handles of users ``u0`` to ``u<count - 1>``."""
    return [ct.user(f"u{number}", f"whisper{number}") for number in range(count)]


async def settle() -> None:
    """Run all tasks until each waits for time or I/O."""
    for _ in range(ENOUGH):
        await asyncio.sleep(0)


class Watcher:
    """Consumes all results and events of a poller."""

    def __init__(self, poller: Poller[Any]) -> None:
        self.results: list[PollResult[Any]] = []
        self.events: list[PollEvent] = []
        self._poller = poller
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async for item in self._poller.with_events():
            if isinstance(item, PollResult):
                self.results.append(item)
            else:
                self.events.append(item)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait in real time until a condition holds."""
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 - the condition may depend on anything
                await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        """Wait until no poll is in flight, and all results are consumed."""
        for _ in range(10):
            await asyncio.sleep(0)  # tasks with a turn must be woken first
        await self.until(lambda: not (self._poller.statistics().running or self._poller.statistics().waiting))

    async def aclose(self) -> None:
        """Wait until the results end."""
        await self._task

    def of(self, user: str) -> list[PollResult[Any]]:
        """Return the results of one user."""
        return [result for result in self.results if result.user.user_id == user]


async def steps(clock: SteppedClock, seconds: float, step: float = 0.1) -> None:
    """Advance the clock in steps, and run all tasks after each."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await settle()
