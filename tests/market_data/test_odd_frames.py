"""Random frames: none ends a market data stream, and none raises a foreign error in the code of a user."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import ConnectTradeError, MalformedResponseError, Quote, Secret
from connecttrade_async.market_data.codec import MarketDataCodec
from connecttrade_async.market_data.filters import BarSequencer, ExpirationFilter, HoursFilter, IntervalFilter
from connecttrade_async.market_data.names import CHANNELS
from connecttrade_async.market_data.registry import ChannelKey, SubscriptionKey, SubscriptionRegistry
from connecttrade_async.market_data.subscription_sync import MarketDataSync
from connecttrade_async.models import market
from connecttrade_async.models.fields import Field, number
from connecttrade_async.streaming.protocol import ConnectionState, StreamProtocol
from market_data_server import MarketEnd
from stream_fixtures import PATIENCE, nothing_left

if TYPE_CHECKING:
    from connecttrade_async import Feed

KINDS = [
    *("quote", "trade", "bar", "depth", "options_chain", "quotes", "trades", "bars", "welcome", "authenticated"),
    *("subscribed", "unsubscribed", "subscriptions", "snapshot", "error", "heartbeat", "order", ""),
]
MEMBERS = [
    *("type", "event", "topic", "id", "channel", "symbol", "symbols", "data", "code", "message", "underlying"),
    *("bid_price", "price", "size", "session", "interval", "start_time", "closed", "open", "volume", "timestamp"),
    *("bids", "asks", "expiration", "contracts", "greeks", "subscriptions", "bars", "user_id", "account_id", "topics"),
    *("_raw", "_is_backfill", "_is_correction", "delta"),
]
LONG = "a number of 5000 digits"  # spelled by name, since hypothesis cannot show such a number


def json_of(value: object) -> bytes:
    """Spell a value as JSON, numbers of any length included."""
    if value == LONG:
        return b"1" + b"0" * 4999
    if isinstance(value, list):
        return b"[" + b",".join(map(json_of, cast("list[object]", value))) + b"]"
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return b"{" + b",".join(json.dumps(name).encode() + b":" + json_of(each) for name, each in members) + b"}"
    return json.dumps(value).encode()


TEXTS = st.sampled_from(["A", "AAPL", "1", "2", "1e999999999", "9" * 4400, "NaN", "", "quotes", "bars", "1m", "\x00\n"])
NUMBERS = st.integers() | st.sampled_from([10**30, LONG, -(2**63), 1.5, 1e308, 0, 1])
LEAVES = st.none() | st.booleans() | TEXTS | NUMBERS | st.text(max_size=5) | st.sampled_from(KINDS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


def typed(kind: str, rest: dict[str, Any]) -> dict[str, Any]:
    """Return a frame of a type."""
    return {"type": kind, **rest}


def torn(value: object, size: int) -> bytes:
    """Return the beginning of a frame."""
    return json_of(value)[:size]


OBJECTS = st.builds(typed, st.sampled_from(KINDS), st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=6))
FRAMES = st.builds(json_of, OBJECTS | VALUES) | st.binary(max_size=20) | st.builds(torn, OBJECTS, st.integers(0, 60))


def read_attributes(event: Any) -> None:
    """Read every attribute of an event and of the objects in it, as the code of a user may."""
    for name in dir(cast("object", type(event))):
        if not isinstance(inspect.getattr_static(event, name), Field | property):
            continue
        try:
            getattr(event, name)
        except ConnectTradeError as exc:
            assert isinstance(exc, MalformedResponseError)  # noqa: PT017 - of all others nothing may come
    repr(event)
    for name in getattr(event, "__struct_fields__", ()):
        value = getattr(event, name)
        held = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        for each in held:
            if isinstance(each, msgspec.Struct):
                read_attributes(each)


LINES = [ChannelKey(channel) for channel in CHANNELS if channel != "bars"] + [ChannelKey("bars", (("interval", "1m"),))]


@settings(max_examples=200, deadline=None)
@given(frames=st.lists(FRAMES, max_size=8))
def test_market_data_codec_and_models_never_raise_on_odd_frames(frames: list[bytes]) -> None:
    registry = SubscriptionRegistry()
    codec = MarketDataCodec(Secret("token"), registry=registry)
    sync = MarketDataSync(registry, codec)
    protocol = StreamProtocol(codec, sync, now=0.0, login=10.0)
    for frame in (b'{"type":"welcome"}', b'{"type":"authenticated"}'):
        protocol.receive(frame, 0.0)
    assert state(protocol) is ConnectionState.LIVE
    for channel_key in LINES:
        keys = [SubscriptionKey(channel_key, symbol) for symbol in ("A", "AAPL")]
        registry.add("who", keys, None)
        sync.sync(keys, 0.0)
    sequencer = BarSequencer()
    choices = HoursFilter("regular"), IntervalFilter("1m"), ExpirationFilter("2026-12-18", greeks=True)
    for frame in frames:
        event: Any = protocol.receive(frame, 1.0)
        if event is not None:
            read_attributes(event)
            if isinstance(event, market.Bar):
                choices[1].matches(event)
                sequencer.accept(event)
            elif isinstance(event, market.Trade):
                choices[0].matches(event)
            elif isinstance(event, market.OptionsChain):
                choices[2].matches(event)
            elif isinstance(event, market.Depth):
                event.top(1)
        if protocol.closed is None:
            protocol.check(2.0)
    assert state(protocol) is ConnectionState.LIVE or is_refused_by_code(frames)


def state(protocol: StreamProtocol) -> ConnectionState:
    # By a call, since type checkers take it that an attribute stays as it was last seen.
    return protocol.state


def is_refused_by_code(frames: list[bytes]) -> bool:
    """Whether one of the frames is an error of the whole connection, by its code."""
    return any(code in frame for frame in frames for code in (b"401", b"403", b"409"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, min_size=1, max_size=12).filter(lambda frames: not is_refused_by_code(frames)))
async def test_odd_frames_do_not_end_a_market_data_stream(frames: list[bytes]) -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.quotes("AAPL", "A", overflow="drop_oldest") as quotes,
        md.trades("A", hours="regular") as trades,
        md.bars("A", backfill=2, fill_gaps=True) as bars,
        md.depth("A", levels=1) as depth,
        md.options_chain("A") as chains,
        md.subscribe("unknown") as unknown,
    ):
        for frame in frames:
            try:
                await end.links[0].socket.send(frame.decode())
            except UnicodeDecodeError:
                await end.links[0].socket.send(frame)
        await end.links[0].socket.send('{"type": "quote", "symbol": "AAPL", "bid_price": "777"}')
        async with asyncio.timeout(PATIENCE):
            while True:
                event = await quotes.receive()
                read_attributes(event)
                if isinstance(event, Quote) and event.bid_price_text == "777":
                    break
        for feed in (quotes, trades, bars, depth, chains):
            await read_feed(feed)
        while (message := unknown.receive_nowait()) is not None:
            read_attributes(message)
        await md.list_subscriptions()
        assert (md.health().state, md.health().reconnects) == ("LIVE", 0)


async def read_feed(feed: Feed[Any]) -> None:
    for _ in range(feed.statistics().waiting):
        try:
            async with asyncio.timeout(0.05):
                read_attributes(await feed.receive())
        except TimeoutError:  # what waited was passed over
            return


MODELS: list[Any] = [
    *(market.Quote, market.Trade, market.Bar, market.Level, market.Depth),
    *(market.Greeks, market.OptionContract, market.OptionsChain),
]
NUMBERED: list[tuple[Any, str]] = [
    (kind, name) for kind in MODELS for name in dir(kind) if isinstance(inspect.getattr_static(kind, name), number)
]
TOO_LONG = ["1e999999999", "-1E+31", "1e-31", "9" * 31, "0." + "9" * 31, "9" * 1_000_000, "1e" + "9" * 5000]


def test_every_number_text_of_a_market_data_model_has_a_number_property() -> None:
    found = {f"{kind.__name__}.{name}_text" for kind, name in NUMBERED}
    texts = {
        f"{kind.__name__}.{field}"
        for kind in MODELS
        for field in kind.__struct_fields__
        if field.endswith("_text") and field not in {"time_text", "start_time_text", "expiration_text"}
    }
    assert found == texts
    assert len(found) > 20


@pytest.mark.parametrize(("kind", "name"), NUMBERED)
@pytest.mark.parametrize("text", TOO_LONG)
def test_number_with_too_many_digits_raises_and_keeps_its_text(kind: Any, name: str, text: str) -> None:
    needed = {field: "x" for field in ("symbol", "interval", "underlying") if field in kind.__struct_fields__}
    model = kind(**needed, **{f"{name}_text": text})
    began = time.process_time()
    with pytest.raises(MalformedResponseError):
        getattr(model, name)
    assert time.process_time() - began < 1
    assert getattr(model, f"{name}_text") == text
