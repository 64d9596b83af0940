from __future__ import annotations

import copy
import gc
import inspect
import pickle
import pkgutil
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from connecttrade_async import models
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models import (
    Account,
    AccountSummary,
    Balance,
    Broker,
    Connection,
    ConnectionRequest,
    ConnectionToken,
    ConnectionType,
    Fill,
    Instrument,
    Leg,
    NewUser,
    Order,
    OrderStatus,
    OrderType,
    Page,
    Position,
    Side,
    TimeInForce,
    Transaction,
    UserRecord,
    UserToken,
)
from connecttrade_async.models.fields import Model, day, moment, number
from connecttrade_async.models.variants import convert_hook
from connecttrade_async.rest.codec import ObjectShape, RestCodec
from connecttrade_async.rest.wire import Request, Response
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOON, AN_HOUR_LATER = "2024-05-17T12:00:00Z", "1715950800000"
SUMMARY = {"account_id": "a-1", "account_number": "***1", "institution_name": "Alpaca"}
FILL = {"fill_id": "f-1", "time": NOON, "quantity": "0.50", "price": "410.123456789"}
LEG = {"symbol": "SPY241018C00430000", "action": "BUY_TO_OPEN", "ratio": "1"}
# One full example of each noun, in the order of its fields, so that encoding it again must give the same bytes.
FULL: dict[type[Model], dict[str, Any]] = {
    AccountSummary: SUMMARY,
    Account: {**SUMMARY, "broker": "ALPACA", "connection_id": "c-1"},
    Balance: {
        "account_id": "a-1",
        "account_number": "***1",
        "currency": "USD",
        "cash": "1000.10",
        "buying_power": "2000.20",
        "margin_buying_power": "",
        "maintenance_margin": "1E+2",
        "initial_margin": "0",
        "equity": "-3.000000001",
    },
    Connection: {
        "connection_id": "c-1",
        "broker": "ALPACA",
        "connection_type": "trade",
        "type": "trade",
        "status": "active",
        "accounts": [SUMMARY],
    },
    ConnectionRequest: {"connection_request_url": "https://a", "authorization_url": "https://b", "expires_at": NOON},
    Fill: FILL,
    Leg: LEG,
    Order: {
        "order_id": "o-1",
        "cl_order_id": "mine-1",
        "account_id": "a-1",
        "connection_id": "c-1",
        "broker": "ALPACA",
        "symbol": "IBM/B",
        "instrument": "STK",
        "side": "BUY",
        "order_type": "STPLMT",
        "order_tif": "DAY+",
        "order_qty": "1.50",
        "order_notional": "700",
        "order_limit_price": "410.50",
        "stop_price": "400",
        "status": "partially_filled",
        "broker_status": "PARTIAL",
        "filled_qty": "0.50",
        "avg_fill_price": "410.123456789",
        "created_at": NOON,
        "updated_at": AN_HOUR_LATER,
        "reject_reason": "none yet",
        "replaces": "o-0",
        "replaced_by": "o-2",
        "fills": [FILL],
        "legs": [LEG],
    },
    Position: {
        "account_id": "a-1",
        "account_number": "***1",
        "symbol": "AAPL",
        "instrument": "STK",
        "quantity": "-10",
        "average_price": "1.1",
        "last_price": "2.2",
        "market_value": "3.3",
        "unrealized_pl": "4.4",
        "daily_pl": "5.5",
        "total_pl": "6.6",
    },
    Transaction: {
        "transaction_id": "t-1",
        "account_id": "a-1",
        "type": "dividend",
        "date": "2024-05-17",
        "symbol": "AAPL",
        "quantity": "10",
        "price": "0.24",
        "amount": "2.40",
        "fees": "0.01",
        "description": "Dividend",
    },
    UserRecord: {"user_id": "user-1"},
}
# These hold secrets, and no encoder knows how to encode a Secret.
SECRETIVE: dict[type[Model], dict[str, Any]] = {
    ConnectionToken: {"access_token": "canary", "expires_at": NOON},
    NewUser: {"user_id": "user-1", "user_secret": "canary", "user-secret": "canary"},
    UserToken: {"access_token": "canary"},
}
EVERY = FULL | SECRETIVE
LEAST: dict[type[Model], bytes] = {
    Account: b'{"account_id":"a-1"}',
    Balance: b'{"account_id":"a-1"}',
    Connection: b'{"connection_id":"c-1"}',
    Order: b'{"order_id":"o-1"}',
    Position: b'{"symbol":"AAPL"}',
    Transaction: b"{}",
    Fill: b"{}",
    Leg: b"{}",
}


