"""An HTTP server that is faster than any client, in a process of its own.

It reads a request only to find its end, and answers every GET of ``/balances`` with one balance, of ``/orders`` with a
page of 500 orders, and of ``/positions`` with 48 positions. For the peers it serves a page of 500 of their own vendor's
orders. All responses are prepared before the first request. One response in twenty has other positions, so that of the
responses to one user one in ten differs from the one before.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import TYPE_CHECKING

import vendors

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 500
POSITIONS = 48  # 50 without a cursor would count as a page that may be cut off
BALANCE = {
    "account_id": "0b9f5f8e-5a6b-4b1e-9d1c-2f6f0a7c1d11",
    "account_number": "***1234",
    "cash": "10234.56",
    "buying_power": "20469.12",
    "equity": "31220.07",
    "currency": "USD",
}


def an_order(number: int) -> dict[str, object]:
    """Return an order with two fills, encoded as on the wire."""
    fill = {"time": "2026-03-02T14:30:05.123456Z", "quantity": "50", "price": "410.123456789"}
    return {
        "order_id": f"order-{number:08}-5a6b-4b1e-9d1c-2f6f0a7c1d11",
        "cl_order_id": f"0195b2c8-{number:04}-7b1e-9d1c-2f6f0a7c1d11",
        "account_id": "0b9f5f8e-5a6b-4b1e-9d1c-2f6f0a7c1d11",
        "connection_id": "6d7a3c52-4f0e-4a7b-8c1d-9b2e5f60a713",
        "broker": "ALPACA",
        "symbol": "MSFT",
        "instrument": "STK",
        "side": "BUY",
        "order_type": "LMT",
        "order_tif": "DAY",
        "order_qty": "100",
        "order_notional": None,
        "order_limit_price": "410.50",
        "stop_price": None,
        "status": "filled",
        "broker_status": "FILLED_COMPLETELY",
        "filled_qty": "100",
        "avg_fill_price": "410.123456789",
        "created_at": "2026-03-02T14:30:00.000001Z",
        "updated_at": "2026-03-02T14:30:05.123456Z",
        "reject_reason": None,
        "replaces": None,
        "replaced_by": None,
        "legs": None,
        "fills": [{"fill_id": f"fill-{number}-1", **fill}, {"fill_id": f"fill-{number}-2", **fill}],
    }


def a_position(number: int, last_price: str) -> dict[str, object]:
    """Return a position, encoded as on the wire."""
    return {
        "account_id": "0b9f5f8e-5a6b-4b1e-9d1c-2f6f0a7c1d11",
        "account_number": "***1234",
        "symbol": f"SYM{number}",
        "instrument": "STK",
        "quantity": "100",
        "average_price": "410.123456789",
        "last_price": last_price,
        "market_value": "41125.00",
        "unrealized_pl": "112.65",
        "daily_pl": "14.80",
        "total_pl": "112.65",
    }


def answer(body: object) -> bytes:
    """Return a complete HTTP response."""
    raw = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw


def page_of(order: Callable[[int], dict[str, object]]) -> list[dict[str, object]]:
    """Return a page of orders."""
    return [order(number) for number in range(PAGE)]


ANSWERS = {
    b"/balances": answer([BALANCE]),
    b"/orders": answer({"orders": page_of(an_order), "next_cursor": None, "prev_cursor": None}),
    b"/v2/orders": answer(page_of(vendors.alpaca_order)),
    f"/accounts/{vendors.ACCOUNT}/orders".encode(): answer(page_of(vendors.snaptrade_order)),
    f"/accounts/{vendors.TASTYTRADE_ACCOUNT}/orders".encode(): answer(
        {"data": {"items": page_of(vendors.tastytrade_order)}, "context": "/accounts/orders"},
    ),
    b"/positions": answer([a_position(number, "411.25") for number in range(POSITIONS)]),
}
MOVED = answer([a_position(number, "411.26") for number in range(POSITIONS)])
DICE = random.Random(7)  # noqa: S311 - a benchmark needs no secrecy


def chosen(path: bytes) -> bytes:
    """Return the response for a path; prices move now and then."""
    return MOVED if path == b"/positions" and DICE.random() < 1 / 20 else ANSWERS[path]


class Connection(asyncio.Protocol):
    """One HTTP connection. A GET has no body, so a request ends with its first empty line."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for responses."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].partition(b"?")[0]
            if isinstance(self._transport, asyncio.WriteTransport):
                self._transport.write(chosen(path))


async def serve() -> None:
    """Print the address, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
