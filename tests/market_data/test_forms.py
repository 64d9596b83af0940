"""Market data in forms that no text lists: every event is right, or the client says that it does not understand."""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from connecttrade_async import (
    ConfigurationError,
    Dialect,
    HandshakeError,
    MalformedResponseError,
    MarketDataRefusedError,
    RequestTimeoutError,
    Secret,
)
from connecttrade_async.config import Timeouts
from connecttrade_async.market_data.codec import MAX_SAID, MarketDataCodec, past_bars
from connecttrade_async.market_data.event_types import compiled_events
from connecttrade_async.market_data.registry import ChannelKey, PendingQuery, SubscriptionKey, SubscriptionRegistry
from connecttrade_async.market_data.subscription_sync import MarketDataSync, ReplyPolicy
from connecttrade_async.models.events import StreamLost, UnknownMessage
from connecttrade_async.models.market import Bar, Depth, OptionsChain, Quote, Trade
from connecttrade_async.streaming.census import Census
from connecttrade_async.streaming.protocol import StreamProtocol
from market_data_server import AT, MarketEnd
from market_forms import FORMS, SINGLE_FORMS, Form
from stream_fixtures import PATIENCE, nothing_left

if TYPE_CHECKING:
    from connecttrade_async import Feed

QUICK = Timeouts(login=2.0, close=1.0, call=2.0)
BAR = {"interval": "1m", "open": "1.10", "high": "3", "low": "0.5", "close": "2.000000001", "volume": "100"}
LEVELS = [{"price": "190.10", "size": "3"}, {"price": "190.05", "size": "1e2"}]
CONTRACT = {
    "symbol": "TSLA251031C00437500",
    "bid_price": "1.10",
    "open_interest": "12",
    "greeks": {"delta": "0.5", "implied_volatility": "0.25"},
}


