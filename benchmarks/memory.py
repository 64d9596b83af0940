"""The cost of holding many orders: bytes for each, and the time of a full garbage collection.

Both sides of ``memory_orders.py`` import this module, also in a peer's environment, so it uses only the standard
library.
"""

from __future__ import annotations

import gc
import json
import time
from typing import TYPE_CHECKING

from load_server import PAGE, an_order
from measurement import memory, peak, print_result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLLECTIONS = 7


def measure_held(read: Callable[[bytes], Sequence[object]], count: int) -> None:
    """Read pages until ``count`` orders are held; print the memory of each, and the time of a full collection."""
    body = json.dumps({"orders": [an_order(number) for number in range(PAGE)]})
    first = read(body.encode())
    gc.collect()
    before = memory("VmRSS") or peak() or 0
    pages = count // PAGE
    # Ids differ from page to page, as real ones do.
    kept = [read(body.replace('"order-', f'"order-{page:03}').encode()) for page in range(pages)]
    gc.collect()
    after = memory("VmRSS") or peak() or 0
    collections = sorted(_collection() for _ in range(COLLECTIONS))
    assert len(kept) * len(first) == pages * PAGE  # noqa: S101 - keeps the objects alive until here
    print_result(bytes=(after - before) / (pages * PAGE), collection=collections[COLLECTIONS // 2])


def _collection() -> float:
    started = time.perf_counter()
    gc.collect()
    return time.perf_counter() - started
