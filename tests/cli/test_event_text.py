"""Events as lines and as JSON objects, malformed ones too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from connecttrade_async.cli.event_text import event_line, event_object, lifecycle_text
from connecttrade_async.models.events import Gap, StreamConnecting, StreamLost, StreamRetrying
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec

if TYPE_CHECKING:
    from connecttrade_async.models.events import Event

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
DIALECT = BrokerageCodec("client", Secret("canary"))


def read(raw: bytes) -> Event:
    return cast("Event", DIALECT.read(raw))


def as_json(event: Event) -> str:
    return msgspec.json.encode(event_object(event, NOW)).decode()


def as_line(event: Event) -> str:
    text = event_line(event, NOW)
    assert text is not None
    return text.plain


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b'{"account_id":"a","cash":"1.50","new":1.50}', '{"account_id":"a","cash":"1.50","new":1.50}'),
        (b'\n{"account_id" :\t"a", "new": 1e400}', '{"account_id":"a","new":1e400}'),
        (b'{"account_id":"a","cash":"\\u00e9"}', '{"account_id":"a","cash":"\\u00e9"}'),
        (b'{"account_id":"b"},"data":{"account_id":"a"}', '{"account_id":"a"}'),
    ],
)
def test_event_object_holds_the_payload_as_it_came(raw: bytes, data: str) -> None:
    told = as_json(read(b'{"type":"balance","data":' + raw + b"}"))
    assert told == f'{{"type":"balance","user_id":null,"account_id":"a","time":null,"data":{data}}}'


def test_event_object_of_a_flat_frame_holds_the_frame() -> None:
    event = read(b'{"topic": "balances", "user_id": "u", "account_id": "a", "timestamp": "t", "cash": "1.0"}')
    frame = '{"topic":"balances","user_id":"u","account_id":"a","timestamp":"t","cash":"1.0"}'
    assert as_json(event) == f'{{"type":"balance","user_id":"u","account_id":"a","time":"t","data":{frame}}}'


def test_event_object_of_a_frame_that_is_not_text_holds_it() -> None:
    event = read(b"\xff\n\x1b[2J")
    assert json.loads(as_json(event))["raw"] == "�\n\x1b[2J"
    assert as_line(event).endswith(": �  [2J")
    event = read(b'{"type":"balance","data":{"account_id":"a","new":"\xff"}}')
    assert json.loads(as_json(event))["type"] == "unknown"


def test_event_object_of_a_lifecycle_event_holds_its_fields() -> None:
    assert json.loads(as_json(StreamRetrying(delay=0.5))) == {
        "type": "retrying",
        "time": "2026-03-02T14:30:00Z",
        "delay": 0.5,
    }


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"type":"order","data":{"order_id":"o1","status":"new_one"}}', "order o1: new one"),
        (
            b'{"type":"order","data":{"order_id":"o1","side":"BUY","legs":[{"symbol":"SPY"},{"symbol":"IBM"}]}}',
            "buy some units of 2 legs in SPY, IBM: in an unknown status",
        ),
        (b'{"type":"position","data":{"symbol":"IBM","account_id":"a"}}', "a  IBM: changed"),
        (
            b'{"type":"position","data":{"account_id":"a","symbol":"IBMp","quantity":"0","unrealized_pl":"-1234.5"}}',
            "a  IBMp: 0 held, unrealized -1,234.5",
        ),
        (b'{"type":"balance","data":{"account_id":"a","cash":null}}', "a  changed"),
        (
            b'{"type":"balance","user_id":"u\\u001b[2J\\n","data":{"account_id":"a","cash":"odd"}}',
            "u [2J   a  cash odd",
        ),
    ],
)
def test_event_line_holds_no_control_character(raw: bytes, said: str) -> None:
    told = as_line(read(raw))
    assert told[20:] == said
    assert told.isprintable()


def test_event_line_quotes_a_malformed_time() -> None:
    assert as_line(read(b'{"type":"balance","timestamp":"so\\u001bon","data":{"account_id":"a"}}')).startswith(
        "so on  balance "
    )
    assert as_line(read(b'{"type":"balance","data":{"account_id":"a"}}')).startswith("14:30:00  balance ")


def test_event_line_of_a_gap_states_its_span_and_count() -> None:
    gap = Gap(cause="this consumer was too slow", since=NOW, until=NOW, dropped=3)
    assert as_line(gap)[20:] == "3 dropped from 14:30:00 to 14:30:00, so read again: this consumer was too slow"


def test_lifecycle_text_describes_lost_and_retrying_only() -> None:
    assert lifecycle_text(StreamLost(cause="a\x1b")) == "The stream was lost: a."
    assert lifecycle_text(StreamRetrying(delay=1.26)) == "Trying again in 1.3 s."
    assert lifecycle_text(StreamConnecting(attempt=2)) == ""
    assert event_line(StreamConnecting(attempt=2), NOW) is None
