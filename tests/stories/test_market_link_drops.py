"""The link of market data drops, goes silent or is flooded, and what was subscribed stays subscribed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import AuthenticationRefusedError, ConnectError, HandshakeError, SlowConsumerError, Timeouts
from connecttrade_async.models.events import Gap, StreamLive, StreamLost, StreamRetrying, UnknownMessage
from connecttrade_async.models.market import Quote
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from manual_clock import BEGIN, SteppedClock
from market_data_fixtures import agreed, gap, linked, market, story, taken, trade
from stream_fixtures import PATIENCE, client, nothing_left, until, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.sandbox.faults.stream import StreamKind
    from connecttrade_async.sandbox.streams.market_data import MarketDataStream

ENDS: dict[str, Callable[[MarketDataStream], None]] = {
    "going away": lambda stream: stream.drop(1001),
    "a clean close": lambda stream: stream.drop(1000),
    "an error of the server's": lambda stream: stream.drop(1011),
    "an unknown code": lambda stream: stream.drop(4999),
    "no close frame": lambda stream: stream.drop(None),
    "reset": lambda stream: stream.reset(),
}
BEFORE_LIVE: tuple[StreamKind, ...] = ("cut_upgrade", "cut_welcome", "cut_login")
AFTER_LIVE: tuple[StreamKind, ...] = (*BEFORE_LIVE, "cut_ack", "refuse_upgrade")
POISON = {
    "no JSON": "{nonsense",
    "nothing": "",
    "half a frame": '{"type": "quote", "symbol": "AA',
    "an array": "[1, 2, 3]",
    "a type that is no text": '{"type": {"trade": 1}}',
    "a symbol that is no text": '{"type": "trade", "symbol": {"a": 1}}',
    "no symbol": '{"type": "trade", "price": "1.00"}',
    "an unknown channel": '{"type": "weather", "symbol": "AAPL"}',
    "very deep": "[" * 100_000,
    "an error that is none": '{"type": "error"}',
    "a reply that no request awaits": '{"type": "subscribed", "id": "4711", "symbols": ["MSFT"]}',
    "an unsolicited snapshot": '{"type": "snapshot", "bars": []}',
    "a second welcome": '{"type": "welcome"}',
    "a second login's answer": '{"type": "authenticated"}',
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_stream_with_a_dropped_connection_reconnects_and_delivers_later_events(
    end: Callable[[MarketDataStream], None],
) -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL", "MSFT") as trades:
        trade(sandbox, 1, 2)
        assert story(await taken(trades, 2)) == [1, 2]
        end(sandbox.market)
        trade(sandbox, 3)
        await sandbox.market.until_live(2)
        await sandbox.market.until_subscribed("trades", "AAPL", "MSFT")
        trade(sandbox, 4)
        assert story(await taken(trades, 2)) == ["Gap", 4]
        assert (md.health().reconnects, md.health().gaps) == (1, 1)


@pytest.mark.parametrize("kind", BEFORE_LIVE)
async def test_stream_with_a_drop_in_the_first_handshake_raises_on_entry(kind: StreamKind) -> None:
    async with market() as (sandbox, md), nothing_left():
        sandbox.market.faults.add(StreamFault(kind))
        with pytest.raises(ConnectError if kind == "cut_upgrade" else HandshakeError):
            await md.__aenter__()
        assert sandbox.market.log.received["connect"] == 1


@pytest.mark.parametrize("kind", AFTER_LIVE)
async def test_stream_with_a_drop_in_a_later_handshake_tries_again(kind: StreamKind) -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        sandbox.market.faults.add(StreamFault(kind, times=3))
        sandbox.market.reset()
        assert "dropped" in (await gap(trades)).cause
        trade(sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert (sandbox.market.log.received["connect"], md.health().gaps) == (5, 1)


@pytest.mark.parametrize("kind", ["drop", "reset", "tear"])
async def test_stream_with_a_drop_after_each_reconnect_tries_again(kind: StreamKind) -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        sandbox.market.faults.add(StreamFault(kind, times=5))
        for _ in range(5):
            await sandbox.market.until_subscribed("trades", "AAPL")
            trade(sandbox, 1)
            await gap(trades)
        trade(sandbox, 6)
        assert story(await taken(trades, 1)) == [6]
        assert md.health().gaps == 5


async def test_stream_without_a_reply_to_the_login_reconnects_in_time() -> None:
    async with market(timeouts=Timeouts(login=0.1, close=0.2)) as (sandbox, md), nothing_left(), md:
        lifecycle = md.subscribe("lifecycle")
        async with md.trades("AAPL") as trades:
            sandbox.market.faults.add(StreamFault("no_welcome"))
            sandbox.market.faults.add(StreamFault("no_login"))
            sandbox.market.reset()
            causes = [(await until(lifecycle, StreamLost)).cause for _ in range(3)]
            assert all(cause.startswith("no answer while ") for cause in causes[1:])
            await gap(trades)
            trade(sandbox, 1)
            assert story(await taken(trades, 1)) == [1]


async def test_stream_with_a_rejected_first_login_raises_on_entry() -> None:
    async with market() as (sandbox, md), nothing_left():
        sandbox.market.faults.add(StreamFault("refuse_login"))
        with pytest.raises(AuthenticationRefusedError):
            await md.__aenter__()
        assert sandbox.market.log.received["authenticate"] == 1


async def test_stream_with_an_unreachable_server_reconnects_once_it_is_back() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        lifecycle = md.subscribe("lifecycle")
        await sandbox.market.aclose()
        for _ in range(4):
            await until(lifecycle, StreamRetrying)
        await trades.remove("AAPL")
        adding = asyncio.create_task(trades.add("MSFT"))
        await until(lifecycle, StreamRetrying)
        assert not adding.done()
        await sandbox.market.start(again=True)
        await adding
        assert set(await agreed(sandbox, md)) == {("trades", "MSFT")}
        trade(sandbox, 1, symbol="MSFT")
        assert story(await taken(trades, 2)) == ["Gap", 1]


async def test_stream_reconnects_to_a_server_restarted_on_the_same_port() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        for number in range(3):
            await sandbox.market.restart()
            await gap(trades)
            trade(sandbox, number)
            assert story(await taken(trades, 1)) == [number]


async def test_stream_with_a_silence_limit_reconnects_from_a_silent_server() -> None:
    clock, patience = SteppedClock(), Timeouts(silence=60.0, login=300.0, close=0.5)
    async with market(clock=clock, timeouts=patience) as (sandbox, md), nothing_left(), md:
        lifecycle = md.subscribe("lifecycle")
        async with md.trades("AAPL") as trades:
            clock.advance(59.0)
            trade(sandbox, 1)
            assert story(await taken(trades, 1)) == [1]
            sandbox.market.silent = True
            trade(sandbox, 2)
            clock.advance(60.1)
            assert (await until(lifecycle, StreamLost)).cause.startswith("no frame was received within ")
            sandbox.market.silent = False
            while md.health().state != "LIVE":
                clock.advance(0.02)
                await asyncio.sleep(0)
            await gap(trades)
            trade(sandbox, 3)
            assert story(await taken(trades, 1)) == [3]


async def test_stream_detects_a_half_open_connection_by_its_pings() -> None:
    async with market(timeouts=Timeouts(close=0.2, ping=0.05)) as (sandbox, md), nothing_left(), md:
        lifecycle = md.subscribe("lifecycle")
        async with md.trades("AAPL") as trades:
            sandbox.market.freeze()
            trade(sandbox, 1)
            assert "the client closed the connection" in (await until(lifecycle, StreamLost)).cause
            await until(lifecycle, StreamLive)
            await gap(trades)
            trade(sandbox, 2)
            assert story(await taken(trades, 1)) == [2]


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_stream_with_a_malformed_frame_among_a_thousand_delivers_the_others(poison: str) -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.trades("AAPL") as trades:
        for number in range(1000):
            if number == 500:
                sandbox.market.send(poison)
            trade(sandbox, number)
        assert story(await taken(trades, 1000)) == list(range(1000))
        assert (md.health().reconnects, md.health().set_aside) in {(0, 0), (0, 1)}
        assert set(await agreed(sandbox, md)) == {("trades", "AAPL")}


async def test_stream_publishes_frames_it_cannot_decode_as_unknown() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.subscribe("unknown") as odd:
        sandbox.market.send({"type": "weather", "symbol": "AAPL"})
        assert b"weather" in (await until(odd, UnknownMessage)).raw


async def test_feed_of_a_slow_consumer_does_not_affect_a_fast_one() -> None:
    many = 20_000
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.quotes("AAPL", overflow="drop_oldest", capacity=2 * many) as fast,
        md.quotes("AAPL") as latest,
        md.quotes("AAPL", overflow="drop_oldest", capacity=100) as lossy,
        md.quotes("AAPL", overflow="close", capacity=100) as slow,
    ):
        await taken(fast, 1)
        bursting = asyncio.create_task(sandbox.market.burst(many))
        async with asyncio.timeout(PATIENCE):
            for number in range(1, many + 1):
                quote = await fast.receive()
                assert isinstance(quote, Quote)
                assert quote.bid_size == number
        await bursting
        assert [each.bid_size for each in await taken(latest, 1)] == [many]
        missed, *rest = await taken(lossy, 101)
        assert isinstance(missed, Gap)
        assert missed.dropped
        assert [each.bid_size for each in rest] == list(range(many - 99, many + 1))
        with pytest.raises(SlowConsumerError):
            await taken(slow, many)
        assert (md.health().state, md.health().gaps) == ("LIVE", 0)


async def test_streams_of_two_users_do_not_affect_each_other() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        sandbox.clock.hold(BEGIN)
        (ada, of_ada), (bob, of_bob) = await linked(sandbox, ct, "ada"), await linked(sandbox, ct, "bob")
        async with nothing_left(), ada.market_data(of_ada) as one, bob.market_data(of_bob) as two:
            async with one.trades("AAPL") as hers, two.trades("AAPL", "MSFT") as his:
                trade(sandbox, 1)
                assert story(await taken(hers, 1) + await taken(his, 1)) == [1, 1]
                sandbox.market.expire_token(of_ada)
                await asyncio.sleep(0)
                trade(sandbox, 2)
                assert story(await taken(his, 1)) == [2]
                assert two.health().gaps == 0
            assert waiting(two.subscribe("lifecycle")) == []