async def took(feed: Feed[Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await feed.receive()


async def check_story(end: MarketEnd) -> None:
    """Open feeds of all channels, receive their events, and be refused a symbol in the words of the server."""
    end.refused = {"BAD"}
    end.bars["AAPL"] = [{**BAR, "start_time": AT, "closed": True}]
    async with nothing_left(), end.stream(timeouts=QUICK) as md:
        async with (
            md.quotes("AAPL", "MSFT") as quotes,
            md.trades("AAPL", hours="regular") as trades,
            md.bars("AAPL", backfill=0) as bars,
            md.depth("AAPL") as depth,
            md.options_chain("TSLA") as chains,
        ):
            for number in range(3):  # the first is read slowly, and the later ones fast
                price = f"190.1{number}"
                await end.publish("quote", "AAPL", bid_price=price, ask_price="190.120", bid_size="3", timestamp=AT)
                quote = await took(quotes)
                assert isinstance(quote, Quote)
                assert (quote.symbol, quote.bid_price, quote.ask_price_text) == ("AAPL", Decimal(price), "190.120")
                assert quote.time is not None
                await end.publish("trade", "AAPL", price=price, size="0.5", session="regular", timestamp=AT)
                trade = await took(trades)
                assert isinstance(trade, Trade)
                assert (trade.price, trade.size, trade.hours) == (Decimal(price), Decimal("0.5"), "regular")
                await end.publish("bar", "AAPL", **BAR, start_time=f"2026-03-02T14:3{number}:00Z", closed=True)
                bar = await took(bars)
                assert isinstance(bar, Bar)
                assert (bar.close_text, bar.interval, bar.closed) == ("2.000000001", "1m", True)
                assert bar.start_time is not None
                await end.publish("depth", "AAPL", bids=LEVELS, asks=LEVELS[:1], timestamp=AT)
                level = await took(depth)
                assert isinstance(level, Depth)
                assert [each.price_text for each in level.bids] == ["190.10", "190.05"]
                assert [each.size for each in level.bids] == [Decimal(3), Decimal(100)]
                await end.publish("options_chain", "TSLA", expiration="2025-10-31", contracts=[CONTRACT])
                chain = await took(chains)
                assert isinstance(chain, OptionsChain)
                [contract] = chain.contracts
                assert contract.greeks is not None
                assert (contract.bid_price, contract.greeks.implied_volatility) == (Decimal("1.10"), Decimal("0.25"))
            with pytest.raises(MarketDataRefusedError, match="not entitled to BAD"):
                await quotes.add("BAD")
            [past] = await md.history("AAPL", timeout=1.0)
            assert (past.close_text, past.symbol, past.is_backfill) == ("2.000000001", "AAPL", True)
            listed = await md.list_subscriptions(timeout=1.0)
            assert (listed.missing, listed.extra) == ((), ())
            assert {"quotes", "trades"} <= {line.channel for line in listed.held}
        assert md.health().set_aside == 0
        assert not any(md.health().unread.values())


@pytest.mark.parametrize("form", SINGLE_FORMS)
async def test_stream_of_a_server_that_differs_in_one_choice_delivers_everything(form: str) -> None:
    async with MarketEnd() as end:
        end.speak = SINGLE_FORMS[form].speak
        await check_story(end)


@settings(
    max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(form=FORMS)
async def test_stream_of_a_server_with_any_choices_delivers_everything(form: Form) -> None:
    async with MarketEnd() as end:
        end.speak = form.speak
        await check_story(end)


class Driver:
    """A live connection without I/O, with its registry."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        dialect = Dialect.from_dict(values or {})
        self.registry = SubscriptionRegistry()
        self.codec = MarketDataCodec(Secret("hush"), dialect, self.registry)
        self.sync = MarketDataSync(self.registry, self.codec, ReplyPolicy(1.0, 3))
        self.protocol = StreamProtocol(self.codec, self.sync, now=0.0, login=4.0)
        self.events: list[Any] = []
        self.now = 0.0
        self.receive({"type": "welcome"})
        self.receive({"type": "authenticated"})
        self.sent()

    def receive(self, frame: Any) -> Any:
        raw = frame if isinstance(frame, bytes) else msgspec.json.encode(frame)
        event: Any = self.protocol.receive(raw, self.now)
        return event

    def check(self, now: float) -> None:
        self.now = now
        self.protocol.check(now)

    def subscribe(self, channel_key: ChannelKey, *symbols: str, detail: Any = None) -> None:
        keys = [SubscriptionKey(channel_key, symbol) for symbol in symbols]
        self.registry.add("feed", keys, detail)
        self.sync.sync(keys, self.now)

    def sent(self) -> list[Any]:
        frames = [json.loads(frame) for frame in self.protocol.outbox]
        self.protocol.outbox.clear()
        return frames

    def results(self) -> list[Any]:
        events: list[Any] = self.sync.sync_events
        found = [each for each in events if not isinstance(each, Census)]
        self.sync.sync_events.clear()
        return found

    def holds(self, channel_key: ChannelKey, symbol: str, detail: Any = None) -> bool:
        return self.sync.holds(SubscriptionKey(channel_key, symbol), detail)


QUOTES, TRADES, MINUTES = ChannelKey("quotes"), ChannelKey("trades"), ChannelKey("bars", (("interval", "1m"),))
QUOTE = {"type": "quote", "symbol": "A", "bid_price": "1.50"}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"type": "quote", "channel": "trades", "symbol": "A", "price": "1"}, "two kinds: quote and trade"),
        ({"type": "quote", "data": {"bid_price": "1"}}, "symbol"),
        ({"type": "quote", "symbol": "A", "data": {"symbol": "B", "bid_price": "1"}}, "two values of symbol"),
        ({"type": "quote", "data": [1]}, "a list of something else"),
        ({"type": "quote", "symbol": "A", "bidPrice": "1", "bid-price": "2"}, "with two values"),
        ({"type": "quote", "data": {"quote": "no"}}, "symbol"),
        ({"type": "quote", "body": {"symbol": "A"}, "payload": {"symbol": "A"}}, "more than one payload"),
        ({"data": {"quote": {"symbol": "A"}, "trade": {"symbol": "A"}}}, "more than one payload"),
        ({"type": "bar", "symbol": "A", **BAR, "interval": "1M"}, "the interval '1M' is none of"),
        ({"type": "bar", "symbol": "A", **BAR, "interval": "60"}, "a Dialect can say which one"),
        ({"type": "depth", "symbol": "A", "bids": [["1", "2"]]}, "object"),
        ({"type": "news", "symbol": "A"}, "'news'"),
        ([1, 2], "object"),
        ({"data": [{"quote": 1}]}, "required field"),
    ],
)
@pytest.mark.parametrize("values", [{}, {"names": {"case": "camel"}}], ids=["default", "camel"])
def test_frame_that_can_mean_two_things_or_nothing_is_unknown(frame: Any, words: str, values: dict[str, Any]) -> None:
    one = Driver(values)
    event = one.receive(frame)
    assert isinstance(event, UnknownMessage)
    if not values:
        assert words in event.problem
    assert one.codec.unread == event.raw.decode()


def test_words_of_intervals_and_hours_fold_their_spelling() -> None:
    one = Driver()
    for number in range(3):
        bar = one.receive(
            {"type": "bar", "symbol": "A", **BAR, "interval": "1 H", "startTime": AT, "volume": str(number)}
        )
        trade = one.receive({"type": "trade", "symbol": "A", "price": "1", "session": "REGULAR"})
        found = one.receive({"type": "trade", "symbol": "A", "price": "1", "session": "Pre"})
        other, *_ = cast("Any", found) if isinstance(found, list) else [found]
        assert (bar.interval, bar.start_time_text) == ("1h", AT)
        assert (trade.hours, other.hours) == ("regular", "Pre")
    assert isinstance(
        one.receive({"type": "bar", "symbol": "A", **BAR, "interval": "9", "startTime": AT}), UnknownMessage
    )


def test_words_of_the_dialect_are_those_of_its_options() -> None:
    options = {"interval": {"values": {"1m": "1min"}}, "session": {"name": "hours", "values": {"regular": "rth"}}}
    one = Driver({"market_data": {"options": options}})
    for _ in range(3):
        assert one.receive({"type": "bar", "symbol": "A", **BAR, "interval": "1MIN", "start_time": AT}).interval == "1m"
        assert one.receive({"type": "trade", "symbol": "A", "price": "1", "session": "rth"}).hours == "regular"
    one.subscribe(MINUTES, "A")
    assert one.sent()[0]["interval"] == "1min"
    one.receive({"type": "subscriptions", "subscriptions": [{"channel": "BARS", "symbol": "A", "interval": "1min"}]})
    assert one.holds(MINUTES, "A")
    assert one.codec.dialect.market_data.options.interval.values == {"1m": "1min"}
    assert one.codec.encoder.names.option("other") == "other"
    assert one.codec.encoder.names.value("other", 7) == "7"
    assert one.codec.encoder.names.has_words("interval")


@pytest.mark.parametrize("place", ["data", "body"])
@pytest.mark.parametrize("kind", ["quote", "depth", "options_chain"])
def test_frame_of_a_learned_form_is_read_alike_fast(place: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="connecttrade_async")
    payloads: dict[str, dict[str, Any]] = {
        "quote": {"symbol": "A", "bidPrice": "1.50", "lastPrice": 2.50},
        "depth": {"symbol": "A", "bids": LEVELS, "asks": []},
        "options_chain": {
            "underlying": "T",
            "contracts": [{"symbol": "X", "bidPrice": "1", "greeks": {"impliedVolatility": "2"}}, {"symbol": "Y"}],
        },
    }
    one = Driver()
    frame = {"event": f"{kind}Update", place: payloads[kind]}
    first = one.receive(frame)
    assert one.codec.learned != one.codec.dialect
    assert one.receive(frame) == one.receive(frame) == first
    assert type(first).__module__ == "connecttrade_async.models.market"
    assert len([each for each in caplog.records if "it is compiled" in each.message]) == 1
    assert isinstance(one.receive({"event": f"{kind}Update", place: {"symbol": [7]}}), UnknownMessage)


def test_forms_that_no_dialect_has_are_read_slowly_and_learning_ends() -> None:
    one = Driver()
    for number in range(20):
        assert one.receive({"quote": {"symbol": "A", "bid_price": str(number)}}).bid_price == number
        frame = {"type": "quote", "symbol": "A", "data": {"quote": {"bid_price": str(number)}}}
        assert one.receive(frame).bid_price == number
    for tag in ("bid_price", "symbol"):
        assert compiled_events(Dialect.from_dict({"market_data": {"tag": tag}})) is None
    assert compiled_events(Dialect.from_dict({"market_data": {"tag": "a.b"}})) is None
    assert Driver({"market_data": {"tag": "a.b"}}).receive({"a": {"b": "quote"}, **QUOTE}).bid_price == Decimal("1.5")


def test_ambient_fields_of_a_compiled_frame_must_agree() -> None:
    one = Driver({"market_data": {"payload": ["data"]}})
    frame = {"type": "quote", "symbol": "A", "timestamp": AT, "data": {"bid_price": "1"}}
    for _ in range(3):
        quote = one.receive(frame)
        assert (quote.symbol, quote.time_text) == ("A", AT)
    assert isinstance(one.receive(frame | {"data": {"symbol": "B", "bid_price": "1"}}), UnknownMessage)
    assert isinstance(one.receive({"type": "quote", "data": {"bid_price": "1"}}), UnknownMessage)
    assert one.receive({"type": "quote", "data": {"symbol": "A"}}).bid_price is None


def test_forms_without_a_dialect_are_read_slowly() -> None:
    one = Driver()
    assert one.receive({"type": "quote", "SYMBOL": "A", "data": {"bid_price": "1"}}).bid_price == 1
    frame = {"type": "quote", "timestamp": "2020-01-01T00:00:00Z", "data": QUOTE | {"timestamp": AT}}
    assert one.receive(frame).time_text == AT
    assert cast("Quote", one.codec.decode_alternative("", QUOTE)).bid_price_text == "1.50"
    other = Driver({"market_data": {"updates": {"trade": ["Quotes"]}}})
    assert other.receive({"type": "QUOTE", "symbol": "A", "price": "1"}).price == 1
    assert other.codec.learned == other.codec.dialect
    part = {"tag": "timestamp", "payload": ["data"]}
    assert compiled_events(Dialect.from_dict({"market_data": part})) is not None


def test_aliases_that_differ_by_case_alone_are_two_fields() -> None:
    aliases = {"symbol": "s", "bid_price": "b", "bid_size": "B", "ask_price": "a", "ask_size": "A"}
    one = Driver({"names": {"aliases": {"quote": aliases}}})
    for _ in range(3):
        quote = one.receive({"type": "quote", "s": "X", "b": "1", "B": "2", "a": "3", "A": "4"})
        assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (1, 2, 3, 4)


def test_census_names_what_is_not_read_and_what_did_not_come() -> None:
    one = Driver()
    event = one.receive({"type": "depth", "symbol": "A", "bids": [{"p": "1"}], "venue": "X", "seq": 7})
    census = one.codec.census(event)
    assert census is not None
    assert (census.unread, census.lacks_numbers) == (("bids[].p", "venue"), True)
    assert "timestamp" in census.absent
    assert one.codec.census(Quote(symbol="A", raw=b"{")) is None
    assert one.codec.census(Quote(symbol="A", raw=b"{}")) is None
    assert one.codec.census(Quote(symbol="A", raw=b'{"type":"quote","data":[{"symbol":"A"}]}')) is None
    broken = one.receive(
        {
            "type": "options_chain",
            "underlying": "A",
            "contracts": [{"symbol": "X", "greeks": {"vol": "1"}}, {"symbol": "Y", "greeks": None}],
        }
    )
    assert one.codec.census(broken).unread == ("contracts[].greeks.vol",)  # type: ignore[union-attr]


def test_update_proves_its_subscription_at_the_time_out_and_then_at_once() -> None:
    one = Driver()
    one.subscribe(QUOTES, "A", "B")
    assert [type(each) for each in one.receive(QUOTE)] == [Quote]
    assert not one.holds(QUOTES, "A")
    one.check(1.0)
    assert one.holds(QUOTES, "A")
    assert one.sent()[-1]["symbols"] == ["B"]
    one.receive(QUOTE | {"symbol": "B"})
    assert one.holds(QUOTES, "B")
    one.subscribe(MINUTES, "A")
    one.receive({"type": "bar", "symbol": "A", **BAR, "interval": "5m"})
    assert not one.holds(MINUTES, "A")
    one.receive({"type": "bar", "symbol": "A", **BAR})
    assert one.holds(MINUTES, "A")
    chain = ChannelKey("options_chain", (("expiration", None),))
    one.subscribe(chain, "T", detail=True)
    one.receive({"type": "options_chain", "underlying": "T", "contracts": [CONTRACT]})
    assert one.holds(chain, "T", detail=True)


def test_refusal_after_a_proof_still_rejects() -> None:
    one = Driver()
    one.subscribe(QUOTES, "A", "B")
    [first] = one.sent()
    one.receive(QUOTE)
    one.receive(QUOTE | {"symbol": "B"})
    one.check(1.0)
    one.results()
    one.receive({"type": "error", "id": first["id"], "code": "403", "message": "no B", "symbols": ["B"]})
    [rejected] = one.results()
    assert (rejected.key.symbol, rejected.cause) == ("B", "no B")
    assert (one.holds(QUOTES, "A"), one.holds(QUOTES, "B")) == (True, False)


def test_update_proves_nothing_where_the_dialect_waits_or_a_detail_widens() -> None:
    one = Driver({"market_data": {"handshake": {"subscription": "wait"}}})
    one.subscribe(QUOTES, "A")
    assert isinstance(one.receive(QUOTE), Quote)
    one.check(1.0)
    assert not one.holds(QUOTES, "A")
    one = Driver()
    one.subscribe(TRADES, "A", detail="regular")
    one.receive({"type": "subscribed", "id": one.sent()[0]["id"]})
    one.subscribe(TRADES, "A", detail="all")
    one.receive({"type": "trade", "symbol": "A", "price": "1"})
    one.check(1.0)
    assert not one.holds(TRADES, "A", "all")


def test_silence_confirms_where_the_dialect_assumes_it_or_has_no_unsubscribe() -> None:
    handshake = {"subscription": "assume", "subscription_after": 0.5}
    one = Driver({"market_data": {"handshake": handshake, "unsubscribe": {}}})
    one.subscribe(QUOTES, "A")
    assert one.protocol.deadline == 0.5
    one.check(0.5)
    assert one.holds(QUOTES, "A")
    one.registry.remove("feed", [SubscriptionKey(QUOTES, "A")])
    one.sync.sync([SubscriptionKey(QUOTES, "A")], 0.5)
    one.check(0.5)
    assert not one.holds(QUOTES, "A")
    assert [each["action"] for each in one.sent()] == ["subscribe"]


@pytest.mark.parametrize(
    ("frame", "is_held"),
    [
        ({"id": "1", "success": True}, True),
        ({"id": "1", "result": "ok"}, True),
        ({"id": "1", "status": "pending"}, False),
        ({"id": "1", "success": True, "error": "FAIL"}, False),
        ({"success": True}, False),
        ({"id": "9", "success": True}, False),
        ({"type": "subscription", "id": "1", "status": "ok"}, True),
        ({"T": "subscription", "data": {"quotes": ["FAIL"]}}, True),
        ({"subscriptions": {"quotes": ["FAIL"]}, "type": "subscriptions"}, True),
        ({"type": "subscriptions", "subscriptions": None}, False),
        ({"status": "you have subscribed", "symbol": "FAIL"}, True),
        ({"status": "you have unsubscribed", "symbol": "FAIL"}, False),
        ({"type": "subscribed", "symbols": [7]}, True),
        ({"type": "subscribed", "symbols": 7}, True),
        ({"T": "subscription", "quotes": [7]}, True),
    ],
)
def test_reply_of_another_form_confirms_what_it_names(frame: Any, *, is_held: bool) -> None:
    one = Driver()
    one.subscribe(QUOTES, "FAIL")
    one.receive(frame)
    assert one.holds(QUOTES, "FAIL") is is_held


def test_reply_of_another_form_refuses_or_ends_what_it_names() -> None:
    one = Driver()
    one.subscribe(QUOTES, "A")
    one.receive({"symbol": "A", "status": "rejected", "message": "not for you"})
    one.check(1.0)
    one.receive({"symbol": "A", "status": "rejected", "message": "not for you"})
    assert "not for you" in one.results()[-1].cause
    one.subscribe(QUOTES, "B")
    one.receive({"id": one.sent()[-1]["id"], "success": True})
    one.registry.remove("feed", [SubscriptionKey(QUOTES, "B")])
    one.sync.sync([SubscriptionKey(QUOTES, "B")], one.now)
    one.receive({"id": one.sent()[-1]["id"], "success": True})
    assert not one.holds(QUOTES, "B")


def test_list_that_is_not_understood_is_not_compared() -> None:
    one = Driver()
    one.subscribe(QUOTES, "A")
    one.receive({"type": "subscribed"})
    one.results()
    one.registry.queries["2"] = PendingQuery(b"")
    for entry in ({"stream": "quotes.A"}, 7, {"channel": "quotes", "symbols": None}):
        one.receive({"type": "subscriptions", "id": "2", "subscriptions": [entry]})
        [reply] = one.results()
        assert (reply.message.is_whole, reply.difference) == (False, None)
    assert one.holds(QUOTES, "A")
    one.receive({"type": "subscriptions", "id": "2"})
    assert not one.results()[0].message.is_whole
    one.receive({"type": "subscriptions", "data": [{"channel": "options_chain", "underlying": "T"}]})
    assert one.results()[0].message.entries[0].symbols == ("T",)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"bars": [{"o": "1"}]}, "no number of its bars"),
        ({"bars": [7]}, "no bar"),
        ({"bars": {"A": []}}, "no list"),
        ({}, "no list"),
        ({"bars": [{**BAR, "interval": "1min"}]}, "the interval"),
    ],
)
def test_snapshot_that_is_not_understood_is_malformed(reply: dict[str, Any], problem: str) -> None:
    one = Driver()
    one.registry.queries["2"] = PendingQuery(b"", "bars", "A")
    event = one.receive({"type": "snapshot", "id": "2", **reply})
    if event is not None:
        assert problem in event.problem
        return
    [found] = one.results()
    assert problem in found.message.problem
    with pytest.raises(MalformedResponseError):
        past_bars(found.message, "A", "1m")


def test_snapshot_without_an_id_belongs_to_the_only_query() -> None:
    one = Driver()
    one.registry.queries["2"] = PendingQuery(b"", "bars", "A")
    one.receive({"type": "snapshot", "symbol": "A", "bars": [{**BAR, "interval": "1 M".replace("M", "m")}]})
    [found] = one.results()
    assert found.request_id == "2"
    assert [bar.interval for bar in past_bars(found.message, "A", "1m")] == ["1m"]
    one.receive({"type": "snapshot", "id": "2", "bars": None})
    assert one.results()[0].message.bars == ()


def test_snapshot_of_a_channel_without_a_query_is_an_event() -> None:
    one = Driver()
    assert one.receive({"type": "snapshot", "channel": "quotes", "symbol": "A", "bid_price": "1"}).bid_price == 1


def test_error_names_channels_in_the_words_of_the_wire() -> None:
    one = Driver({"market_data": {"channels": {"depth": "book"}}})
    one.subscribe(ChannelKey("depth"), "A", detail=5)
    one.receive({"type": "error", "topics": ["book"], "symbol": "A", "code": 403, "message": "no depth"})
    assert one.results()[-1].cause == "no depth"


def test_login_may_carry_an_id() -> None:
    template = {"action": "auth", "access_token": "{access_token}", "id": "{id}"}
    codec = MarketDataCodec(Secret("hush"), Dialect.from_dict({"market_data": {"authenticate": template}}))
    assert json.loads(codec.authenticate())["id"] == "1"


OTHER = {
    "market_data": {
        "tag": "k",
        "authenticate": {"op": "login", "jwt": "{access_token}"},
        "subscribe": {"op": "sub", "ref": "{id}", "stream": "{channel}", "of": "{symbol}", "with": "{options}"},
        "unsubscribe": {"op": "unsub", "ref": "{id}", "stream": "{channel}", "of": "{symbol}"},
        "snapshot": {},
        "each_symbol": True,
        "ids": "number",
        "controls": {"authenticated": ["in"], "subscribed": ["ack"], "error": ["no"]},
        "rules": [{"when": {"$": "hello"}, "is": "welcome"}],
        "channels": {"quotes": "top", "bars": "candles"},
        "options": {"interval": {"name": "res", "values": {"1m": "1min"}}},
        "updates": {"quote": ["Q"], "bar": ["C"]},
    },
    "names": {
        "aliases": {
            "quote": {"symbol": "s", "bid_price": "b", "bid_size": "bs", "ask_price": "a", "timestamp": "t"},
            "bar": {"symbol": "s", "interval": "res", "close": "c", "start_time": "t"},
            "subscribed": {"id": "ref"},
            "error": {"id": "ref", "message": "why"},
        }
    },
}


async def test_dialect_of_the_client_reaches_the_market_data_stream() -> None:
    heard: list[Any] = []

    def parse(raw: str | bytes) -> dict[str, Any]:
        frame = json.loads(raw)
        heard.append(frame)
        if frame["op"] == "login":
            return {"action": "authenticate", "access_token": frame["jwt"]}
        action = {"sub": "subscribe", "unsub": "unsubscribe"}[frame["op"]]
        channel = {"top": "quotes", "candles": "bars"}[frame["stream"]]
        return {"action": action, "id": frame["ref"], "channel": channel, "symbols": [frame["of"]]}

    def speak(frame: dict[str, Any]) -> list[str]:
        forms: dict[str, Any] = {
            "welcome": "hello",
            "authenticated": {"k": "in"},
            "subscribed": {"k": "ack", "ref": frame.get("id")},
            "unsubscribed": {"k": "gone", "ref": frame.get("id")},
            "error": {"k": "no", "ref": frame.get("id"), "why": frame.get("message")},
            "quote": {"k": "Q", "s": frame.get("symbol"), "b": frame.get("bid_price"), "t": AT},
            "bar": {"k": "C", "s": frame.get("symbol"), "res": "1min", "c": frame.get("close"), "t": AT},
        }
        form = forms[frame["type"]]
        return [form if isinstance(form, str) else json.dumps(form)]

    async with MarketEnd() as end, nothing_left():
        end.hear, end.speak, end.refused = parse, speak, {"BAD"}
        async with (
            end.stream(timeouts=QUICK, dialect=Dialect.from_dict(OTHER)) as md,
            md.quotes("AAPL", "MSFT") as quotes,
            md.bars("AAPL", backfill=0) as bars,
        ):
            for number in range(3):
                await end.quote("AAPL", f"1.{number}")
                assert (await took(quotes)).bid_price_text == f"1.{number}"
                await end.publish("bar", "AAPL", close=f"2.{number}")
                assert (await took(bars)).close_text == f"2.{number}"
            with pytest.raises(MarketDataRefusedError, match="not entitled to BAD"):
                await quotes.add("BAD")
            with pytest.raises(ConfigurationError, match="dialect must have a template of the request for history"):
                await md.history("AAPL")
            assert md.health().set_aside == 0
    assert [frame for frame in heard if frame["op"] == "sub"][2] == {
        "op": "sub",
        "ref": 3,
        "stream": "candles",
        "of": "AAPL",
        "with": {"res": "1min"},
    }


async def test_stream_that_is_not_understood_ends_in_the_words_of_the_server() -> None:
    async with MarketEnd() as end, nothing_left():
        end.speak = lambda frame: ["hi"] if frame["type"] == "welcome" else ['{"x": "come in"}']
        stream = end.stream(timeouts=Timeouts(login=0.3, close=1.0))
        with pytest.raises(HandshakeError, match=r"no answer while authenticating .* not understood: .*come in"):
            await stream.open()


async def test_subscription_that_is_not_understood_fails_in_the_words_of_the_server() -> None:
    async with MarketEnd() as end, nothing_left():
        usual = end.speak
        end.speak = lambda frame: ['{"x": "as you like"}'] if "id" in frame else usual(frame)
        async with end.stream(timeouts=Timeouts(login=0.3, close=1.0)) as md:
            with pytest.raises(MarketDataRefusedError, match=r"did not answer 3 requests; .*as you like"):
                await md.quotes("AAPL").__aenter__()
            with pytest.raises(RequestTimeoutError, match=r"within 0\.1 s; .*as you like"):
                await md.history("AAPL", timeout=0.1)
            assert md.health().set_aside > 0


async def test_symbols_that_no_confirmation_names_are_in_the_error_of_the_login() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(timeouts=Timeouts(login=0.3, close=1.0)) as md,
        md.quotes("AAPL", "MSFT"),
        md.subscribe("lifecycle") as lifecycle,
    ):
        usual = end.speak

        def speak(frame: dict[str, Any]) -> list[str]:
            return usual(frame | {"symbols": ["AAPL"]} if frame["type"] == "subscribed" else frame)

        end.speak = speak
        end.drop()
        async with asyncio.timeout(PATIENCE):
            async for event in lifecycle:
                if isinstance(event, StreamLost) and "not confirmed" in event.cause:
                    assert "not confirmed: quotes of MSFT" in event.cause
                    break


WORDS = st.text("abcdefghijklmnop-0123456789", min_size=1, max_size=12)


@given(words=st.lists(WORDS.filter(lambda word: word not in {"regular", "extended"}), min_size=1, max_size=5))
def test_trades_with_a_strange_word_for_their_hours_are_delivered_and_said_once_a_word(words: list[str]) -> None:
    one = Driver()
    said: list[UnknownMessage] = []
    for word in [*words, *words]:
        found = one.receive({"type": "trade", "symbol": "A", "price": "1", "session": word})
        event, *notices = cast("Any", found) if isinstance(found, list) else [found]
        assert event.hours == word
        said.extend(notices)
    assert len(said) == len(set(words))
    assert all(
        each.topic == "unknown" and "hours must be one of regular, extended, got" in each.problem for each in said
    )


@pytest.mark.parametrize("word", ["20261218", "18 DEC 26", "2026-12-18T00:00:00Z", "weekly", ""])
def test_chains_with_a_strange_expiration_are_delivered_and_said_once_a_word(word: str) -> None:
    one = Driver()
    frame = {
        "type": "options_chain",
        "underlying": "A",
        "contracts": [{"symbol": "A261218C00100000", "bid_price": "1"}],
    }
    for day in ("2026-12-18", None, "2027-01-15"):
        assert one.receive({**frame, "expiration": day}).expiration_text == day
    event, said = one.receive({**frame, "expiration": word})
    assert event.expiration_text == word
    assert f"got {word!r} for A" in said.problem
    assert one.receive({**frame, "expiration": word}) == event


def test_strange_words_beyond_the_bound_are_said_each_time() -> None:
    one = Driver()
    for number in range(MAX_SAID):
        one.receive({"type": "trade", "symbol": "A", "price": "1", "session": f"w{number}"})
    for _ in range(2):
        assert len(one.receive({"type": "trade", "symbol": "A", "price": "1", "session": "more"})) == 2


@pytest.mark.parametrize("interval", ["1M", "2m", "minute", ""])
def test_bars_of_a_strange_interval_are_said_each_time(interval: str) -> None:
    one = Driver()
    for _ in range(2):
        found = one.receive({"type": "bar", "symbol": "A", "interval": interval, "close": "1"})
        assert isinstance(found, UnknownMessage)
