"""One side of ``peers_rest.py``: alpaca-py's TradingClient, which blocks, in threads."""

from __future__ import annotations

import threading

from alpaca.trading.client import TradingClient
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest

from measurement import arguments, measure_in_threads


def main() -> None:
    """Read pages with one client for each thread, because its session is not thread-safe."""
    url, _, requests = arguments()
    everything = GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500)
    own = threading.local()

    def page() -> object:
        if not hasattr(own, "client"):
            own.client = TradingClient("key", "secret", url_override=url)
        return own.client.get_orders(everything)

    measure_in_threads(page, requests)


if __name__ == "__main__":
    main()
