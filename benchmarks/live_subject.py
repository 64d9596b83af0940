"""One side of ``memory_live.py``: users with live accounts.

python benchmarks/live_subject.py REST STREAM 10000
"""

from __future__ import annotations

import asyncio
import gc
import time

from connecttrade_async import ConnectTrade, Endpoints
from holdings import OPEN_ORDERS, POSITIONS, user_id
from measurement import arguments, memory, peak, print_result

COLLECTIONS = 7
WARM = 100


async def hold(rest: str, stream: str, count: int) -> None:
    """Follow ``count`` users; print the memory of each, and the time of a full garbage collection."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(rest, stream=stream)) as ct:
        warm = [ct.user(user_id(number), "secret") for number in range(WARM)]
        async with ct.live(warm, sweep_every=None) as live:
            # Exclude the memory of the first connections and pages.
            gc.collect()
            before = memory("VmRSS") or peak() or 0
            users = [ct.user(user_id(number), "secret") for number in range(WARM, WARM + count)]
            await asyncio.gather(*map(live.add, users))
            await asyncio.sleep(0)  # the loop keeps the finished tasks of this benchmark until its next step
            gc.collect()
            after = memory("VmRSS") or peak() or 0
            collections = sorted(_collection() for _ in range(COLLECTIONS))
            books = live.books()
            assert live.is_current  # noqa: S101 - keeps the objects alive until here
            assert sum(len(book.positions) for book in books) == (WARM + count) * POSITIONS  # noqa: S101
            assert sum(len(book.open_orders) for book in books) == (WARM + count) * OPEN_ORDERS  # noqa: S101
            print_result(bytes=(after - before) / count, collection=collections[COLLECTIONS // 2])


def _collection() -> float:
    started = time.perf_counter()
    gc.collect()
    return time.perf_counter() - started


def main() -> None:
    """Run the side."""
    asyncio.run(hold(*arguments()))


if __name__ == "__main__":
    main()
