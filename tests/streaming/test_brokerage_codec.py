from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.codec import Authenticated, Refusal, Subscribed, Unsubscribed, Welcome


def new_codec(**settings: Any) -> BrokerageCodec:
    return BrokerageCodec("client", Secret("hush"), **settings)


FACTS = {"user_id": "u", "account_id": "a", "timestamp": "2026-03-02T14:30:00Z"}
ORDER = {"order_id": "o", "symbol": "MSFT", "status": "filled", "filled_qty": None}
PAYLOAD = {**ORDER, "cash": "10.10"}  # of each kind
POSITION = {"symbol": "MSFT", "quantity": "1.5"}
BALANCE = {"account_id": "a", "cash": "10.10"}


def read(frame: Any) -> Any:
    return new_codec().read(json.dumps(frame).encode())


def test_read_order_frame_returns_order_update() -> None:
    event = read({"type": "order", **FACTS, "data": ORDER})
    assert isinstance(event, OrderUpdate)
    assert (event.topic, event.user_id, event.account_id, event.symbol) == ("orders", "u", "a", "MSFT")
    assert event.time == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert event.order.status == "filled"
    assert event.given == set(ORDER)  # filled_qty was null, and avg_fill_price was absent
    assert json.loads(event.raw)["data"] == ORDER


def test_read_position_and_balance_frames_returns_their_updates() -> None:
    position = read({"type": "position", **FACTS, "data": POSITION})
    assert isinstance(position, PositionUpdate)
    assert (position.topic, position.symbol, position.position.quantity) == ("positions", "MSFT", Decimal("1.5"))
    balance = read({"type": "balance", **FACTS, "data": BALANCE})
    assert isinstance(balance, BalanceUpdate)
    assert (balance.topic, balance.symbol, balance.balance.cash) == ("balances", None, Decimal("10.10"))


def test_read_payload_without_account_takes_the_account_of_the_frame() -> None:
    balance = read({"type": "balance", **FACTS, "data": {"cash": "1"}})
    assert isinstance(balance, BalanceUpdate)
    assert balance.balance.account_id == "a"
    assert balance.given == frozenset({"cash"})


def test_unread_of_an_update_has_texts_and_numbers_that_no_field_reads() -> None:
    extra = {"qty": 2.50, "note": "n\u00e9w", "lot_id": 7, "is_new": True, "tags": ["x"], "nothing": None, "delta": -1}
    balance = read({"type": "balance", **FACTS, "data": {"cash": "1", **extra}})
    assert isinstance(balance, BalanceUpdate)
    assert balance.unread == {"qty": "2.5", "note": "n\u00e9w", "delta": "-1"}
    flat = read({"type": "balance", **FACTS, "cash": "1", "qty": "3"})
    assert isinstance(flat, BalanceUpdate)
    assert flat.unread == {"qty": "3"}


def test_read_fill_with_bare_numbers_keeps_their_digits() -> None:
    raw = b'{"type": "order", "user_id": "u", "data": {"order_id": "1", "order_qty": 10, "filled_qty": 2.50}}'
    event = new_codec().read(raw)
    assert isinstance(event, OrderUpdate)
    assert (event.order.order_qty, event.order.filled_qty) == (Decimal(10), Decimal("2.50"))
    assert event.given == {"order_id", "order_qty", "filled_qty"}


