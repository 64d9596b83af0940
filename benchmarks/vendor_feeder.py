"""A WebSocket server that imitates a vendor, and feeds one client as fast as it reads, in a process of its own.

A line on its standard input gives the vendor and the number of messages for the next client. Ours is one of the
vendors, with whole orders, so that its messages are as long as the others'.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

import vendors
from load_server import an_order

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 * 1024
DISTINCT = 500


def an_update(number: int) -> dict[str, object]:
    """Return an order update of the brokerage stream, with the whole order."""
    account = f"account-{number % 100}"
    data = {**an_order(number), "account_id": account}
    stamp = "2026-03-02T14:30:05.123456Z"
    return {"type": "order", "user_id": f"user-{number % 100}", "account_id": account, "timestamp": stamp, "data": data}


class Vendor(NamedTuple):
    """The protocol of a vendor.

    Attributes:
        greeting: The first message, or None.
        answers: The replies to the messages of the login.
        message: Return the nth update.
        is_text: Whether frames are text.
        encode: Encode a value.
    """

    greeting: object | None
    answers: tuple[object, ...]
    message: Callable[[int], object]
    is_text: bool = True
    encode: Callable[[object], bytes] = lambda value: json.dumps(value).encode()


VENDORS = {
    "ours": Vendor(
        {"type": "welcome"},
        ({"type": "authenticated"}, {"type": "subscribed", "topics": ["orders", "positions", "balances"]}),
        an_update,
    ),
    "ours-quotes": Vendor(
        {"type": "welcome"},
        ({"type": "authenticated"}, {"type": "subscribed", "channel": "quotes", "symbols": ["MSFT"]}),
        vendors.our_quote,
    ),
    "alpaca": Vendor(
        None,
        (
            {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}},
            {"stream": "listening", "data": {"streams": ["trade_updates"]}},
        ),
        vendors.alpaca_update,
    ),
    "alpaca-quotes": Vendor(
        [{"T": "success", "msg": "connected"}],
        ([{"T": "success", "msg": "authenticated"}], [{"T": "subscription", "quotes": ["MSFT"]}]),
        vendors.alpaca_quote,
        is_text=False,
        encode=msgspec.msgpack.encode,
    ),
    "tastytrade": Vendor(
        None,
        ({"status": "ok", "action": "connect", "value": [vendors.TASTYTRADE_ACCOUNT], "request-id": 1},),
        vendors.tastytrade_update,
    ),
}


def greet(connection: socket.socket, vendor: Vendor) -> ServerProtocol:
    """Accept the WebSocket handshake and the login."""
    protocol = ServerProtocol()
    send = protocol.send_text if vendor.is_text else protocol.send_binary
    answers = list(vendor.answers)
    while answers:
        protocol.receive_data(connection.recv(CHUNK))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
                if vendor.greeting is not None:
                    send(vendor.encode(vendor.greeting))
            elif isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT} and event.fin:
                send(vendor.encode(answers.pop(0)))
        for data in protocol.data_to_send():
            connection.sendall(data)
    return protocol


def close(connection: socket.socket, protocol: ServerProtocol) -> None:
    """Answer pings and the close frame, until the client is gone.

    Closing a socket with unread data would reset the connection, and discard data on its way to the client.
    """
    while data := connection.recv(CHUNK):
        protocol.receive_data(data)
        for reply in filter(None, protocol.data_to_send()):
            connection.sendall(reply)
        if protocol.close_expected():
            return


def feed(connection: socket.socket, vendor: Vendor, count: int) -> None:
    """Write ``count`` updates."""
    opcode = Opcode.TEXT if vendor.is_text else Opcode.BINARY
    payloads = (vendor.encode(vendor.message(number)) for number in range(min(DISTINCT, count)))
    frames = [Frame(opcode, payload).serialize(mask=False) for payload in payloads]
    block = b"".join(frames)
    for _ in range(count // len(frames)):
        connection.sendall(block)
    connection.sendall(b"".join(frames[: count % len(frames)]))


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        for line in sys.stdin:
            name, count = line.split()
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                protocol = greet(connection, VENDORS[name])
                feed(connection, VENDORS[name], int(count))
                close(connection, protocol)


if __name__ == "__main__":
    main()
