"""What the stories of the poller stand on: a client, its people, somebody who takes what is told, and held time."""

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
    """Make a client of a scripted end."""
    endpoints = Endpoints("http://127.0.0.1:9" if end is None else end.url)
    settings = {"timeouts": Timeouts(close=1.0)} | settings
    return ConnectTrade("client", "hush", endpoints=endpoints, clock=clock, **settings)


def people(ct: ConnectTrade, count: int) -> list[User]:
    """Make so many handles."""
    return [ct.user(f"u{number}", f"whisper{number}") for number in range(count)]


async def settle() -> None:
    """Let everybody do what they can do without time passing."""
    for _ in range(ENOUGH):
        await asyncio.sleep(0)


class Watcher:
    """Takes everything that a poller tells."""

    def __init__(self, poller: Poller[Any]) -> None:
        self.results: list[PollResult[Any]] = []
        self.events: list[PollEvent] = []
        self._poller = poller
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        async for told in self._poller.with_events():
            if isinstance(told, PollResult):
                self.results.append(told)
            else:
                self.events.append(told)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something, in real time."""
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 - it may depend on anything
                await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        """Wait until no poll is under way, and all that was told has been taken."""
        for _ in range(10):
            await asyncio.sleep(0)  # whoever is due has first to be woken
        await self.until(lambda: not (self._poller.statistics().running or self._poller.statistics().waiting))

    async def aclose(self) -> None:
        """Wait for the end of what is told."""
        await self._task

    def of(self, user: str) -> list[PollResult[Any]]:
        """The results of one user."""
        return [result for result in self.results if result.user.user_id == user]


async def steps(clock: SteppedClock, seconds: float, step: float = 0.1) -> None:
    """Let time pass in steps, and everybody do what is to be done in each."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await settle()