def as_bytes(kind: type[Model]) -> bytes:
    return msgspec.json.encode(EVERY[kind])


def decoded(kind: type[Model], body: bytes | None = None) -> Any:
    decoder = msgspec.json.Decoder(kind, dec_hook=convert_hook)
    return decoder.decode(as_bytes(kind) if body is None else body)


def make_any(kind: Callable[..., object], *args: object) -> object:
    return kind(*args)


def insides(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            yield from insides(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from insides(getattr(value, name))


# The codec tests cover the messages of streams.
EVENTS = {"connecttrade_async.models.events", "connecttrade_async.models.market"}


def test_every_model_has_an_example() -> None:
    found = {
        kind
        for room in pkgutil.iter_modules(models.__path__, f"{models.__name__}.")
        for kind in vars(import_module(room.name)).values()
        if inspect.isclass(kind) and issubclass(kind, Model) and kind is not Model
        if kind.__module__ not in EVENTS
    }
    assert found == set(EVERY)


def test_the_room_offers_what_its_files_offer() -> None:
    parts = [
        import_module(room.name)
        for room in pkgutil.iter_modules(models.__path__, f"{models.__name__}.")
        if room.name
        not in {
            "connecttrade_async.models.fields",
            "connecttrade_async.models.mentions",
            "connecttrade_async.models.variants",
            *EVENTS,
        }
    ]
    assert sorted({name for part in parts for name in part.__all__} - {"OpenEnum"}) == models.__all__


@pytest.mark.parametrize("kind", EVERY)
def test_a_model_is_frozen_hashable_and_made_by_name_only(kind: type[Model]) -> None:
    value = decoded(kind)
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    assert value == decoded(kind)
    assert hash(value) == hash(decoded(kind))
    with pytest.raises(TypeError):
        make_any(kind, "positional")


@pytest.mark.parametrize("kind", EVERY)
def test_no_part_of_a_model_is_followed_by_the_collector(kind: type[Model]) -> None:
    assert kind.__struct_config__.gc is False
    structs = [inside for inside in insides(decoded(kind)) if isinstance(inside, msgspec.Struct)]
    assert structs
    assert not [inside for inside in structs if gc.is_tracked(inside)]


def test_a_long_list_of_orders_is_one_object_to_the_collector() -> None:
    body = msgspec.json.encode([FULL[Order]] * 200)
    shape = msgspec.json.Decoder(list[Order])
    shape.decode(body)
    gc.collect()
    before = len(gc.get_objects())
    orders = shape.decode(body)
    gc.collect()
    # What is followed is the list and the tuples of fills, not the orders, the fills and the legs themselves.
    assert len(gc.get_objects()) - before <= 1 + 2 * len(orders)
    assert not [order for order in orders if gc.is_tracked(order)]


@pytest.mark.parametrize("kind", FULL)
def test_what_came_goes_out_again_unchanged(kind: type[Model]) -> None:
    assert msgspec.json.encode(decoded(kind)) == as_bytes(kind)
    assert decoded(kind, msgspec.json.encode(decoded(kind))) == decoded(kind)


@pytest.mark.parametrize("kind", EVERY)
def test_unknown_fields_are_passed_over(kind: type[Model]) -> None:
    extra = {"brand_new": {"a": [1, 2.5, None]}, "x": "y"}
    assert decoded(kind, msgspec.json.encode(extra | EVERY[kind] | {"last": []})) == decoded(kind)


@pytest.mark.parametrize("kind", EVERY)
def test_a_copy_is_equal_and_a_pickle_too_but_for_secrets(kind: type[Model]) -> None:
    value = decoded(kind)
    assert copy.copy(value) == copy.deepcopy(value) == value
    dumped = pickle.dumps(value)
    assert b"canary" not in dumped
    again = pickle.loads(dumped)  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert (again == value) == (kind in FULL)


@pytest.mark.parametrize("kind", SECRETIVE)
def test_secrets_stay_out_of_sight_and_out_of_json(kind: type[Model]) -> None:
    value = decoded(kind)
    assert "canary" not in repr(value)
    assert "canary" not in str(value)
    with pytest.raises(TypeError, match="Secret"):
        msgspec.json.encode(value)


@pytest.mark.parametrize("kind", LEAST)
def test_least_that_can_come_reads_as_nothing(kind: type[Model]) -> None:
    value = decoded(kind, LEAST[kind])
    required = set(msgspec.json.decode(LEAST[kind], type=dict[str, str]))
    for name in value.__struct_fields__:
        assert (getattr(value, name) is None) == (name not in required)
    for name, reading in vars(kind).items():
        if isinstance(reading, (number, moment, day)):
            assert getattr(value, name) is None


@pytest.mark.parametrize("kind", EVERY)
def test_each_reading_reads_its_own_text_and_names_itself(kind: type[Model]) -> None:
    names = [name for name, reading in vars(kind).items() if isinstance(reading, (number, moment, day))]
    texts = [name for name in kind.__struct_fields__ if name.endswith("_text")]
    assert [f"{name}_text" for name in names] == texts
    assert [name for name in names if name not in kind.__struct_encode_fields__] == []
    whole = decoded(kind)
    for name in names:
        if EVERY[kind][name]:
            assert getattr(whole, name) is not None
        odd = decoded(kind, msgspec.json.encode(EVERY[kind] | {name: "odd"}))
        with pytest.raises(MalformedResponseError) as caught:
            getattr(odd, name)
        assert caught.value.where == f"{kind.__name__}.{name}"


def test_an_order_reads() -> None:
    order = decoded(Order)
    assert (order.order_qty, order.filled_qty) == (Decimal("1.50"), Decimal("0.50"))
    assert str(order.avg_fill_price) == "410.123456789"
    assert order.created_at == datetime(2024, 5, 17, 12, tzinfo=UTC)
    assert order.updated_at == datetime(2024, 5, 17, 13, tzinfo=UTC)
    assert order.broker is Broker.ALPACA
    assert order.instrument is Instrument.STOCK
    assert order.side is Side.BUY
    assert order.order_type is OrderType.STOP_LIMIT
    assert order.order_tif is TimeInForce.DAY_EXTENDED
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert order.fills[0].price == Decimal("410.123456789")
    assert order.legs[0].action is Side.BUY_TO_OPEN
    assert order.legs[0].ratio == 1


def test_a_balance_keeps_the_texts_apart_from_the_numbers() -> None:
    balance = decoded(Balance)
    assert balance.margin_buying_power is None
    assert balance.margin_buying_power_text == ""
    assert balance.maintenance_margin == 100
    assert balance.maintenance_margin_text == "1E+2"


def test_a_transaction_has_a_day() -> None:
    assert decoded(Transaction).date == date(2024, 5, 17)


@pytest.mark.parametrize("listed", ["null", "[]"])
def test_lists_may_be_null_or_empty(listed: str) -> None:
    order = decoded(Order, f'{{"order_id":"o-1","fills":{listed},"legs":{listed}}}'.encode())
    assert (order.fills, order.legs) == ((), ())
    assert decoded(Connection, f'{{"connection_id":"c-1","accounts":{listed}}}'.encode()).accounts == ()


def test_a_connection_lists_its_accounts() -> None:
    assert decoded(Connection).accounts == (decoded(AccountSummary),)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"connection_id":"c-1","connection_type":"readonly"}', ConnectionType.READONLY),
        (b'{"connection_id":"c-1","type":"market_data"}', ConnectionType.MARKET_DATA),
        (b'{"connection_id":"c-1","connection_type":null,"type":"trade"}', ConnectionType.TRADE),
        (b'{"connection_id":"c-1","connection_type":"","type":"trade"}', ConnectionType.TRADE),
        (b'{"connection_id":"c-1","connection_type":"readonly","type":"trade"}', ConnectionType.READONLY),
        (b'{"connection_id":"c-1"}', None),
    ],
)
def test_the_type_of_a_connection_in_both_spellings(body: bytes, expected: ConnectionType | None) -> None:
    assert decoded(Connection, body).connection_type == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"connection_request_url":"https://a"}', "https://a"),
        (b'{"authorization_url":"https://b"}', "https://b"),
        (b'{"connection_request_url":"","authorization_url":"https://b"}', "https://b"),
        (b'{"connection_request_url":"https://a","authorization_url":"https://b"}', "https://a"),
    ],
)
def test_the_address_to_show_in_both_spellings(body: bytes, expected: str) -> None:
    request = decoded(ConnectionRequest, body)
    assert request.url == expected
    assert request.expires_at is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"user_id":"u","user_secret":"canary"}',
        b'{"user_id":"u","user-secret":"canary"}',
        b'{"user_id":"u","user_secret":null,"user-secret":"canary"}',
        b'{"user_id":"u","user_secret":"","user-secret":"canary"}',
        b'{"user_id":"u","user_secret":"canary","user-secret":""}',
    ],
)
def test_the_secret_of_a_new_user_in_both_spellings(body: bytes) -> None:
    assert decoded(NewUser, body).user_secret.reveal() == "canary"


