"""What it costs to hold many orders: bytes for each, and the time of a full garbage collection.

Both sides of ``held.py`` import this, also the one in a peer's environment, so it needs nothing but the standard
library.
"""

from __future__ import annotations

import gc
import json
import time
from typing import TYPE_CHECKING

from load_server import PAGE, an_order
from measurement import memory, peak, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLLECTIONS = 7


def held(read: Callable[[bytes], Sequence[object]], count: int) -> None:
    """Read pages until so many orders are held, and print what each takes and how long a full collection lasts."""
    body = json.dumps({"orders": [an_order(number) for number in range(PAGE)]})
    first = read(body.encode())
    gc.collect()
    before = memory("VmRSS") or peak() or 0
    pages = count // PAGE
    # Ids differ from page to page, as they do in life.
    kept = [read(body.replace('"order-', f'"order-{page:03}').encode()) for page in range(pages)]
    gc.collect()
    after = memory("VmRSS") or peak() or 0
    collections = sorted(_collection() for _ in range(COLLECTIONS))
    assert len(kept) * len(first) == pages * PAGE  # noqa: S101 - and held until here
    tell(bytes=(after - before) / (pages * PAGE), collection=collections[COLLECTIONS // 2])


def _collection() -> float:
    began = time.perf_counter()
    gc.collect()
    return time.perf_counter() - began
