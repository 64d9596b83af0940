"""A door: the only place where time is read and waited for.

Everything that waits takes a ``Clock``, so that a test can hold time and step it.
"""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Timer(Protocol):
    """A call that was asked for and can still be called off."""

    def cancel(self) -> None:
        """Call it off; harmless when it has happened."""


class Clock(Protocol):
    """What the library needs of time."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back in ``delay`` seconds, in the running event loop."""
        ...


class SystemClock:
    """The machine's own clock and the running event loop."""

    __slots__ = ()

    now = staticmethod(time.monotonic)

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back in ``delay`` seconds, in the running event loop."""
        return asyncio.get_running_loop().call_later(delay, callback)
