"""A watchdog thread that reports a blocked event loop and the call that blocks it.

A blocked loop answers no ping and reads no frame, which is the most frequent reason why a healthy connection is lost.
Code inside the loop cannot observe this. A thread can, and the stack of the blocked thread names the call.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from itertools import islice
from typing import Self

from connecttrade_async.clock import SystemClock

__all__ = ["Watchdog"]

CHECKS = 4  # for each limit
NOW = SystemClock.now  # the real clock: a clock that a test has stopped does not mean a blocked loop
FRAMES = 12  # of the stack, in the log
log = logging.getLogger("connecttrade_async.streaming")


class Watchdog:
    """A context manager that logs a warning each time the running event loop is blocked for longer than a limit.

    Enter it in the thread of the loop that it watches.

    Args:
        limit: seconds.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="connecttrade watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._is_over.set()
        self._thread.join()

    def _beat(self) -> None:
        self._beaten_at = NOW()
        self._timer = self._loop.call_later(self._limit / CHECKS, self._beat)

    def _watch(self) -> None:
        warned_of = 0.0
        while not self._is_over.wait(self._limit / CHECKS):
            beaten_at = self._beaten_at
            if warned_of != beaten_at and NOW() - beaten_at > self._limit:
                warned_of = beaten_at
                log.warning("the event loop is blocked for more than %g s by %s", self._limit, self._stack())

    def _stack(self) -> str:
        # File, line and function only: a line of source may hold a secret.
        innermost = sys._current_frames().get(self._watched)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - documented for this use
        frames = islice(traceback.walk_stack(innermost), FRAMES)
        locations = (f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in frames)
        return ", called from ".join(locations)
