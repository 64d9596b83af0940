"""Across the wire: a WebSocket end that speaks as a vendor does, and feeds one client as fast as it reads.

Each line on its standard input names the vendor and how many messages its next client gets. Ours is one of them, with
whole orders, so that its messages are as long as the others'.
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
    """How a vendor speaks.

    Attributes:
        greeting: what it says first, or None.
        answers: what it says to each message of the login.
        message: its nth update.
        is_text: whether its frames are text.
        spell: a value as bytes.
    """

    greeting: object | None
    answers: tuple[object, ...]
    message: Callable[[int], object]
    is_text: bool = True
    spell: Callable[[object], bytes] = lambda value: json.dumps(value).encode()


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
        spell=msgspec.msgpack.encode,
    ),
    "tastytrade": Vendor(
        None,
        ({"status": "ok", "action": "connect", "value": [vendors.TASTYTRADE_ACCOUNT], "request-id": 1},),
        vendors.tastytrade_update,
    ),
}


def greet(link: socket.socket, vendor: Vendor) -> ServerProtocol:
    """Shake hands, and take the login."""
    protocol = ServerProtocol()
    send = protocol.send_text if vendor.is_text else protocol.send_binary
    answers = list(vendor.answers)
    while answers:
        protocol.receive_data(link.recv(CHUNK))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
                if vendor.greeting is not None:
                    send(vendor.spell(vendor.greeting))
            elif isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT} and event.fin:
                send(vendor.spell(answers.pop(0)))
        for data in protocol.data_to_send():
            link.sendall(data)
    return protocol


def part(link: socket.socket, protocol: ServerProtocol) -> None:
    """Answer pings and the farewell, until the client is gone.

    To close with something unread would reset the link, and take from the client what is under way.
    """
    while data := link.recv(CHUNK):
        protocol.receive_data(data)
        for reply in filter(None, protocol.data_to_send()):
            link.sendall(reply)
        if protocol.close_expected():
            return


def feed(link: socket.socket, vendor: Vendor, count: int) -> None:
    """Write so many updates."""
    opcode = Opcode.TEXT if vendor.is_text else Opcode.BINARY
    payloads = (vendor.spell(vendor.message(number)) for number in range(min(DISTINCT, count)))
    frames = [Frame(opcode, payload).serialize(mask=False) for payload in payloads]
    block = b"".join(frames)
    for _ in range(count // len(frames)):
        link.sendall(block)
    link.sendall(b"".join(frames[: count % len(frames)]))


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        for line in sys.stdin:
            name, count = line.split()
            link, _ = listener.accept()
            with link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                protocol = greet(link, VENDORS[name])
                feed(link, VENDORS[name], int(count))
                part(link, protocol)


if __name__ == "__main__":
    main()