WRONG: list[tuple[type[Model], bytes, str, str]] = [
    (NewUser, b'{"user_id":"u"}', "$", "`user_secret`"),
    (NewUser, b'{"user_id":"u","user_secret":""}', "$", "`user_secret`"),
    (NewUser, b'{"user_id":"u","user_secret":[]}', "$.user_secret", "text, got list"),
    (UserToken, b'{"access_token":null}', "$.access_token", "text, got NoneType"),
    (ConnectionToken, b"{}", "$", "`access_token`"),
    (UserToken, b'{"access_token":""}', "$", "`access_token`"),
    (ConnectionToken, b'{"access_token":""}', "$", "`access_token`"),
    (ConnectionRequest, b'{"expires_at":"1"}', "$", "`connection_request_url`"),
    (ConnectionRequest, b'{"connection_request_url":"","authorization_url":null}', "$", "`connection_request_url`"),
    (UserRecord, b"{}", "$", "`user_id`"),
    (Order, b'{"order_id":"o","fills":[{"price":true}]}', "$.fills[0].price", ""),
    (Order, b'{"order_id":"o","fills":{}}', "$.fills", ""),
    (Order, b'{"order_id":"o","side":[]}', "$.side", ""),
    (Order, b'{"order_id":false}', "$.order_id", ""),
    (Connection, b'{"connection_id":"c","accounts":["a-1"]}', "$.accounts[0]", ""),
]


