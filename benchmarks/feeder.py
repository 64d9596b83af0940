"""Across the wire: a WebSocket end that feeds one client as fast as it reads, in a process of its own.

It speaks the brokerage stream's login with a sans-I/O protocol, and then writes frames that were made before: as many
and as fast as the first line on its standard input says.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

CHUNK = 64 * 1024


def an_update(number: int) -> bytes:
    """Return one order update of some 500 bytes, as the wire spells it."""
    data = {
        "order_id": f"order-{number:08}-5a6b-4b1e-9d1c-2f6f0a7c1d11",
        "cl_order_id": "0195b2c8-1d2e-7b1e-9d1c-2f6f0a7c1d11",
        "broker": "ALPACA",
        "symbol": "MSFT",
        "side": "BUY",
        "order_type": "LMT",
        "order_tif": "DAY",
        "order_qty": "100",
        "order_limit_price": "410.50",
        "status": "partially_filled",
        "filled_qty": "50",
        "avg_fill_price": "410.123456789",
        "updated_at": "2026-03-02T14:30:05.123456Z",
    }
    frame = {
        "type": "order",
        "user_id": f"user-{number % 100}",
        "account_id": f"account-{number % 100}",
        "timestamp": "2026-03-02T14:30:05.123456Z",
        "data": data,
    }
    return json.dumps(frame).encode()


def framed(payload: bytes) -> bytes:
    """Return a text frame as a server sends it."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def greet(link: socket.socket) -> None:
    """Shake hands, and take the login."""
    protocol = ServerProtocol()
    answers = [b'{"type": "authenticated"}', b'{"type": "subscribed", "topics": ["orders", "positions", "balances"]}']
    while answers:
        protocol.receive_data(link.recv(CHUNK))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
                protocol.send_text(b'{"type": "welcome"}')
            else:
                protocol.send_text(answers.pop(0))
        for data in protocol.data_to_send():
            link.sendall(data)


def feed(link: socket.socket, count: int, rate: int) -> None:
    """Write so many updates: at full speed where the rate is 0, else so many a second, each with its sending time."""
    if not rate:
        block = b"".join(framed(an_update(number)) for number in range(100))
        for _ in range(count // 100):
            link.sendall(block)
        return
    begin = time.monotonic()
    for number in range(count):
        due = begin + number / rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        update = an_update(number).replace(b"0195b2c8", str(time.monotonic_ns()).encode(), 1)
        link.sendall(framed(update))


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        for line in sys.stdin:
            count, rate = map(int, line.split())
            link, _ = listener.accept()
            with link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                greet(link)
                feed(link, count, rate)
                link.recv(CHUNK)


if __name__ == "__main__":
    main()
