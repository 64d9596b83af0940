"""A loop: see from outside whether the event loop still turns, and name what keeps it.

A blocked loop answers no ping and reads no frame: it is what most often kills a healthy link, and nothing inside the
loop can see it. So a thread looks, and finds in the blocked thread's stack who does not return.
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

CHECKS = 4
NOW = SystemClock.now  # on purpose: a clock that a test holds does not block a loop
FRAMES = 12
log = logging.getLogger("connecttrade_async.streaming")


class Watchdog:
    """Warns, once each time, when the running event loop was blocked for longer than a limit.

    Use it as ``with``, in the loop that is to be watched.

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
        # Places only: a line of source may hold what must not be logged.
        innermost = sys._current_frames().get(self._watched)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - documented for this use
        frames = islice(traceback.walk_stack(innermost), FRAMES)
        places = (f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in frames)
        return ", called from ".join(places)
