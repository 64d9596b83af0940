from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from connecttrade_async import Dialect
from connecttrade_async.market_data.encoder import MAX_SYMBOLS, RequestEncoder, format_time

AT = "2026-03-02T14:30:00Z"
ENCODER = RequestEncoder()


def frames(encoded: list[bytes]) -> list[Any]:
    return [json.loads(frame) for frame in encoded]


def other(**market_data: Any) -> RequestEncoder:
    return RequestEncoder(Dialect.from_dict({"market_data": market_data}))


def test_encoder_of_the_default_dialect_encodes_the_assumed_requests() -> None:
    assert json.loads(ENCODER.authenticate("hush", "1")) == {"action": "authenticate", "access_token": "hush"}
    assert frames(ENCODER.subscribe("7", "depth", ["A", "B"], {"levels": 10})) == [
        {"action": "subscribe", "id": "7", "channel": "depth", "symbols": ["A", "B"], "levels": "10"}
    ]
    assert frames(ENCODER.unsubscribe("8", "options_chain", ["TSLA"], {"expiration": None, "greeks": True})) == [
        {
            "action": "unsubscribe",
            "id": "8",
            "channel": "options_chain",
            "symbols": ["TSLA"],
            "underlying": "TSLA",
            "greeks": True,
        }
    ]
    assert frames(ENCODER.listing("9")) == [{"action": "list_subscriptions", "id": "9"}]
    options = {"interval": "1m", "start_time": AT, "end_time": None, "limit": 5}
    assert frames(ENCODER.snapshot("10", "AAPL", options)) == [
        {
            "action": "snapshot",
            "id": "10",
            "channel": "bars",
            "symbols": ["AAPL"],
            "interval": "1m",
            "start_time": AT,
            "limit": "5",
        }
    ]


def test_encoder_of_another_dialect_uses_its_templates_names_values_and_numbers() -> None:
    encoder = other(
        authenticate={"op": "login", "args": ["{access_token}"], "id": "{id}"},
        subscribe={"op": "sub", "ref": "{id}", "stream": "{channel}.{symbol}", "args": "{options}"},
        snapshot={"op": "history", "ref": "{id}", "of": "{symbols}", "{options}": "{options}"},
        each_symbol=True,
        ids="number",
        counts="number",
        channels={"depth": "book"},
        options={"interval": {"name": "res", "values": {"1m": "1min"}}, "greeks": {"values": {"true": "yes"}}},
    )
    assert json.loads(encoder.authenticate("hush", "3")) == {"op": "login", "args": ["hush"], "id": 3}
    assert encoder.batches("depth", ["A", "B"]) == [("A",), ("B",)]
    assert frames(encoder.subscribe("7", "depth", ["A"], {"levels": 10})) == [
        {"op": "sub", "ref": 7, "stream": "book.A", "args": {"levels": 10}}
    ]
    assert frames(encoder.subscribe("8", "options_chain", ["T"], {"greeks": True}))[0]["args"] == {
        "underlying": "T",
        "greeks": "yes",
    }
    assert frames(encoder.snapshot("9", "A", {"interval": "1m", "limit": 5, "start_time": AT})) == [
        {"op": "history", "ref": 9, "of": ["A"], "res": "1min", "limit": 5, "start_time": AT}
    ]


def test_encoder_with_names_in_camel_case_spells_options_so() -> None:
    encoder = RequestEncoder(Dialect.from_dict({"names": {"case": "camel"}}))
    assert "startTime" in frames(encoder.snapshot("9", "A", {"start_time": AT}))[0]


def test_encoder_with_empty_templates_encodes_nothing() -> None:
    encoder = other(unsubscribe={}, list={}, snapshot={})
    assert not encoder.has_unsubscribe
    assert ENCODER.has_unsubscribe
    assert encoder.unsubscribe("1", "quotes", ["A"], {}) == encoder.listing("2") == []
    assert encoder.snapshot("3", "A", {}) == []


@pytest.mark.parametrize(("channel", "size"), [("quotes", MAX_SYMBOLS), ("options_chain", 1)])
def test_batches_have_at_most_a_thousand_symbols_or_one_underlying(channel: str, size: int) -> None:
    symbols = [str(number) for number in range(MAX_SYMBOLS + 1)]
    batches = ENCODER.batches(channel, symbols)
    assert len(batches[0]) == size
    assert [symbol for batch in batches for symbol in batch] == symbols


def test_format_time_is_rfc_3339_in_utc() -> None:
    assert format_time(datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))) == AT
