from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.market_data.codec import (
    BarSnapshot,
    ListedSubscription,
    MarketDataCodec,
    SubscriptionList,
    past_bars,
)
from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.models.market import Bar, Depth, OptionsChain, Quote, Trade
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.codec import Authenticated, Refusal, Subscribed, Unsubscribed, Welcome

DIALECT = MarketDataCodec(Secret("hush"))
QUOTE = {"symbol": "AAPL", "bid_price": "190.10", "bid_size": "3", "ask_price": "190.12", "ask_size": "4"}
AT = "2026-03-02T14:30:00Z"
BAR = {"open": "1", "high": "3", "low": "0.5", "close": "2", "volume": "100", "start_time": AT, "closed": True}
CONTRACT = {
    "symbol": "TSLA251031C00437500",
    "bid_price": "1.10",
    "greeks": {"delta": "0.5", "implied_volatility": "0.4"},
}


def read(frame: Any) -> Any:
    return DIALECT.read(json.dumps(frame).encode())


def test_codec_decodes_a_quote() -> None:
    quote = read({"type": "quote", **QUOTE, "last_price": None, "timestamp": AT, "more": 1})
    assert isinstance(quote, Quote)
    assert (quote.topic, quote.symbol, quote.bid_price, quote.last_price) == ("quotes", "AAPL", Decimal("190.10"), None)
    assert quote.time == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert json.loads(quote.raw)["more"] == 1


def test_codec_decodes_a_trade() -> None:
    trade = read({"type": "trade", "symbol": "IBM/B", "price": "9.123456789", "size": "0.5", "session": "extended"})
    assert isinstance(trade, Trade)
    assert (trade.price, trade.size, trade.hours) == (Decimal("9.123456789"), Decimal("0.5"), "extended")


def test_codec_decodes_a_bar() -> None:
    bar = read({"type": "bar", "symbol": "AAPL", "interval": "1m", **BAR})
    assert isinstance(bar, Bar)
    assert (bar.open, bar.low, bar.closed, bar.is_backfill) == (Decimal(1), Decimal("0.5"), True, False)
    assert bar.start_time == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def test_codec_decodes_depth() -> None:
    levels = [{"price": str(price), "size": "1"} for price in range(3)]
    depth = read({"type": "depth", "symbol": "AAPL", "bids": levels, "asks": levels[:1]})
    assert isinstance(depth, Depth)
    assert [level.price for level in depth.bids] == [0, 1, 2]
    assert (len(depth.top(2).bids), len(depth.top(2).asks)) == (2, 1)
    assert depth.top(3) is depth


def test_codec_decodes_an_option_chain() -> None:
    chain = read({"type": "options_chain", "underlying": "TSLA", "expiration": "2025-10-31", "contracts": [CONTRACT]})
    assert isinstance(chain, OptionsChain)
    assert (chain.symbol, chain.expiration) == ("TSLA", date(2025, 10, 31))
    [contract] = chain.contracts
    assert contract.bid_price == Decimal("1.10")
    assert contract.greeks is not None
    assert contract.greeks.implied_volatility == Decimal("0.4")


@pytest.mark.parametrize("name", ["type", "event", "topic"])
@pytest.mark.parametrize("spelled", ["quote", "quotes"])
@pytest.mark.parametrize("flat", [True, False])
def test_codec_accepts_other_spellings_of_type_and_members(name: str, spelled: str, flat: bool) -> None:  # noqa: FBT001 - a table's column
    quote = read({name: spelled, **(QUOTE if flat else {"data": QUOTE})})
    assert isinstance(quote, Quote)
    assert (quote.symbol, quote.ask_price) == ("AAPL", Decimal("190.12"))
    assert quote.raw


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"type": "welcome"}, Welcome),
        ({"event": "authenticated"}, Authenticated),
        ({"type": "subscribed", "id": "7", "channel": "quotes", "symbols": ["AAPL"]}, Subscribed),
        ({"type": "unsubscribed", "id": 7}, Unsubscribed),
        ({"event": "error", "id": "7", "code": 400}, Refusal),
        ({"type": "subscriptions", "id": "8", "subscriptions": []}, SubscriptionList),
        ({"event": "snapshot", "id": "9", "symbol": "AAPL", "bars": [BAR]}, BarSnapshot),
    ],
)
def test_codec_decodes_replies(frame: dict[str, Any], kind: type) -> None:
    assert type(read(frame)) is kind


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"[]", b'{"type": "news"}', b'{"type": "quote"}', b'{"type": "bar", "symbol": "A", "data": 7}'],
)
def test_codec_reports_a_malformed_frame_without_the_token(raw: bytes) -> None:
    message = DIALECT.read(raw + b"hush")
    assert isinstance(message, UnknownMessage)
    assert (message.raw, message.topic) == (raw + b"***", "unknown")
    assert "hush" not in DIALECT.presentable("no such token: hush")
    assert "hush" not in repr(DIALECT)


@given(raw=st.binary() | st.text().map(str.encode))
@settings(deadline=None)
def test_codec_read_returns_for_any_bytes(raw: bytes) -> None:
    DIALECT.read(raw)


def test_subscriptions_entries_leave_out_malformed_entries() -> None:
    lines = (
        {"channel": "depth", "symbols": ["A"], "levels": 10},
        {"channel": "options_chain", "underlying": "TSLA", "greeks": True},
        {"channel": "quotes"},
        {"symbols": ["A"]},
    )
    assert SubscriptionList("1", lines).entries == (
        ListedSubscription("depth", ("A",), {"levels": 10}),
        ListedSubscription("options_chain", ("TSLA",), {"greeks": True}),
    )


def test_past_bars_are_in_order_and_marked() -> None:
    later = {**BAR, "start_time": "2026-03-02T14:31:00Z"}
    first, second = past_bars(BarSnapshot("1", None, (later, BAR)), "AAPL", "1m")
    assert (first.symbol, first.interval, first.is_backfill, first.close) == ("AAPL", "1m", True, Decimal(2))
    assert second.start_time == datetime(2026, 3, 2, 14, 31, tzinfo=UTC)
    [named] = past_bars(BarSnapshot("1", "MSFT", ({"symbol": "IBM"},)), "AAPL", "1m")
    assert (named.symbol, named.start_time) == ("IBM", None)
    with pytest.raises(MalformedResponseError, match=r"snapshot\.bars"):
        past_bars(BarSnapshot("1", None, ({"open": 1},)), "AAPL", "1m")


def test_past_bars_with_a_malformed_time_keep_the_other_bars() -> None:
    malformed = {**BAR, "start_time": "soon", "close": "9"}
    first, second = past_bars(BarSnapshot("1", None, (BAR, malformed)), "AAPL", "1m")
    assert (first.close, second.close) == (Decimal(9), Decimal(2))
    with pytest.raises(MalformedResponseError):
        _ = first.start_time