@pytest.mark.parametrize(("shape", "body", "where", "ours"), WRONG)
def test_model_of_a_wrong_shape_is_reported_with_its_place(shape: Any, body: bytes, where: str, ours: str) -> None:
    codec = RestCodec(Dialect.default)
    with pytest.raises(MalformedResponseError) as caught:
        codec.read(ObjectShape(shape, "/"), Response(200, {}, body), Request(method="POST", path="/"))
    assert caught.value.where == where
    assert ours in caught.value.problem  # empty where msgspec words the problem
    assert caught.value.excerpt == Response(200, {}, body).outline


def test_a_page_holds_anything_in_its_order() -> None:
    page = Page(items=("b", "a"), next_cursor="n")
    assert (page.items, page.next_cursor, page.prev_cursor) == (("b", "a"), "n", None)
    with pytest.raises(AttributeError):
        setattr(page, "items", ())  # noqa: B010 - a type checker refuses the plain way
    with pytest.raises(TypeError):
        make_any(Page, ("a",))
    assert Page[Order](items=()).items == ()


def test_a_page_is_iterated_measured_and_indexed_as_its_items_are() -> None:
    page = Page(items=("b", "a", "c"), next_cursor="n")
    assert (list(page), [*reversed(page)], len(page), "a" in page, "z" in page) == (
        ["b", "a", "c"],
        ["c", "a", "b"],
        3,
        True,
        False,
    )
    assert (page[0], page[-1], page[1:], page[::-1]) == ("b", "c", ("a", "c"), ("c", "a", "b"))
    for index in (3, -4):
        with pytest.raises(IndexError):
            _ = page[index]
    empty = Page[str](items=(), next_cursor="n")
    assert (list(empty), len(empty), bool(empty), empty[:1]) == ([], 0, False, ())


def test_secrets_are_secrets() -> None:
    assert isinstance(decoded(UserToken).access_token, Secret)
    assert isinstance(decoded(ConnectionToken).access_token, Secret)
    assert decoded(ConnectionToken).expires_at == datetime(2024, 5, 17, 12, tzinfo=UTC)