@pytest.mark.parametrize("name", ["type", "event", "topic"])
@pytest.mark.parametrize("spelled", ["order", "orders"])
@pytest.mark.parametrize("flat", [True, False])
def test_read_order_frame_of_another_form_returns_order_update(name: str, spelled: str, flat: bool) -> None:  # noqa: FBT001 - a table's column
    payload = ORDER if flat else {"data": ORDER}
    event = read({name: spelled, **FACTS, **payload})
    assert isinstance(event, OrderUpdate)
    assert (event.user_id, event.account_id, event.order.order_id) == ("u", "a", "o")
    assert set(ORDER) <= event.given


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"type": "welcome"}, Welcome),
        ({"event": "welcome", "message": "hello"}, Welcome),
        ({"type": "authenticated", "more": 1}, Authenticated),
        ({"type": "subscribed", "topics": ["orders"]}, Subscribed),
        ({"event": "subscribed"}, Subscribed),
        ({"type": "unsubscribed"}, Unsubscribed),
        ({"type": "error", "code": "401", "message": "no"}, Refusal),
        ({"event": "error", "code": 401}, Refusal),
        ({"type": "error", "message": []}, Refusal),
    ],
)
def test_read_control_frame_returns_its_message(frame: dict[str, Any], kind: type) -> None:
    assert type(read(frame)) is kind


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        b"\xff",
        b"7",
        b'{"type": "dividend", "data": {}}',
        b'{"type": 7}',
        b'{"type": ["order"]}',
        b'{"type": "order", "data": "text"}',
        b'{"type": "order", "data": {"order_id": [7]}}',
        b"[" * 100_000,
    ],
)
def test_read_invalid_frame_returns_unknown_message_of_bounded_size(raw: bytes) -> None:
    message = new_codec().read(raw)
    assert isinstance(message, UnknownMessage)
    assert (message.raw, message.topic) == (raw[:4096], "unknown")
    assert message.problem


@given(raw=st.binary() | st.text().map(str.encode))
@settings(deadline=None)
def test_read_arbitrary_bytes_never_raises(raw: bytes) -> None:
    new_codec().read(raw)


def test_codec_encodes_login_and_subscription() -> None:
    codec = new_codec()
    assert json.loads(codec.authenticate())["client_secret"] == "hush"
    [subscribe] = codec.subscribe(("orders",))
    assert json.loads(subscribe) == {"action": "subscribe", "topics": ["orders"]}
    assert "hush" not in repr(codec) + codec.presentable("what is hush?")


