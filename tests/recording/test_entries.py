"""The lines of a recording, and the ones that are withheld."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from connecttrade_async import Secret
from connecttrade_async.recording.entries import (
    EntryEncoder,
    Exchange,
    FrameSeen,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from connecttrade_async.recording.redaction import Redactor, ValuePolicy
from connecttrade_async.rest.wire import Request, Response

if TYPE_CHECKING:
    from connecttrade_async.recording.entries import Entry

SECRET = "canaryclientsecret0123456789"


def encoder(*, hides: bool = False) -> EntryEncoder:
    return EntryEncoder(Redactor(ValuePolicy(), [Secret(SECRET)], hides_identities=hides))


def decoded(line: bytes) -> dict[str, Any]:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return dict(json.loads(line))


def test_header_and_end_name_the_format_and_the_reason() -> None:
    lines = encoder()
    assert decoded(lines.header()) == {"kind": "header", "format": "connecttrade-recording", "version": 1}
    assert decoded(lines.end(1.23456789, "done")) == {"kind": "end", "at": 1.234568, "reason": "done", "withheld": 0}


def test_encode_of_an_exchange_has_every_member_of_the_format() -> None:
    request = Request(
        method="PATCH",
        path="/accounts/a1/orders/o1",
        query="?limit=2",
        body=b'{"broker":"ALPACA"}',
        user_id="u",
        user_secret=Secret("user-secret-1"),
    )
    response = Response(200, {"Content-Type": "application/json"}, b'{"echo":"user-secret-1"}')
    assert decoded(encoder().encode(Exchange(0.01, 0.004, request, response, None))) == {
        "kind": "exchange",
        "at": 0.01,
        "took": 0.004,
        "operation": "PATCH /accounts/{account_id}/orders/{order_id}",
        "method": "PATCH",
        "path": "/accounts/a1/orders/o1",
        "query": [["limit", "2"]],
        "user": "u",
        "request": '{"broker":"ALPACA"}',
        "status": 200,
        "headers": [["content-type", "application/json"]],
        "response": '{"echo":"***"}',
        "error": None,
    }


def test_encode_of_an_exchange_without_a_response_has_the_reason() -> None:
    request = Request(method="GET", path="/users")
    line = decoded(encoder().encode(Exchange(0, 1, request, None, "no response")))
    assert [line[name] for name in ("user", "request", "status", "headers", "response", "error")] == [
        None,
        None,
        None,
        None,
        None,
        "no response",
    ]


def test_encode_of_a_stream_has_its_sessions_directions_and_codes() -> None:
    lines = encoder()
    entries: list[Entry] = [
        SocketOpened(0.1, "brokerage", 1),
        FrameSeen(0.2, 1, is_outgoing=True, frame=b'{"action":"x"}'),
        FrameSeen(0.3, 1, is_outgoing=False, frame="grüße".encode()),
        FrameSeen(0.4, 1, is_outgoing=False, frame=b"\xff\xfe\xfd"),
        SocketClosed(0.5, 1, 1006, ""),
    ]
    assert [decoded(lines.encode(entry)) for entry in entries] == [
        {"kind": "open", "at": 0.1, "stream": "brokerage", "session": 1},
        {"kind": "frame", "at": 0.2, "session": 1, "direction": "out", "text": '{"action":"x"}'},
        {"kind": "frame", "at": 0.3, "session": 1, "direction": "in", "text": "grüße"},
        {"kind": "frame", "at": 0.4, "session": 1, "direction": "in", "base64": base64.b64encode(bytes(3)).decode()},
        {"kind": "close", "at": 0.5, "session": 1, "code": 1006, "reason": ""},
    ]


def test_encode_withholds_an_entry_in_which_a_secret_or_an_id_is_left() -> None:
    lines = encoder()
    frame = json.dumps({"data": base64.b64encode(SECRET.encode()).decode()}).encode()
    withheld = decoded(lines.encode(FrameSeen(0.2, 3, is_outgoing=False, frame=frame)))
    assert withheld == {"kind": "withheld", "at": 0.2, "of": "frame", "session": 3}
    request = Request(method="GET", path="/orders", user_id="grace-hopper", user_secret=Secret("user-secret-1"))
    assert decoded(encoder(hides=True).encode(Exchange(0.3, 0, request, None, "x"))) == {
        "kind": "withheld",
        "at": 0.3,
        "of": "exchange",
    }
    assert decoded(lines.end(1, ""))["withheld"] == 1


def test_encode_writes_a_lone_surrogate_as_an_escape() -> None:
    lines = encoder()
    line = lines.encode(SocketClosed(0, 1, 1000, "\ud800"))
    assert decoded(line)["reason"] == "\ud800"


def test_pause_with_is_called_during_a_long_entry() -> None:
    lines, pauses = encoder(), list[int]()
    lines.pause_with(lambda: pauses.append(1))
    lines.encode(FrameSeen(0, 1, is_outgoing=False, frame=json.dumps([{"x": each} for each in range(2000)]).encode()))
    assert len(pauses) > 10


def test_encode_of_a_refused_connection_has_the_reason_without_secrets() -> None:
    line = decoded(encoder().encode(SocketRefused(0.1, "market_data", f"refused with {SECRET}")))
    assert line == {"kind": "refused", "at": 0.1, "stream": "market_data", "error": "refused with ***"}
