"""The sandbox's ticker: has the news told when something happened, and when by the clock something is due.

The world itself does not move: it is brought up to date by whoever asks. While somebody listens, the ticker asks.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from connecttrade_async.sandbox.clock import Clock

__all__ = ["Ticker"]


class Ticker:
    """Calls `tell`, in the loop that it was started in, until it is stopped.

    Args:
        clock: by which things happen.
        tell: brings the world up to date and tells the news.
        due: when something is due next, None if nothing is.
    """

    def __init__(self, clock: Clock, tell: Callable[[], object], due: Callable[[], datetime | None]) -> None:
        self._clock = clock
        self._tell = tell
        self._next = due
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: asyncio.Handle | None = None
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Call nobody any more."""
        self._loop = None
        self.rest()

    def ring(self) -> None:
        """Something has happened: let it be told in the loop's next turn."""
        if self._loop is not None and self._soon is None:
            self._soon = self._loop.call_soon(self._tell)

    def rest(self) -> None:
        """All is told, and nobody waits for more."""
        for handle in (self._soon, self._due):
            if handle is not None:
                handle.cancel()
        self._soon = self._due = None

    def plan(self) -> None:
        """All is told: wait for what is due next. A clock that is held says so itself when it moves."""
        self.rest()
        due = self._next()
        if self._loop is not None and due is not None and not self._clock.is_held:
            seconds = (due - self._clock.now()).total_seconds()
            self._due = self._loop.call_later(max(0.0, seconds), self._tell)
