"""The reader of requests: what a dialect hears becomes the frame of the wire contract, and nothing else does."""

from typing import Any

import pytest

from connecttrade_async.sandbox.dialect import BrokerageForms, MarketForms
from connecttrade_async.sandbox.dialect.requests import read_brokerage, read_market
from connecttrade_async.sandbox.dialect.streams import BrokerageRequests, MarketRequests
from connecttrade_async.sandbox.errors import BadRequestError

NESTED = read_brokerage(
    BrokerageForms(
        requests=BrokerageRequests(
            action="op", id="meta.id", client_id="auth.key", client_secret="auth.secret", topics="p.t", topics_as="text"
        )
    )
)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"op": "authenticate", "auth": {"key": "k", "secret": "s"}},
         {"action": "authenticate", "client_id": "k", "client_secret": "s"}),
        ({"op": "authenticate", "client_id": "k", "client_secret": "s"}, {"action": "authenticate"}),
        ({"op": "subscribe", "meta": {"id": 7}, "p": {"t": "orders,balances"}},
         {"action": "subscribe", "id": 7, "topics": ["orders", "balances"]}),
        ({"op": "subscribe", "p": {"t": ["orders"]}}, {"action": "subscribe", "topics": None}),
        ({"op": "subscribe", "topics": ["orders"]}, {"action": "subscribe"}),
        ({"op": "subscribe", "p": "orders"}, {"action": "subscribe"}),
        ({"action": "subscribe", "meta": {"id": "x"}}, {"id": "x"}),
        ({"op": ["subscribe"]}, {}),
        ({}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_only_what_stands_in_its_place_is_heard(frame: dict[str, Any], expected: dict[str, Any]) -> None:
    assert NESTED.read(frame) == expected


def test_assumed_form_is_the_frame_itself() -> None:
    frame = {"action": "subscribe", "topics": ["orders"], "color": "red"}
    assert read_brokerage(BrokerageForms()).read(frame) is frame
    assert read_market(MarketForms()).read(frame) is frame


def test_rule_names_the_path_and_the_words_of_the_action() -> None:
    assert NESTED.rule == "op must be one of authenticate, subscribe, unsubscribe."


@pytest.mark.parametrize("unknown", [{"color": "red"}, {"topics": ["orders"]}, {"p": {"t": "orders", "u": 1}}])
def test_strict_reader_refuses_what_it_does_not_know(unknown: dict[str, Any]) -> None:
    heard = BrokerageRequests(action="op", topics="p.t", topics_as="one", unknown="refused")
    reader = read_brokerage(BrokerageForms(requests=heard))
    assert reader.read({"op": "subscribe", "p": {"t": "orders"}}) == {"action": "subscribe", "topics": ["orders"]}
    with pytest.raises(BadRequestError, match=r"^There is no (color|topics|p\.u) here\.$"):
        reader.read({"op": "subscribe", "p": {"t": "orders"}} | unknown)


@pytest.mark.parametrize("wrong", ["1m", "1Min", 1, ["1min"]])
def test_word_of_another_dialect_is_refused(wrong: Any) -> None:
    reader = read_market(MarketForms(intervals="min", requests=MarketRequests(symbols_as="one")))
    frame = {"action": "subscribe", "channel": "bars", "symbols": "AAPL", "interval": "1min"}
    assert reader.read(frame) == frame | {"symbols": ["AAPL"], "interval": "1m"}
    with pytest.raises(BadRequestError, match=r"^interval must be one of 1min, 5min"):
        reader.read(frame | {"interval": wrong})
