"""What members hold, by their names and the form of their values."""

from __future__ import annotations

import pytest

from connecttrade_async.models import Balance, Order, Position
from connecttrade_async.recording.vocabulary import (
    WORDS,
    NameKind,
    folded,
    is_decimal,
    is_plain_name,
    is_symbol,
    is_time,
    is_word,
    kind_of_name,
)

KINDS = {
    NameKind.CREDENTIAL: ["user_secret", "user-secret", "accessToken", "token", "clientSecret", "JWT", "Authorization"],
    NameKind.IDENTITY: ["user_id", "userId", "account-id", "account_number", "acctNo", "client_id", "users", "account"],
    NameKind.NUMBER: ["order_qty", "bid_price", "px", "netLiquidationValue", "commission", "totalCost", "asks"],
    NameKind.TIME: ["created_at", "timestamp", "expiresAt", "tradeDate", "ts"],
    NameKind.WORD: ["status", "type", "order_tif", "ev", "T", "channel", "topics", "errorCode"],
    NameKind.SYMBOL: ["symbol", "symbols", "underlying", "ticker"],
    NameKind.CURSOR: ["next_cursor", "nextCursor", "prev-cursor", "page_token"],
    NameKind.REQUEST: ["id", "ID"],
    NameKind.OTHER: ["order_id", "description", "message", "institution_name", "nickname", "fill_id", "x"],
}


@pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(name, kind, id=name) for kind, names in KINDS.items() for name in names]
)
def test_kind_of_name_returns_what_a_member_holds(name: str, kind: NameKind) -> None:
    assert kind_of_name(name) is kind


@pytest.mark.parametrize(
    ("name", "snake"),
    [("accountId", "account_id"), ("account-id", "account_id"), ("OSISymbol", "osi_symbol"), ("x", "x")],
)
def test_folded_returns_snake_case(name: str, snake: str) -> None:
    assert folded(name) == snake


def test_kind_of_name_knows_the_numbers_of_the_models_without_a_list_of_them() -> None:
    names = {
        field.removesuffix("_text")
        for model in (Order, Position, Balance)
        for field in model.__struct_fields__
        if field.endswith("_text")
    }
    assert {kind_of_name(name) for name in names} == {NameKind.NUMBER, NameKind.TIME}


def test_words_hold_the_words_of_the_api_and_no_name_of_a_person() -> None:
    assert WORDS.issuperset({"partially", "filled", "buying", "alpaca", "subscribed", "quote"})
    assert not WORDS & {"ada", "grace", "smith", "john", "mary", "mark", "will", "anna"}


@pytest.mark.parametrize(
    ("name", "is_plain"), [("order_id", True), ("buyingPower", True), ("ada", False), ("account_ada", False)]
)
def test_is_plain_name_knows_names_of_words_of_the_api(name: str, is_plain: bool) -> None:  # noqa: FBT001 - a column
    assert is_plain_name(name) is is_plain


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T17:00:00Z", "2026-12-01 17:00:00.123+01:00", "1764612345"])
def test_is_time_accepts_days_and_times(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize("text", ["12345678", "9764612345", "2026", "tomorrow", "2026-12-01 Ada"])
def test_is_time_refuses_other_texts(text: str) -> None:
    assert not is_time(text)


@pytest.mark.parametrize("text", ["1", "-1.50", "1e3", "+0.000000001"])
def test_is_decimal_accepts_numbers(text: str) -> None:
    assert is_decimal(text)
    assert not is_decimal(f"{text} Ada")


@pytest.mark.parametrize("text", ["AAPL", "BRK.B", "IBM/WS", "TSLA251031C00437500", "BTC/USD", "/ESZ6", "IBMp"])
def test_is_symbol_accepts_symbols(text: str) -> None:
    assert is_symbol(text)


@pytest.mark.parametrize("text", ["12345678", "", "A" * 40, "ada@example.com"])
def test_is_symbol_refuses_other_texts(text: str) -> None:
    assert not is_symbol(text)


@pytest.mark.parametrize("text", ["filled", "Partially Filled", "DAY+", "401", "15m", "market_data", "order.filled"])
def test_is_word_accepts_words_codes_and_intervals(text: str) -> None:
    assert is_word(text)


@pytest.mark.parametrize("text", ["12345", "PA3XK12345", "ada@example.com", "", "019acb3a-7e11"])
def test_is_word_refuses_other_texts(text: str) -> None:
    assert not is_word(text)