@pytest.mark.parametrize(
    ("frame", "owner"),
    [
        ({"data": {**PAYLOAD, "account_id": "a", "user_id": "u"}}, ("u", "a")),
        ({"user_id": "u", "data": {**PAYLOAD, "account_id": "a"}}, ("u", "a")),
        ({"account_id": "a", "data": {**PAYLOAD, "user_id": "u"}}, ("u", "a")),
        ({"user_id": "u", "data": {**PAYLOAD, "account": {"account_id": "a"}}}, ("u", "a")),
        ({"account": {"account_id": "a", "user_id": "u"}, "data": PAYLOAD}, ("u", "a")),
        ({**PAYLOAD, "account_id": "a", "user_id": "u"}, ("u", "a")),
        ({**PAYLOAD, "account": {"account_id": "a"}}, (None, "a")),
        ({"user_id": 7, "data": {**PAYLOAD, "account_id": 12}}, ("7", "12")),
        ({"user_id": "u", "account_id": "", "data": {**PAYLOAD, "account_id": "a"}}, ("u", "a")),
        ({"user_id": "u", "account_id": "a", "data": {**PAYLOAD, "account": "odd"}}, ("u", "a")),
        ({"data": PAYLOAD}, (None, None)),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["order", "position", "balance"])
def test_read_update_sets_the_owner_from_frame_or_payload(
    kind: str, frame: dict[str, Any], owner: tuple[str | None, str | None]
) -> None:
    event = read({"type": kind, **frame})
    if kind == "balance" and owner[1] is None:
        assert isinstance(event, UnknownMessage)
    else:
        assert (event.user_id, event.account_id) == owner


@pytest.mark.parametrize(
    "frame",
    [
        {"user_id": "u", "account_id": "a", "data": {**PAYLOAD, "account_id": "b"}},
        {"user_id": "u", "account_id": "a", "data": {**PAYLOAD, "user_id": "v"}},
        {"user_id": "u", "account_id": "a", "data": {**PAYLOAD, "account_id": "a", "user_id": "v"}},
        {"user_id": "u", "data": {**PAYLOAD, "account_id": "a", "account": {"account_id": "b"}}},
        {"user_id": "u", "account": {"user_id": "v"}, "data": PAYLOAD},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["order", "position", "balance"])
def test_read_update_with_two_owners_returns_unknown_message(kind: str, frame: dict[str, Any]) -> None:
    event = read({"type": kind, **frame})
    assert isinstance(event, UnknownMessage)
    assert "names more than one" in event.problem or kind == "balance"
    assert json.loads(event.raw)["data"]["order_id"] == "o"


ODD = (
    *(b"1e999999", b"-1e-999999", b"9" * 5000, b"[" * 3000 + b"]" * 3000, b'"\\ud800"', b'"\xff\xfe"', b"NaN"),
    *(b'{"a": 1, "a": 2}', b"null", b'""', b"[]", b"{}", b"true"),
)
SHAPES = (
    b'{"type": "order", "user_id": "u", "account_id": "a", "data": {"order_id": "o", "x": %s}}',
    b'{"type": "order", "user_id": "u", "account_id": "a", "x": %s, "data": {"order_id": "o"}}',
    b'{"type": "order", "user_id": "u", "account_id": "a", "order_id": "o", "x": %s}',
    b'{"type": "order", "account_id": %s, "data": {"order_id": "o"}}',
    b'{"type": "order", "user_id": "u", "data": {"order_id": "o", "account_id": "a", "account": %s}}',
    b'{"type": "order", "data": %s}',
    b'{"type": "balance", "account_id": "a", "data": {"cash": %s}}',
    b'{"event": %s, "data": {}}',
    b'{"type": "error", "code": "500", "account_id": %s}',
    b'{"type": "subscribed", "topics": %s}',
    b"%s",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_read_frame_with_odd_value_returns_update_or_unknown_message(shape: bytes, odd: bytes) -> None:
    event = new_codec().read(shape % odd)
    if isinstance(event, OrderUpdate | PositionUpdate | BalanceUpdate):
        event.raw.decode()
        assert event.given
    elif isinstance(event, Refusal):
        assert isinstance(event.scope, dict)


def test_read_invalid_utf_8_returns_unknown_message() -> None:
    event = new_codec().read(
        b'{"type": "order", "user_id": "u", "account_id": "a", "x": "\xff", "data": {"order_id": "o"}}'
    )
    assert isinstance(event, UnknownMessage)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b'{"data": 7}', b"[" * 5000])
def test_given_of_unreadable_frame_raises_malformed_response_error(raw: bytes) -> None:
    event = OrderUpdate(order=read({"type": "order", **FACTS, "data": ORDER}).order, raw=raw)
    with pytest.raises(MalformedResponseError, match=r"OrderUpdate\.given"):
        _ = event.given


USERS = st.sampled_from([{}, {"user_id": "u"}, {"user_id": "v"}, {"user_id": 1}, {"user_id": ""}])
ACCOUNTS = st.sampled_from([{}, {"account_id": "a"}, {"account_id": "b"}, {"account": {"account_id": "a"}}])
TYPES = st.sampled_from(["order", "position", "balance"])


@given(
    data=st.data(),
    outer=st.tuples(USERS, ACCOUNTS),
    inner=st.tuples(USERS, ACCOUNTS),
    kind=TYPES,
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_read_update_has_the_owner_of_a_full_comparison_in_any_order_of_keys(
    data: st.DataObject,
    outer: tuple[dict[str, Any], ...],
    inner: tuple[dict[str, Any], ...],
    kind: str,
    separators: tuple[str, str],
) -> None:
    pairs = [("type", kind), ("data", {**inner[0], **inner[1]}), *outer[0].items(), *outer[1].items()]
    raw = json.dumps(dict(data.draw(st.permutations(pairs))), separators=separators).encode()
    codec = new_codec()
    assert codec.read(raw) == super(BrokerageCodec, codec).read(raw)
