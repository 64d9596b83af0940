"""The writer of frames: which events share a frame, and what a value becomes."""

import json
from typing import Any

import pytest

from connecttrade_async.sandbox.dialect import BrokerageForms, MarketForms
from connecttrade_async.sandbox.dialect.frames import SharedText, write_brokerage, write_market
from connecttrade_async.sandbox.dialect.streams import BrokerageEvents, MarketEvents

JANE = {"user_id": "jane", "account_id": "a", "timestamp": "T"}


def test_payloads_share_a_frame_only_where_every_other_member_is_equal() -> None:
    writer = write_brokerage(BrokerageForms(events=BrokerageEvents(listed="many")))
    events = [
        writer.event("order", JANE, {"n": 1}),
        writer.event("order", JANE, {"n": 2}),
        writer.event("order", JANE | {"account_id": "b"}, {"n": 3}),
        writer.event("order", JANE, {"n": 4}),
        writer.event("balance", JANE, {"n": 5}),
    ]
    assert all(isinstance(event, SharedText) for event in events)
    frames = [json.loads(text) for text in writer.join(events)]
    assert [[one["n"] for one in frame["data"]] for frame in frames] == [[1, 2], [3], [4], [5]]
    assert [(frame["type"], frame["account_id"]) for frame in frames] == [
        ("order", "a"),
        ("order", "b"),
        ("order", "a"),
        ("balance", "a"),
    ]
    assert writer.join([]) == []


@pytest.mark.parametrize(
    ("batch", "expected"), [("list", ["[1,1,2]"]), ("lines", ["1\n1\n2"]), ("none", ["1", "1", "2"])]
)
def test_frames_of_a_batch_keep_their_order_and_number(batch: Any, expected: list[str]) -> None:
    writer = write_brokerage(BrokerageForms(events=BrokerageEvents(batch=batch)))
    assert writer.join(["1", "1", "2"]) == expected
    assert writer.join([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "1"), ("-13.50", "-13.50"), ("0.000000001", "0.000000001"), ("007", '"007"'), ("", '""'), ("1e5", '"1e5"')],
)
def test_bare_number_has_the_digits_of_the_text_or_stays_text(text: str, expected: str) -> None:
    writer = write_market(MarketForms(events=MarketEvents(numbers="bare")))
    assert writer.event("quote", {}, {"bid_price": text, "symbol": "7"}) == (
        f'{{"type":"quote","bid_price":{expected},"symbol":"7"}}'
    )


@pytest.mark.parametrize(
    ("case", "space", "canceled", "expected"),
    [
        ("upper", "_", False, ["CANCELLED", "PARTIALLY_FILLED", "SELL_SHORT", "DAY+"]),
        ("title", " ", True, ["Canceled", "Partially Filled", "Sell Short", "Day+"]),
        ("lower", "-", True, ["canceled", "partially-filled", "sell-short", "day+"]),
        ("assumed", "_", True, ["canceled", "partially_filled", "SELL_SHORT", "DAY+"]),
    ],
)
def test_enum_is_spelled_and_other_text_is_not(case: Any, space: Any, canceled: bool, expected: list[str]) -> None:  # noqa: FBT001
    events = BrokerageEvents(enum_case=case, enum_space=space, canceled=canceled)
    writer = write_brokerage(BrokerageForms(events=events))
    words = [("status", "cancelled"), ("status", "partially_filled"), ("side", "SELL_SHORT"), ("order_tif", "DAY+")]
    written = [json.loads(writer.event("order", JANE, {name: word}))["data"][name] for name, word in words]
    assert written == expected
    kept = {"symbol": "IBM_w", "broker_status": "cancelled"}
    assert json.loads(writer.event("order", JANE, kept))["data"] == kept
