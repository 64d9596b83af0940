"""Every value on the wire is a string, a boolean or null, numbers are plain digits, and every spelling is written."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.sandbox import Spellings
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.world import BROKERS, Connection, World, find_broker

NOON = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SEEN = Payloads(Spellings())
DOCUMENTED = Payloads(Spellings(fields="documented", times="epoch_milliseconds", nulls="empty"))


def world_with(code: str) -> tuple[World, Connection]:
    world = World(7)
    jane = world.create_user("jane")
    broker = find_broker(code)
    link = world.invite(jane, "readonly", "https://app.example/", NOON)
    return world, world.consent(link, broker, "jane", NOON)


def everything(code: str, write: Payloads) -> dict[str, Any]:
    world, connection = world_with(code)
    account, broker = connection.accounts[0], connection.broker
    return {
        "connection": write.connection(connection),
        "account": write.account(connection, account),
        "balance": write.balance(account, account.balance(world.market, NOON)),
        "positions": [write.position(account, item) for item in account.positions(world.market, NOON)],
        "orders": [write.order(item, broker) for item in account.orders],
        "transactions": [write.transaction(item, broker) for item in account.transactions],
    }


def leaves(payload: object) -> Iterator[object]:
    if isinstance(payload, dict):
        for name, value in payload.items():  # pyright: ignore[reportUnknownVariableType]
            assert isinstance(name, str)
            yield from leaves(value)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(payload, list):
        for value in payload:  # pyright: ignore[reportUnknownVariableType]
            yield from leaves(value)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield payload


@pytest.mark.parametrize("code", sorted(BROKERS))
def test_nothing_but_strings_booleans_and_null(code: str) -> None:
    for write in (SEEN, DOCUMENTED):
        assert all(leaf is None or isinstance(leaf, str | bool) for leaf in leaves(everything(code, write)))


def test_same_seed_same_bytes() -> None:
    assert json.dumps(everything("WEBULL", SEEN)) == json.dumps(everything("WEBULL", SEEN))


def test_what_brokers_lack() -> None:
    profits = ("unrealized_pl", "daily_pl", "total_pl")
    lost = {code: [everything(code, SEEN)["positions"][0][name] for name in profits] for code in ("TASTYTRADE", "PNC")}
    assert lost == {"TASTYTRADE": [None, None, None], "PNC": ["", "", ""]}
    assert everything("WEBULL", SEEN)["positions"][0]["daily_pl"] == ""
    assert everything("TASTYTRADE", DOCUMENTED)["positions"][0]["daily_pl"] == ""
    assert everything("CHASE", SEEN)["balance"]["margin_buying_power"] is None


def test_field_names_seen_and_documented() -> None:
    world, _ = world_with("ALPACA")
    jane = world.users["jane"]
    link = world.invite(jane, "market_data", "https://app.example/", NOON)
    assert SEEN.new_user(jane) == {"user_id": "jane", "user_secret": jane.secret}
    assert DOCUMENTED.new_user(jane) == {"user_id": "jane", "user-secret": jane.secret}
    assert SEEN.connection_request("url", link) == {
        "connection_request_url": "url",
        "expires_at": "2026-07-01T12:15:00.250000Z",
    }
    assert DOCUMENTED.connection_request("url", link) == {"authorization_url": "url", "expires_at": "1782908100250"}
    seen, documented = everything("ALPACA", SEEN)["connection"], everything("ALPACA", DOCUMENTED)["connection"]
    assert (seen["connection_type"], "status" in seen) == ("readonly", False)
    assert (documented["type"], documented["status"]) == ("readonly", "active")
    assert "connection_type" not in documented
    assert [set(account) for account in seen["accounts"]] == [{"account_id", "account_number", "institution_name"}] * 2
    token = world.mint(world.consent(link, find_broker("ALPACA"), "jane", NOON), NOON)
    assert SEEN.market_token(token) == {"access_token": token.text, "expires_at": "2026-07-02T12:00:00.250000Z"}


def test_time_is_written_in_the_spelling_that_is_set() -> None:
    assert Payloads(Spellings(times="epoch_seconds")).time(NOON) == str(int(NOON.timestamp()))
    assert DOCUMENTED.time(NOON) == "1782907200250"
    assert SEEN.time(NOON + timedelta(seconds=1)) == "2026-07-01T12:00:01.250000Z"


def test_legs_are_written_where_there_are_some() -> None:
    orders = everything("ALPACA", SEEN)["orders"]
    spreads = [order for order in orders if order["instrument"] == "MLEG_OPT"]
    assert spreads
    assert all(order["symbol"] is None and len(order["legs"]) == 2 for order in spreads)
    assert all(set(leg) == {"symbol", "action", "ratio"} for order in spreads for leg in order["legs"])
    assert all("legs" not in order for order in orders if order["symbol"] is not None)


@given(st.decimals(-10_000_000, 10_000_000, places=9))
def test_numbers_are_plain_and_exact(value: Decimal) -> None:
    text = SEEN.number(value, find_broker("ALPACA"))
    assert text is not None
    assert Decimal(text) == value
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    ("value", "text"),
    [("2", "2"), ("13.5", "13.50"), ("0", "0"), ("1.230000000", "1.23"), ("-4.123456789", "-4.123456789")],
)
def test_number_is_written_in_the_digits_of_its_broker(value: str, text: str) -> None:
    assert SEEN.number(Decimal(value), find_broker("ALPACA")) == text


def test_a_wrong_spelling_is_refused() -> None:
    with pytest.raises(ValueError, match="times must be one of rfc3339"):
        Spellings(times="roman")  # type: ignore[arg-type]
