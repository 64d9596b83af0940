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


MEMBERS = [member for kind in EVERY for member in kind]


@given(st.sampled_from(MEMBERS), st.data())
def test_open_enum_given_another_spelling_returns_the_listed_member(member: OpenEnum, data: st.DataObject) -> None:
    letters = [data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in member]
    separator = data.draw(st.sampled_from(["_", "-", " ", ""]))
    text = "".join(letters).replace("_", separator)
    assert type(member)(text) is member
    assert msgspec.json.Decoder(type(member)).decode(msgspec.json.encode(text)) is member


@pytest.mark.parametrize("text", ["canceled", "CANCELED", "Canceled", "CANCELLED", " cancelled"])
def test_order_status_canceled_in_either_spelling_ends_an_order(text: str) -> None:
    assert OrderStatus(text) is OrderStatus.CANCELLED
    assert OrderStatus(text).is_terminal


@pytest.mark.parametrize("text", ["done", "fill", "filled!", "partial", "f\u0131lled", "filled" + " " * 40, "complete"])
def test_order_status_given_another_word_stays_unknown(text: str) -> None:
    status = OrderStatus(text)
    assert (status.is_known, status.is_terminal, str(status)) == (False, False, text)


def test_an_unpublished_broker_keeps_its_case() -> None:
    assert (str(Broker("moomoo")), Broker("moomoo").is_known) == ("moomoo", False)


def test_terminal_statuses_are_the_five_that_end_an_order() -> None:
    ended = [status.value for status in OrderStatus if status.is_terminal]
    assert sorted(ended) == ["cancelled", "expired", "filled", "rejected", "replaced"]


@given(st.text(max_size=20))
def test_an_unknown_status_may_still_change(text: str) -> None:
    assume(not OrderStatus(text).is_known)
    assert not OrderStatus(text).is_terminal
