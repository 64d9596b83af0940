"""Market data of 500 symbols for one client, as fast as it reads, in a process of its own.

A line on its standard input gives the number of quotes for the next client, and the number a second; 0 is full speed.
It starts after the request for the list of subscriptions. The last quote is marked in its ``bid_size``.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from vendor_feeder import close

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 64 * 1024
STAMP = "2026-03-02T14:30:05.123456Z"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SYMBOLS = tuple(f"{one}{two}" for one in LETTERS for two in LETTERS)[:500]
LAST = "last"


def a_quote(number: int, stamp: str = STAMP, size: str = "100") -> bytes:
    """Return a quote as a frame."""
    price = 100 + number % 100 / 100
    quote = {
        "type": "quote",
        "symbol": SYMBOLS[number % len(SYMBOLS)],
        "bid_price": f"{price:.2f}",
        "bid_size": size,
        "ask_price": f"{price + 0.02:.2f}",
        "ask_size": "300",
        "last_price": f"{price + 0.01:.2f}",
        "timestamp": stamp,
    }
    return Frame(Opcode.TEXT, json.dumps(quote, separators=(",", ":")).encode()).serialize(mask=False)


def answers(protocol: ServerProtocol) -> Iterator[object]:
    """Yield the replies to the received frames."""
    for event in protocol.events_received():
        if isinstance(event, Request):
            protocol.send_response(protocol.accept(event))
            yield {"type": "welcome"}
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            request = json.loads(bytes(event.data))
            name = {"subscribe": "subscribed", "list_subscriptions": "subscriptions"}.get(request["action"])
            held = [{"channel": "quotes", "symbols": SYMBOLS}]
            known = {"id": request.get("id"), "channel": "quotes", "symbols": SYMBOLS, "subscriptions": held}
            yield {"type": "authenticated"} if name is None else {"type": name, **known}


def greet(connection: socket.socket) -> ServerProtocol:
    """Accept the WebSocket handshake, and answer everything up to the list of subscriptions."""
    protocol = ServerProtocol()
    last = ""
    while last != "subscriptions":
        protocol.receive_data(connection.recv(CHUNK))
        for answer in answers(protocol):
            protocol.send_text(json.dumps(answer).encode())
            last = json.loads(json.dumps(answer))["type"]
        for data in protocol.data_to_send():
            connection.sendall(data)
    return protocol


def feed(connection: socket.socket, count: int, rate: int) -> None:
    """Write ``count`` quotes."""
    if not rate:
        block = b"".join(map(a_quote, range(len(SYMBOLS))))
        for _ in range((count - 1) // len(SYMBOLS)):
            connection.sendall(block)
        connection.sendall(b"".join(map(a_quote, range((count - 1) % len(SYMBOLS)))))
    else:
        stamp = str(time.monotonic_ns())
        parts = [a_quote(number, stamp).split(stamp.encode()) for number in range(len(SYMBOLS))]
        begin = time.monotonic()
        for number in range(count - 1):
            if (wait := begin + number / rate - time.monotonic()) > 0:
                time.sleep(wait)
            connection.sendall(str(time.monotonic_ns()).encode().join(parts[number % len(parts)]))
    connection.sendall(a_quote(count - 1, str(time.monotonic_ns()), LAST))


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        for line in sys.stdin:
            count, rate = map(int, line.split())
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                protocol = greet(connection)
                feed(connection, count, rate)
                close(connection, protocol)


if __name__ == "__main__":
    main()
