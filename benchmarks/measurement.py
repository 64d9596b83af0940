"""The costs of one side, in its own process: CPU time, wall time, and peak memory.

Every side imports this module, also in a peer's environment, so it uses only the standard library.
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
    """Return a field of Linux's status of this process, in bytes: ``VmHWM`` is the peak, ``VmRSS`` the present size."""
    if not STATUS.exists():
        return None
    lines = (line.split() for line in STATUS.read_text().splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == f"{field}:"), None)


def peak() -> int | None:
    """Return the peak memory of this process in bytes, or None if the platform does not report it.

    ``getrusage`` alone is not enough: on Linux it includes the parent's memory, from before the program was loaded.
    """
    if (held := memory("VmHWM")) is not None:
        return held
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def print_result(**facts: float | None) -> None:
    """Print a result as JSON, for the process that started this one."""
    print(json.dumps(facts), flush=True)


class Stopwatch:
    """CPU time and wall time since it was made, in seconds."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def print_each(self, count: int) -> None:
        """Print the cost of each of ``count`` things."""
        cpu = time.process_time() - self._cpu
        wall = time.perf_counter() - self._wall
        print_result(cpu=cpu / count, wall=wall / count, peak=peak())


async def send_in_flight(send: Callable[[], Awaitable[object]], requests: int) -> None:
    """Send ``requests`` requests, ``IN_FLIGHT`` of them at once."""
    left = requests

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await send()

    await asyncio.gather(*(worker() for _ in range(min(IN_FLIGHT, requests))))


async def measure_requests(send: Callable[[], Awaitable[object]], requests: int) -> None:
    """Send requests until every connection is open, then ``requests`` more, and print the cost of each."""
    assert await send(), "the response was empty"  # noqa: S101 - reading nothing is fast
    await send_in_flight(send, IN_FLIGHT)
    gc.collect()
    watch = Stopwatch()
    await send_in_flight(send, requests)
    watch.print_each(requests)


def measure_in_threads(send: Callable[[], object], requests: int) -> None:
    """Do the same as ``measure_requests`` with ``IN_FLIGHT`` threads."""

    def send_all(pool: ThreadPoolExecutor, count: int) -> None:
        for answer in [pool.submit(send) for _ in range(count)]:
            answer.result()

    assert send(), "the response was empty"  # noqa: S101 - reading nothing is fast
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        send_all(pool, IN_FLIGHT)
        gc.collect()
        watch = Stopwatch()
        send_all(pool, requests)
        watch.print_each(requests)


class EventCounter:
    """Counts events, and prints the cost of each from the first to the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._count = count
        self._watch: Stopwatch | None = None

    def add(self) -> bool:
        """Count one event; return whether it was the last."""
        if self._watch is None:
            self._watch = Stopwatch()
        self._left -= 1
        if self._left:
            return False
        self._watch.print_each(self._count)
        return True


def arguments() -> tuple[str, str, int]:
    """Return the arguments of every side: the address, the case, and the count."""
    url, case, count = sys.argv[1:]
    return url, case, int(count)
