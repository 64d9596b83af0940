"""What one side spent, in its own process: time on the CPU, time on the clock, and memory at its peak.

Every side imports this, also those in a peer's environment, so it needs nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IN_FLIGHT = 100
STATUS = Path("/proc/self/status")


def memory(field: str) -> int | None:
    """Return a line of what Linux says of this process, in bytes: ``VmHWM`` is the peak, ``VmRSS`` is now."""
    if not STATUS.exists():
        return None
    lines = (line.split() for line in STATUS.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == f"{field}:"), None)


def peak() -> int | None:
    """Return the most memory that this process ever held, in bytes, or None where the platform does not say.

    ``getrusage`` alone would not do: on Linux it also counts the parent's memory, from before the program was loaded.
    """
    if (held := memory("VmHWM")) is not None:
        return held
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def tell(**facts: float | None) -> None:
    """Print what was measured, for the process that started this one."""
    print(json.dumps(facts), flush=True)


class Stopwatch:
    """CPU and clock since it was made, both in seconds."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def tell(self, count: int) -> None:
        """Print what each of so many things cost."""
        cpu = time.process_time() - self._cpu
        wall = time.perf_counter() - self._wall
        tell(cpu=cpu / count, wall=wall / count, peak=peak())


async def in_flight(ask: Callable[[], Awaitable[object]], requests: int) -> None:
    """Ask so often, with so many in flight."""
    left = requests

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    await asyncio.gather(*(worker() for _ in range(min(IN_FLIGHT, requests))))


async def asked(ask: Callable[[], Awaitable[object]], requests: int) -> None:
    """Ask until every connection is open, then so often, and print what each request cost."""
    assert await ask(), "the answer was empty"  # noqa: S101 - who reads nothing is fast
    await in_flight(ask, IN_FLIGHT)
    gc.collect()
    watch = Stopwatch()
    await in_flight(ask, requests)
    watch.tell(requests)


def asked_by_threads(ask: Callable[[], object], requests: int) -> None:
    """Do as ``asked`` does, from as many threads as it has requests in flight."""

    def ask_so_often(pool: ThreadPoolExecutor, count: int) -> None:
        for answer in [pool.submit(ask) for _ in range(count)]:
            answer.result()

    assert ask(), "the answer was empty"  # noqa: S101 - who reads nothing is fast
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        ask_so_often(pool, IN_FLIGHT)
        gc.collect()
        watch = Stopwatch()
        ask_so_often(pool, requests)
        watch.tell(requests)


class Tally:
    """Counts events, and prints what each cost from the first one to the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._count = count
        self._watch: Stopwatch | None = None

    def add(self) -> bool:
        """Count one; say whether it was the last."""
        if self._watch is None:
            self._watch = Stopwatch()
        self._left -= 1
        if self._left:
            return False
        self._watch.tell(self._count)
        return True


def arguments() -> tuple[str, str, int]:
    """Return what every side is told: the address, the case, and how many."""
    url, case, count = sys.argv[1:]
    return url, case, int(count)
