"""The ticker: publishes events after a change, and when an event is due by the clock.

The world itself does not move: each request brings it up to date. While a session is live, the ticker does.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from connecttrade_async.sandbox.clock import Clock

__all__ = ["Ticker"]


class Ticker:
    """Calls `publish` in the loop in which it was started, until it is stopped.

    Args:
        clock: by which things happen.
        publish: brings the world up to date and publishes its events.
        due: when something is due next, None if nothing is.
    """

    def __init__(self, clock: Clock, publish: Callable[[], object], due: Callable[[], datetime | None]) -> None:
        self._clock = clock
        self._publish = publish
        self._next = due
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: asyncio.Handle | None = None
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Stop calling."""
        self._loop = None
        self.rest()

    def ring(self) -> None:
        """Note a change: publish it in the loop's next turn."""
        if self._loop is not None and self._soon is None:
            self._soon = self._loop.call_soon(self._publish)

    def rest(self) -> None:
        """Cancel the timers: nothing is left to publish."""
        for handle in (self._soon, self._due):
            if handle is not None:
                handle.cancel()
        self._soon = self._due = None

    def plan(self) -> None:
        """Wait for the next due event; all others are published. A clock that is held says so itself when it moves."""
        self.rest()
        due = self._next()
        if self._loop is not None and due is not None and not self._clock.is_held:
            seconds = (due - self._clock.now()).total_seconds()
            self._due = self._loop.call_later(max(0.0, seconds), self._publish)
