"""One side of ``memory_orders.py``: our orders.

python benchmarks/orders_subject.py - orders 100000
"""

from __future__ import annotations

import msgspec

from connecttrade_async import Order  # noqa: TC001 - msgspec reads the annotations
from measurement import arguments
from memory import measure_held


class Page(msgspec.Struct, gc=False):
    """A page of orders, as the client reads it."""

    orders: tuple[Order, ...]


def main() -> None:
    """Run the side."""
    _, _, count = arguments()
    decode = msgspec.json.Decoder(Page).decode
    measure_held(lambda body: decode(body).orders, count)


if __name__ == "__main__":
    main()
