"""The clock: the only module that reads the time and schedules timers.

Everything that waits takes a ``Clock``, so that a test can stop time and advance it.
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
    """A scheduled callback that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the callback. Does nothing when it has already run."""


class Clock(Protocol):
    """The source of time and timers that the library uses."""

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
        ...

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Schedule ``callback`` in ``delay`` seconds, in the running event loop."""
        ...


class SystemClock:
    """The operating system's clock and the timers of the running event loop."""

    __slots__ = ()

    now = staticmethod(time.monotonic)

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Schedule ``callback`` in ``delay`` seconds, in the running event loop."""
        return asyncio.get_running_loop().call_later(delay, callback)
