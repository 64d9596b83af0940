"""A WebSocket server that sends frames to one client as fast as it reads, in a process of its own.

It accepts the login of the brokerage stream with a sans-I/O protocol, and then writes prepared frames. A line on its
standard input gives their number and rate, and ``other`` for frames of another form: lists of ten, in camelCase, with
the kind under ``event``.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from typing import Any, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

CHUNK = 64 * 1024
BATCH = 10  # updates in one frame of another form


def an_update(number: int) -> bytes:
    """Return one order update of about 500 bytes, encoded as on the wire."""
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


def camel(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return a value with its names in camelCase."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    return {re.sub("_(.)", lambda found: found[1].upper(), name): camel(each) for name, each in members.items()}


def updates(first: int) -> bytes:
    """Return ten updates in one frame of another form."""
    frames = [json.loads(an_update(number)) for number in range(first, first + BATCH)]
    return json.dumps([camel({"event": frame.pop("type"), **frame}) for frame in frames]).encode()


def framed(payload: bytes) -> bytes:
    """Return a text frame as a server sends it."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def greet(connection: socket.socket) -> None:
    """Accept the WebSocket handshake and the login."""
    protocol = ServerProtocol()
    replies = [b'{"type": "authenticated"}', b'{"type": "subscribed", "topics": ["orders", "positions", "balances"]}']
    while replies:
        protocol.receive_data(connection.recv(CHUNK))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
                protocol.send_text(b'{"type": "welcome"}')
            else:
                protocol.send_text(replies.pop(0))
        for data in protocol.data_to_send():
            connection.sendall(data)


def feed(connection: socket.socket, count: int, rate: int, *, is_other: bool = False) -> None:
    """Write ``count`` updates: at full speed if ``rate`` is 0, else ``rate`` a second, each with its sending time."""
    if is_other:
        block = b"".join(framed(updates(number)) for number in range(0, 100, BATCH))
        for _ in range(count // 100):
            connection.sendall(block)
        return
    if not rate:
        block = b"".join(framed(an_update(number)) for number in range(100))
        for _ in range(count // 100):
            connection.sendall(block)
        return
    begin = time.monotonic()
    for number in range(count):
        due = begin + number / rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        update = an_update(number).replace(b"0195b2c8", str(time.monotonic_ns()).encode(), 1)
        connection.sendall(framed(update))


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        for line in sys.stdin:
            count, rate, *form = line.split()
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                greet(connection)
                feed(connection, int(count), int(rate), is_other=bool(form))
                connection.recv(CHUNK)


if __name__ == "__main__":
    main()
