from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, strategies as st

from connecttrade_async.models import enums
from connecttrade_async.models.enums import (
    Broker,
    ConnectionType,
    Instrument,
    OpenEnum,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

EVERY: list[type[OpenEnum]] = [Broker, ConnectionType, Instrument, OrderStatus, OrderType, Side, TimeInForce]
# The documented lists, to the letter.
WIRE: dict[type[OpenEnum], str] = {
    Broker: "ALPACA BANKOFAMERICA CAPITALONE CHASE CITI FIDELITY LIGHTSPEED PNC PUBLIC TASTYTRADE TD TRADESTATION"
    " TRADEZERO USBANK WEBULL WELLSFARGO",
    ConnectionType: "trade readonly market_data",
    Instrument: "STK OPT MLEG_OPT",
    OrderStatus: "pending working partially_filled filled cancelled rejected expired replaced pending_cancel"
    " pending_replace",
    OrderType: "MKT LMT STP STPLMT",
    Side: "BUY SELL SELL_SHORT BUY_TO_COVER BUY_TO_OPEN BUY_TO_CLOSE SELL_TO_OPEN SELL_TO_CLOSE",
    TimeInForce: "DAY GTC IOC FOK OPEN CLOSE DAY+ GTC+",
}
NEW_TEXTS = st.text(min_size=1, max_size=20).map(lambda text: f"new:{text}")


def size(kind: type[OpenEnum]) -> tuple[int, int, int, int]:
    inner: Any = kind
    return len(kind), len(kind.__members__), len(inner._value2member_map_), len(vars(kind))


def test_every_list_is_tested() -> None:
    assert {kind.__name__ for kind in EVERY} | {"OpenEnum"} == set(enums.__all__)


@pytest.mark.parametrize("kind", EVERY)
def test_the_list_is_the_documented_one(kind: type[OpenEnum]) -> None:
    assert sorted(WIRE[kind].split()) == sorted(member.value for member in kind)
    for text in WIRE[kind].split():
        member = kind(text)
        assert member == text
        assert str(member) == text
        assert member.is_known
        assert kind(text) is member
        assert {text: 1}[member] == 1


@pytest.mark.parametrize("kind", EVERY)
@given(text=NEW_TEXTS)
def test_a_new_value_keeps_its_text_and_changes_nothing(kind: type[OpenEnum], text: str) -> None:
    before = size(kind)
    member = kind(text)
    assert isinstance(member, kind)
    assert (member, str(member), member.value, member.name, f"{member}") == (text, text, text, text, text)
    assert not member.is_known
    assert member not in list(kind)
    assert text in repr(member) or repr(text)[1:-1] in repr(member)
    assert member == kind(text)
    assert hash(member) == hash(kind(text)) == hash(text)
    assert member != kind(text + "!")
    assert member not in set(kind)
    assert size(kind) == before


@pytest.mark.parametrize("kind", EVERY)
def test_members_old_and_new_travel(kind: type[OpenEnum]) -> None:
    before = size(kind)
    for member in (*kind, kind("never heard of")):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(member, protocol))  # noqa: S301 - our own bytes
            assert type(again) is kind
            assert (again, again.is_known) == (member, member.is_known)
        assert copy.copy(member) == copy.deepcopy(member) == member
        assert type(copy.deepcopy(member)) is kind
    assert size(kind) == before


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_no_text_is_no_value(kind: type[OpenEnum]) -> None:
    anything: Any = kind
    for nonsense in (None, 5, b"BUY", ["BUY"]):
        with pytest.raises(ValueError, match="is not a valid"):
            anything(nonsense)


@pytest.mark.parametrize("kind", EVERY)
def test_json_in_and_out(kind: type[OpenEnum]) -> None:
    decode = msgspec.json.Decoder(kind).decode  # which leaves its own note on the class
    before = size(kind)
    for text in (*WIRE[kind].split(), "never heard of", ""):
        member = decode(msgspec.json.encode(text))
        assert type(member) is kind
        assert msgspec.json.decode(msgspec.json.encode(member)) == text
    with pytest.raises(msgspec.ValidationError):
        decode(b"5")
    assert size(kind) == before


@given(st.sampled_from(list(Broker)), st.data())
def test_a_broker_is_read_in_any_case(broker: Broker, data: st.DataObject) -> None:
    text = "".join(data.draw(st.sampled_from([letter.lower(), letter])) for letter in broker)
    assert Broker(text) is broker
    assert msgspec.json.Decoder(Broker).decode(msgspec.json.encode(text)) is broker


def test_an_unpublished_broker_keeps_its_case() -> None:
    assert (str(Broker("moomoo")), Broker("moomoo").is_known) == ("moomoo", False)


def test_only_brokers_are_read_in_any_case() -> None:
    assert not Side("buy").is_known
    assert not OrderStatus("FILLED").is_known


def test_terminal_statuses_are_the_five_that_end_an_order() -> None:
    ended = [status.value for status in OrderStatus if status.is_terminal]
    assert sorted(ended) == ["cancelled", "expired", "filled", "rejected", "replaced"]


@given(st.text(max_size=20))
def test_an_unknown_status_may_still_change(text: str) -> None:
    assume(text not in set(OrderStatus))
    assert not OrderStatus(text).is_terminal
