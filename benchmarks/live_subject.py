"""One side of ``live_held.py``: users whose accounts are kept live.

python benchmarks/hold_accounts.py REST STREAM 10000
"""

from __future__ import annotations

import asyncio
import gc
import time

from connecttrade_async import ConnectTrade, Endpoints
from holdings import OPEN_ORDERS, POSITIONS, user_id
from measurement import arguments, memory, peak, tell

COLLECTIONS = 7
WARM = 100


async def hold(rest: str, stream: str, count: int) -> None:
    """Follow so many, and print what each takes and how long a full collection lasts."""
    async with ConnectTrade("client", "secret", endpoints=Endpoints(rest, stream=stream)) as ct:
        warm = [ct.user(user_id(number), "secret") for number in range(WARM)]
        async with ct.live(warm, sweep_every=None) as live:
            # What the first connections and pages take is not the users'.
            gc.collect()
            before = memory("VmRSS") or peak() or 0
            users = [ct.user(user_id(number), "secret") for number in range(WARM, WARM + count)]
            await asyncio.gather(*map(live.add, users))
            await asyncio.sleep(0)  # until then the loop keeps the tasks of this benchmark
            gc.collect()
            after = memory("VmRSS") or peak() or 0
            collections = sorted(_collection() for _ in range(COLLECTIONS))
            books = live.books()
            assert live.is_current  # noqa: S101 - and held until here
            assert sum(len(book.positions) for book in books) == (WARM + count) * POSITIONS  # noqa: S101
            assert sum(len(book.open_orders) for book in books) == (WARM + count) * OPEN_ORDERS  # noqa: S101
            tell(bytes=(after - before) / count, collection=collections[COLLECTIONS // 2])


def _collection() -> float:
    began = time.perf_counter()
    gc.collect()
    return time.perf_counter() - began


def main() -> None:
    """Hold so many."""
    asyncio.run(hold(*arguments()))


if __name__ == "__main__":
    main()
