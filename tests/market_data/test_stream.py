from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import (
    ClosedError,
    ConfigurationError,
    ConnectTradeError,
    Depth,
    Gap,
    MalformedResponseError,
    MarketDataRefusedError,
    Quote,
    Reconnect,
    RequestTimeoutError,
    Secret,
    SlowConsumerError,
    StreamLive,
    StreamLost,
    StreamRetrying,
    SymbolError,
    SymbolRefused,
    Timeouts,
    Trade,
    UnknownMessage,
)
from manual_clock import SteppedClock
from market_data_server import MarketEnd
from stream_fixtures import PATIENCE, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from connecttrade_async import Feed, MarketDataStream
    from market_data_server import Held


async def test_quotes_feed_yields_quotes() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL", "MSFT") as quotes:
        assert end.subscribed == [("quotes", "AAPL"), ("quotes", "MSFT")]
        await end.quote("AAPL", "190.10")
        async for quote in quotes:
            assert isinstance(quote, Quote)
            assert (quote.symbol, quote.bid_price) == ("AAPL", Decimal("190.10"))
            break


async def test_feed_with_a_rejected_symbol_raises_on_entry_and_affects_no_other() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL") as quotes:
        end.refused = {"IBM"}
        with pytest.raises(MarketDataRefusedError, match="rejected quotes of IBM: not entitled to IBM") as caught:
            await md.quotes("AAPL", "IBM", "MSFT").__aenter__()
        assert (caught.value.symbol, caught.value.code) == ("IBM", "403")
        await end.until(lambda: end.subscribed == [("quotes", "AAPL")])
        await end.quote("AAPL", "1")
        assert isinstance(await quotes.receive(), Quote)


async def test_stream_with_an_unmatched_error_stays_open_and_with_a_repeated_one_ends() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:

        def complain(held: Held, frame: dict[str, Any]) -> None:
            del frame
            TASKS.append(asyncio.ensure_future(held.send(type="error", code="400", message="try to be shorter")))

        end.act("subscribe", 1, complain)
        async with md.quotes("AAPL") as quotes:
            await end.quote("AAPL", "1")
            assert [type(each) for each in await took(quotes, 1)] == [Quote]
        end.act("subscribe", 2, complain)
        with pytest.raises(MarketDataRefusedError, match="the server rejected quotes of MSFT: try to be shorter"):
            await md.quotes("MSFT").__aenter__()
        end.act("snapshot", 1, complain)
        with pytest.raises(MarketDataRefusedError, match="the server rejected history of AAPL: try to be shorter"):
            await md.history("AAPL")


async def test_stream_with_an_error_about_another_symbol_publishes_it_as_unknown() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL") as quotes:
        unknown = md.subscribe("unknown")
        for named in ({"symbol": "IBM"}, {"user_id": "bob"}, {"account_id": "a1"}, {"channel": "news"}, {}):
            code = "403" if named else "418"
            await end.broadcast(type="error", code=code, message="not entitled", **named)
            message = await unknown.receive()
            assert isinstance(message, UnknownMessage)
            assert "not entitled" in message.problem
            assert all(value in message.problem for value in named.values())
        assert (md.health().state, md.health().set_aside) == ("LIVE", 5)
        await end.quote("AAPL", "1")
        assert [type(each) for each in await took(quotes, 1)] == [Quote]


async def test_stream_with_an_error_about_an_awaited_symbol_rejects_that_symbol_only() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:

        def complain(held: Held, frame: dict[str, Any]) -> None:
            del frame
            TASKS.append(asyncio.ensure_future(held.send(type="error", code="403", message="no", symbol="IBM")))

        end.act("subscribe", 1)  # no answer yet
        end.act("subscribe", 1, complain)
        opening = asyncio.create_task(md.quotes("AAPL").__aenter__())
        await end.until_received("subscribe")
        with pytest.raises(MarketDataRefusedError, match="the server rejected trades of IBM: no"):
            await md.trades("IBM").__aenter__()
        assert (await opening).symbols == {"AAPL"}


@pytest.mark.parametrize("kind", ["snapshot", "subscriptions", "subscribed", "unsubscribed"])
async def test_history_with_a_reply_of_another_kind_raises_malformed_response(kind: str) -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:

        def answer(held: Held, frame: dict[str, Any]) -> None:
            TASKS.append(asyncio.ensure_future(held.send(type=kind, id=frame["id"])))

        end.act("snapshot", 1, answer)
        end.act("list_subscriptions", 1, answer)
        if kind != "snapshot":
            with pytest.raises(MalformedResponseError, match="is of the kind"):
                await md.history("AAPL")
        if kind != "subscriptions":
            with pytest.raises(MalformedResponseError, match="is of the kind"):
                await md.list_subscriptions()
        assert md.health().state == "LIVE"


async def test_second_feed_of_a_symbol_sends_no_frame_and_the_last_one_unsubscribes() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        async with md.quotes("AAPL") as one, md.quotes("AAPL") as other:
            assert len(end.of("subscribe")) == 1
            await end.quote("AAPL", "1")
            assert [type(await feed.receive()) for feed in (one, other)] == [Quote, Quote]
            await one.add("MSFT")
            await one.remove("AAPL")
            assert (set(one.symbols), set(other.symbols)) == ({"MSFT"}, {"AAPL"})
            assert end.subscribed == [("quotes", "AAPL"), ("quotes", "MSFT")]
            await end.quote("AAPL", "2")
            await end.quote("MSFT", "3")
            assert [quote.symbol async for quote in taking(one, 1)] == ["MSFT"]
        await end.until(lambda: end.subscribed == [])
        assert len(end.of("unsubscribe")) == 2


async def taking(feed: Feed[Any], count: int) -> AsyncGenerator[Any]:
    async with asyncio.timeout(PATIENCE):
        for _ in range(count):
            yield await feed.receive()


async def took(feed: Feed[Any], count: int) -> list[Any]:
    return [event async for event in taking(feed, count)]


async def test_trades_feed_yields_trades_of_its_hours() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.trades("AAPL", hours="regular") as regular,
        md.trades("AAPL") as every,
    ):
        assert [line["session"] for line in end.links[0].lines] == ["all"]
        assert [type(each) for each in await took(regular, 1)] == [Gap]  # what it had was resubscribed
        for price, hours in (("1", "extended"), ("2", "regular")):
            await end.publish("trade", "AAPL", price=price, session=hours)
        assert [trade.price for trade in await took(every, 2)] == [1, 2]
        assert [trade.price for trade in await took(regular, 1)] == [2]


async def test_depth_feed_cuts_depth_to_its_levels() -> None:
    levels = [{"price": str(price), "size": "1"} for price in range(5)]
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.depth("AAPL", levels=2) as shallow,
        md.depth("AAPL", levels=5) as deep,
    ):
        await end.publish("depth", "AAPL", bids=levels, asks=levels)
        assert [type(each) for each in await took(shallow, 1)] == [Gap]  # what it had was resubscribed
        assert [len(depth.bids) for depth in [*await took(shallow, 1), *await took(deep, 1)]] == [2, 5]
        await end.publish("depth", "AAPL", bids=levels[:1], asks=[])
        async for depth in shallow:
            assert isinstance(depth, Depth)
            assert len(depth.bids) == 1
            break


async def test_widening_a_subscription_reports_a_gap_to_the_narrower_feed() -> None:
    clock = SteppedClock()
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(clock=clock) as md,
        md.trades("A", "B", hours="regular") as regular,
        md.trades("C", hours="regular") as other,
    ):
        clock.advance(60)
        answers: list[tuple[Held, dict[str, Any]]] = []
        end.act("subscribe", 1, lambda held, frame: answers.append((held, frame)))
        opening = asyncio.create_task(md.trades("A", "B").__aenter__())
        await end.until_received("subscribe", 3)
        clock.advance(0.1)
        await end._subscribe(*answers[0])
        every = await opening
        for symbol in "ABC":
            await end.publish("trade", symbol, price="1", session="regular")
        gap, *trades = await took(regular, 3)
        assert gap == Gap(
            cause="trades of A, B was resubscribed", since=clock.wall() - timedelta(seconds=0.1), until=clock.wall()
        )
        assert [each.symbol for each in [*trades, *await took(every, 2), *await took(other, 1)]] == [*"ABABC"]
        await every.aclose()
        assert md.health().gaps == 0


async def test_subscription_lost_by_the_server_is_a_gap_for_its_feed() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, nothing_left(), end.stream(clock=clock) as md, md.trades("A") as a:
        since = clock.wall()
        clock.advance(60)
        async with md.trades("B") as b:
            end.links[0].lines = [line for line in end.links[0].lines if line["symbols"] != ["A"]]
            assert (await md.list_subscriptions()).missing == (("trades", "A"),)
            [gap] = await took(a, 1)
            assert (type(gap), gap.since, gap.until, gap.could_send) == (Gap, since, clock.wall(), True)
            await end.until(lambda: end.subscribed == [("trades", "A"), ("trades", "B")])
            await end.publish("trade", "A", price="1")
            assert [type(each) for each in await took(a, 1)] == [Trade]
            assert b.statistics().waiting == 0


async def test_options_chain_feed_yields_chains_of_its_expiration() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.options_chain("TSLA", "2026-12-18", greeks=False) as one,
        md.options_chain("TSLA", overflow="latest") as every,
    ):
        assert len(end.links[0].lines) == 2
        for day in ("2026-12-18", "2027-01-15"):
            await end.publish("options_chain", "TSLA", expiration=day, contracts=[{"symbol": "TSLA261218C00400000"}])
        assert {chain.expiration_text for chain in await took(every, 2)} == {"2026-12-18", "2027-01-15"}
        [chain] = await took(one, 1)
        assert chain.expiration == date(2026, 12, 18)
        assert one.statistics().waiting == 0


def bar(minute: int, *, closed: bool = True, **fields: Any) -> dict[str, Any]:
    return {
        "interval": "1m",
        "start_time": f"2026-03-02T14:{minute}:00Z",
        "close": str(minute),
        "closed": closed,
        **fields,
    }


async def test_bar_feed_yields_past_bars_first_and_no_bar_twice() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        end.bars["AAPL"] = [bar(31), bar(30), bar(32, closed=False)]
        async with md.bars("AAPL", backfill=3) as bars:
            for one in (bar(31), bar(32, closed=False), bar(32), bar(32), bar(33)):
                await end.publish("bar", "AAPL", **one)
            await end.publish("bar", "AAPL", **{**bar(34), "interval": "5m"})
            events = await took(bars, 6)
            assert [(each.close, each.closed, each.is_backfill) for each in events] == [
                (30, True, True),
                (31, True, True),
                (32, False, True),
                (32, False, False),
                (32, True, False),
                (33, True, False),
            ]
            assert end.of("snapshot")[0]["limit"] == "3"
            end.bars["MSFT"] = [bar(20)]
            await bars.add("MSFT")
            [past] = await took(bars, 1)
            assert (past.symbol, past.is_backfill) == ("MSFT", True)
            await bars.remove("AAPL")
            await bars.add("AAPL")
            assert [each.close for each in await took(bars, 3)] == [30, 31, 32]


def give_the_past(end: MarketEnd, count: int = 3) -> None:
    """Have the server answer a subscription of bars as the wire says: the past comes behind the acknowledgement."""

    async def answer(held: Held, frame: dict[str, Any]) -> None:
        await end._subscribe(held, frame)
        for symbol in frame["symbols"]:
            for minute in range(30, 30 + min(count, int(frame.get("backfill", "0")))):
                await held.send(type="bar", symbol=symbol, **bar(minute))

    end.act("subscribe", None, lambda held, frame: TASKS.append(asyncio.ensure_future(answer(held, frame))))


async def test_bar_feed_requests_past_bars_with_the_subscription() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.subscribe("lifecycle") as lifecycle:
        give_the_past(end)
        async with md.bars("AAPL", "MSFT", backfill=3, capacity=1, overflow="close") as bars:
            await end.publish("bar", "AAPL", **bar(33))
            events = [(each.symbol, each.close, each.is_backfill) for each in await took(bars, 7)]
            past = [(symbol, close, True) for close in (30, 31, 32) for symbol in ("AAPL", "MSFT")]
            assert events == [*past, ("AAPL", 33, False)]
            assert [frame["backfill"] for frame in end.of("subscribe")] == ["3"]
            assert end.of("snapshot") == []
            # What the server holds is not asked for again, so another feed has its past by a snapshot.
            end.bars["AAPL"] = [bar(32)]
            async with md.bars("AAPL", backfill=1) as other:
                assert [each.close for each in await took(other, 1)] == [32]
            await bars.add("IBM")
            assert [each.close for each in await took(bars, 3)] == [30, 31, 32]
            end.drop()
            await until(lifecycle, StreamLive)
            assert "backfill" not in end.of("subscribe")[-1]
        assert [frame["action"] for frame in end.received].count("snapshot") == 1


@pytest.mark.parametrize("how", ["refuses", "is silent", "gives none"])
async def test_bar_feed_without_past_bars_in_the_subscription_requests_a_snapshot(how: str) -> None:
    patience = Timeouts(login=0.4, close=1.0)
    async with MarketEnd() as end, nothing_left(), end.stream(timeouts=patience) as md:

        def act(held: Held, frame: dict[str, Any]) -> bool:
            if frame["action"] != "subscribe" or "backfill" not in frame or how == "gives none":
                return False
            if how == "refuses":
                said = held.send(type="error", id=frame["id"], code="400", message="backfill is unknown")
                TASKS.append(asyncio.ensure_future(said))
            return True

        end.acts.append(act)
        end.bars = {symbol: [bar(30), bar(31)] for symbol in ("AAPL", "MSFT", "IBM")}
        async with md.bars("AAPL", "MSFT", backfill=2) as bars:
            events = [(each.close, each.is_backfill) for each in await took(bars, 4)]
            assert events == [(30, True), (30, True), (31, True), (31, True)]
            asked = len(end.of("subscribe"))
            assert [("backfill" in frame) for frame in end.of("subscribe")] == [True, False][
                : 1 + (how != "gives none")
            ]
            await bars.add("IBM")
            assert [each.close for each in await took(bars, 2)] == [30, 31]
            if how == "refuses":  # it is known by now
                assert [("backfill" in frame) for frame in end.of("subscribe")[asked:]] == [False]


async def test_bar_feed_with_a_symbol_rejected_with_its_backfill_raises() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        give_the_past(end)
        end.refused = {"BAD"}
        with pytest.raises(MarketDataRefusedError, match="the server rejected bars of BAD: not entitled to BAD"):
            await md.bars("BAD", backfill=2).__aenter__()
        async with md.bars("AAPL", backfill=2) as bars:
            assert [each.close for each in await took(bars, 2)] == [30, 31]
        assert end.of("snapshot") == []


@pytest.mark.parametrize("fill_gaps", [True, False])
async def test_bar_feed_without_any_past_bars_opens_and_yields_a_gap(
    caplog: pytest.LogCaptureFixture, *, fill_gaps: bool
) -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        end.act("snapshot", None, refuse)
        async with md.bars("AAPL", "MSFT", fill_gaps=fill_gaps) as bars:
            await end.publish("bar", "AAPL", **bar(30))
            gap, first = await took(bars, 2)
            assert isinstance(gap, Gap)
            assert "AAPL, MSFT are missing: the server rejected history of AAPL: no history" in gap.cause
            assert gap.until - gap.since == timedelta(minutes=100)
            assert (first.close, first.is_backfill) == (30, False)
            assert len(end.of("snapshot")) == 2
        assert "bars feed opened without its past: past bars of " in caplog.text


async def test_bar_feed_takes_past_bars_so_far_where_the_server_does_not_list_subscriptions() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        give_the_past(end)
        end.act("list_subscriptions", None, refuse)
        async with md.bars("AAPL", backfill=2) as bars:
            assert [(each.close, each.is_backfill) for each in await took(bars, 2)] == [(30, True), (31, True)]


async def test_bar_feed_yields_a_correction_and_no_repetition() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        end.bars["AAPL"] = [bar(30)]
        async with md.bars("AAPL", backfill=1) as bars:
            for one in (bar(31), bar(30), bar(31, close="99"), bar(30, volume="7"), bar(32)):
                await end.publish("bar", "AAPL", **one)
            events = [(each.close, each.volume, each.is_correction) for each in await took(bars, 5)]
            assert events == [
                (30, None, False),
                (31, None, False),
                (99, None, True),
                (30, 7, True),
                (32, None, False),
            ]


async def test_bar_feed_with_malformed_times_yields_every_bar() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        odd = {**bar(30), "start_time": "soon"}
        end.bars["AAPL"] = [bar(31), odd]
        assert [each.start_time_text for each in await md.history("AAPL")] == ["soon", bar(31)["start_time"]]
        async with md.bars("AAPL", backfill=2) as bars:
            await end.publish("bar", "AAPL", **odd)
            await end.publish("bar", "AAPL", **bar(32))
            events = [each.start_time_text for each in await took(bars, 4)]
            assert events == ["soon", bar(31)["start_time"], "soon", bar(32)["start_time"]]


async def test_bar_feed_fills_a_gap_with_the_missed_bars() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.bars("AAPL", backfill=0, fill_gaps=True) as bars,
    ):
        await end.publish("bar", "AAPL", **bar(30))
        assert [each.close for each in await took(bars, 1)] == [30]
        end.bars["AAPL"] = [bar(30), bar(31), bar(32)]
        end.drop()
        await end.until_received("subscribe", 2)
        await end.until(lambda: end.subscribed == [("bars", "AAPL")])
        await end.publish("bar", "AAPL", **bar(32))
        await end.publish("bar", "AAPL", **bar(33))
        assert [(each.close, each.is_backfill) for each in await took(bars, 3)] == [(31, True), (32, True), (33, False)]
        assert end.of("snapshot")[0]["start_time"] == "2026-03-02T14:30:00Z"


async def test_bar_feed_fills_a_gap_though_a_live_bar_precedes_the_acknowledgement() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.bars("AAPL", backfill=0, fill_gaps=True) as bars,
    ):
        await end.publish("bar", "AAPL", **bar(30))
        assert [each.close for each in await took(bars, 1)] == [30]
        end.bars["AAPL"] = [bar(30), bar(31), bar(32)]

        async def publish_before_reply(held: Held, frame: dict[str, Any]) -> None:
            await held.send(type="bar", symbol="AAPL", **bar(33))
            await end._subscribe(held, frame)

        end.act(
            "subscribe", 1, lambda held, frame: TASKS.append(asyncio.ensure_future(publish_before_reply(held, frame)))
        )
        end.drop()
        assert [each.close for each in await took(bars, 3)] == [31, 32, 33]


async def test_bar_feed_that_cannot_fill_a_gap_yields_the_gap() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.bars("AAPL", backfill=0, fill_gaps=True) as bars,
    ):
        end.act("snapshot", 1, refuse)
        end.drop()
        await end.until_received("subscribe", 2)
        assert [type(each) for each in await took(bars, 1)] == [Gap]


async def test_bar_feed_with_an_endless_server_stops_fetching_missed_bars() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.bars("AAPL", backfill=0, fill_gaps=True) as bars,
    ):

        def one_more(held: Held, frame: dict[str, Any]) -> None:
            start = datetime.fromisoformat(frame["start_time"]) + timedelta(minutes=1)
            more = {**bar(30), "start_time": start.isoformat()}
            said = held.send(type="snapshot", id=frame["id"], symbol="AAPL", bars=[more])
            TASKS.append(asyncio.ensure_future(said))

        await end.publish("bar", "AAPL", **bar(30))
        await took(bars, 1)
        end.act("snapshot", None, one_more)
        end.drop()
        events = await took(bars, 101)
        assert sum(isinstance(each, Gap) for each in events) == 1
        assert len(end.of("snapshot")) == 100


def refuse(held: Held, frame: dict[str, Any]) -> None:
    task = asyncio.ensure_future(held.send(type="error", id=frame["id"], code="500", message="no history"))
    TASKS.append(task)


TASKS: list[asyncio.Future[None]] = []


async def test_stream_after_a_reconnect_resubscribes_and_reports_a_gap_to_each_feed() -> None:
    symbols = ["A", "B", "C"]
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.subscribe("lifecycle") as lifecycle,
        md.quotes(*symbols) as quotes,
        md.trades("A") as trades,
    ):
        end.drop()
        await until(lifecycle, StreamLive)
        assert end.subscribed == [("quotes", "A"), ("quotes", "B"), ("quotes", "C"), ("trades", "A")]
        assert len(end.of("subscribe")) == 4
        assert [type(each) for each in [*await took(quotes, 1), *await took(trades, 1)]] == [Gap, Gap]
        assert (md.health().gaps, md.health().state) == (1, "LIVE")


async def test_stream_after_a_reconnect_reports_a_rejected_symbol_and_keeps_the_others() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.quotes("A", "B", "C", "D") as quotes,
        md.quotes("B") as only,
    ):
        end.refused = {"B"}
        end.drop()
        events = await took(quotes, 2)
        assert [type(each) for each in events] == [SymbolRefused, Gap]
        assert events[0] == SymbolRefused(channel="quotes", symbol="B", code="403", cause="not entitled to B")
        assert quotes.symbols == {"A", "C", "D"}
        assert end.subscribed == [("quotes", "A"), ("quotes", "C"), ("quotes", "D")]
        assert [type(each) for each in await took(only, 1)] == [SymbolRefused]
        with pytest.raises(MarketDataRefusedError, match="quotes of B"):
            await only.receive()
        await end.quote("C", "1")
        assert [type(each) for each in await took(quotes, 1)] == [Quote]


async def test_stream_requests_again_after_a_lost_acknowledgement() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream(timeouts=Timeouts(login=0.15, close=1.0)) as md:
        end.act("subscribe", 2)
        async with md.quotes("AAPL"):
            assert len(end.of("subscribe")) == 3
        end.act("subscribe", None)
        with pytest.raises(MarketDataRefusedError, match="the server did not answer 3 requests"):
            await md.quotes("MSFT").__aenter__()


async def test_history_replies_are_matched_by_id_in_any_order() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        end.bars = {"AAPL": [bar(30)], "MSFT": [bar(31), bar(32)]}
        waiting: list[tuple[Held, dict[str, Any]]] = []
        end.act("snapshot", 2, lambda held, frame: waiting.append((held, frame)))
        start = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
        first = asyncio.create_task(md.history("AAPL", start=start, limit=5))
        second = asyncio.create_task(md.history("MSFT", end=start))
        await end.until_received("snapshot", 2)
        for held, frame in reversed(waiting):
            await end._snapshot(held, frame)
        assert [[one.close for one in await task] for task in (first, second)] == [[30], [31, 32]]
        end.refused = {"IBM"}
        with pytest.raises(MarketDataRefusedError, match=r"the server rejected history of IBM: no such symbol \(404\)"):
            await md.history("IBM")


async def test_history_has_its_own_time_out_and_survives_a_reconnect() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, nothing_left(), end.stream(clock=clock, reconnect=Reconnect(base=1, cap=1)) as md:
        end.act("snapshot", 1)
        end.bars = {"AAPL": [bar(30)]}
        asking = asyncio.create_task(md.history("AAPL", timeout=60))
        await end.until_received("snapshot")
        asked = len(clock.asked)
        end.drop()
        await clock.until_asked(asked + 1)
        clock.advance(1)
        assert [one.close for one in await asking] == [30]
        end.act("snapshot", None)
        asking = asyncio.create_task(md.history("AAPL", timeout=60))
        await end.until_received("snapshot", 3)
        clock.advance(60)
        with pytest.raises(RequestTimeoutError, match="the server did not answer the request for history within 60 s"):
            await asking
        with pytest.raises(ConfigurationError, match="timeout must be"):
            await md.history("AAPL", timeout=0)


async def test_list_subscriptions_returns_the_list_and_corrects_differences() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A", "B"):
        end.links[0].lines = [
            {"channel": "quotes", "symbols": ["A"]},
            {"channel": "trades", "symbols": ["X"], "session": "all"},
        ]
        found = await md.list_subscriptions()
        assert [(line.channel, line.symbols) for line in found.held] == [("quotes", ("A",)), ("trades", ("X",))]
        assert found.missing == (("quotes", "B"),)
        assert [(line.channel, line.symbols, line.options) for line in found.extra] == [
            ("trades", ("X",), {"session": "all"})
        ]
        await end.until(lambda: end.subscribed == [("quotes", "A"), ("quotes", "B")])
        found = await md.list_subscriptions()
        assert (found.missing, found.extra) == ((), ())


HUGE = "x" * (1 << 22)


async def test_history_with_an_oversized_reply_is_rejected_and_the_stream_stays_open() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL") as quotes:
        end.bars["IBM"] = [bar(30, note=HUGE)]
        end.bars["AAPL"] = [bar(30)]
        asking = asyncio.create_task(md.history("IBM"))
        other = asyncio.create_task(md.history("AAPL"))
        with pytest.raises(MarketDataRefusedError, match="exceeded the size limit") as caught:
            await asking
        assert (caught.value.what, caught.value.symbol, caught.value.code) == ("history", "IBM", "1009")
        assert [each.close for each in await other] == [30]
        assert [type(each) for each in await took(quotes, 1)] == [Gap]
        await end.until(lambda: end.links and end.subscribed == [("quotes", "AAPL")])
        await end.quote("AAPL", "1")
        assert Quote in [type(each) for each in await took(quotes, 2)]
        assert md.health().reconnects == 2


async def test_stream_with_any_number_of_oversized_replies_rejects_them_and_stays_open() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        symbols = ["A", "B", "C", "D"]
        for symbol in symbols:
            end.bars[symbol] = [bar(30, note=HUGE)]
        answers = await asyncio.gather(*(md.history(symbol) for symbol in symbols), return_exceptions=True)
        assert [type(answer) for answer in answers] == [MarketDataRefusedError] * 4
        assert md.health().state != "ENDED"


async def test_options_chain_feed_with_an_oversized_chain_is_the_only_one_rejected() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        quotes = await md.quotes("TSLA").__aenter__()

        async def answer(held: Held, frame: dict[str, Any]) -> None:
            await end._subscribe(held, frame)
            if frame["channel"] == "options_chain":
                await held.send(type="options_chain", underlying="TSLA", note=HUGE)

        end.act("subscribe", None, lambda held, frame: TASKS.append(asyncio.ensure_future(answer(held, frame))))
        async with md.options_chain("TSLA") as chains:
            with pytest.raises(MarketDataRefusedError, match="exceeded the size limit"):
                await took(chains, 9)
        await end.until(lambda: end.links and end.subscribed == [("quotes", "TSLA")])
        assert quotes.symbols == {"TSLA"}
        await quotes.aclose()


ODD: dict[str, Callable[[MarketDataStream], object]] = {
    "hours": lambda md: md.trades("AAPL", hours="night"),
    "interval": lambda md: md.bars("AAPL", interval="2m"),
    "backfill": lambda md: md.bars("AAPL", backfill=-1),
    "levels": lambda md: md.depth("AAPL", levels=0),
    "expiration": lambda md: md.options_chain("TSLA", "soon"),
    "topic": lambda md: md.subscribe("weather"),
}


@pytest.mark.parametrize("name", ODD)
def test_stream_with_an_invalid_argument_raises_at_the_call(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be"):
        ODD[name](away().stream())


async def test_history_with_a_naive_time_raises() -> None:
    with pytest.raises(ConfigurationError, match="start must be an aware datetime"):
        await away().stream().history("AAPL", start=datetime(2026, 3, 2))  # noqa: DTZ001 - on purpose
    with pytest.raises(ConfigurationError, match="limit must be"):
        await away().stream().history("AAPL", limit=0)


def away() -> MarketEnd:
    end = MarketEnd()
    end.url = "ws://127.0.0.1:1"
    return end


@pytest.mark.parametrize(
    "symbol", ["", "  ", "A\nB", "\x1b[31mA", "A\x00", "A\u0085", "\u2028", "\ud800", None, 7, b"AAPL"]
)
def test_feed_with_an_empty_or_invalid_symbol_raises(symbol: Any) -> None:
    md = away().stream()
    for make in (md.quotes, md.trades, md.bars, md.depth, md.options_chain):
        with pytest.raises(SymbolError, match="a symbol must"):
            make(symbol)


def test_feed_strips_the_padding_of_an_option_symbol() -> None:
    assert away().stream().quotes("TSLA  251031C00437500").symbols == {"TSLA251031C00437500"}


FOREIGN = [
    "BTC/USD",
    "ETH-USD",
    "$SPX",
    "^VIX",
    "/ESZ6",
    "SHOP.TO",
    "S0",
    "IBM/WD",
    "aapl",
    "7203.T",
    "EUR USD",
    "Ä",
    "TSLA251031",
]


async def test_feed_sends_any_symbol_as_the_caller_writes_it() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes(*FOREIGN) as quotes:
        for symbol in FOREIGN:
            await end.quote(symbol, "1")
        assert [quote.symbol for quote in await took(quotes, len(FOREIGN))] == FOREIGN
        async with md.options_chain("^VIX") as chains:
            await end.publish("options_chain", "^VIX", contracts=[])
            assert [chain.symbol for chain in await took(chains, 1)] == ["^VIX"]
        end.bars["BTC/USD"] = [bar(30)]
        assert [each.symbol for each in await md.history("BTC/USD")] == ["BTC/USD"]


SYMBOLS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1).filter(str.strip)


@given(symbol=SYMBOLS)
def test_feed_accepts_any_text_without_control_characters_as_symbol(symbol: str) -> None:
    assert len(away().stream().quotes(symbol).symbols) == 1


async def test_stream_that_is_not_open_raises_closed() -> None:
    md = away().stream()
    for ask in (md.quotes("A").__aenter__, lambda: md.history("A"), md.list_subscriptions):
        with pytest.raises(ClosedError):
            await ask()


async def test_feed_that_is_not_open_raises_closed() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        quotes = md.quotes("AAPL")
        assert repr(quotes) == "<quotes of 1 symbols: UNOPENED>"
        for ask in (quotes.receive, lambda: quotes.add("MSFT"), lambda: quotes.remove("AAPL")):
            with pytest.raises(ClosedError):
                await ask()
        async with quotes:
            assert repr(quotes) == "<quotes of 1 symbols: LatestSubscription OPEN 0 waiting 0 dropped>"
            with pytest.raises(ClosedError):
                await quotes.__aenter__()
        with pytest.raises(ClosedError):
            await quotes.receive()
        assert [event async for event in quotes] == []
        async with md.depth("AAPL") as books:
            pass
        assert [event async for event in books] == []


async def test_feed_with_a_cancelled_entry_leaves_no_subscription() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A") as quotes:
        end.act("subscribe", 1)
        opening = asyncio.create_task(md.quotes("A", "B").__aenter__())
        await end.until_received("subscribe", 2)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await end.until(lambda: end.subscribed == [("quotes", "A")])
        end.act("subscribe", 1)
        adding = asyncio.create_task(quotes.add("A", "C"))
        await end.until_received("subscribe", 3)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert quotes.symbols == {"A"}
        listed = await md.list_subscriptions()
        assert (listed.missing, listed.extra) == ((), ())
        assert list(md.health().consumers) == [quotes.statistics()]


async def test_feed_with_a_slow_consumer_ends_and_unsubscribes() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.trades("A", capacity=2, overflow="close") as slow,
        md.trades("A", capacity=2) as dropping,
        md.trades("A") as other,
    ):
        for price in range(40):
            await end.publish("trade", "A", price=str(price))
        assert [trade.price for trade in await took(other, 40)] == list(range(40))
        gap, *rest = await took(dropping, 3)
        assert (gap.dropped, [trade.price for trade in rest]) == (38, [38, 39])
        await took(slow, 2)
        with pytest.raises(SlowConsumerError):
            await slow.receive()
        assert slow.symbols == frozenset()
        await other.remove("A")
        await dropping.remove("A")
        assert end.subscribed == [("trades", "A")]
        await slow.aclose()
        await end.until(lambda: end.subscribed == [])
        assert md.health().messages == {"trades": 40}


LEVEL = {"price": "1", "size": "1"}
WAITING: dict[str, tuple[Callable[[MarketDataStream], Feed[Any]], Callable[[int], dict[str, Any]], str]] = {
    "quotes": (lambda md: md.quotes("A", "B"), lambda n: {"bid_price": str(n)}, "latest"),
    "trades": (lambda md: md.trades("A", "B", capacity=3), lambda n: {"price": str(n)}, "drop_oldest"),
    "bars": (lambda md: md.bars("A", "B", backfill=0, capacity=3), lambda n: bar(30 + n), "drop_oldest"),
    "depth": (lambda md: md.depth("A", "B"), lambda n: {"bids": [LEVEL] * n, "asks": []}, "latest"),
}


@pytest.mark.parametrize("channel", WAITING)
async def test_feed_with_a_slow_consumer_applies_its_default_policy(channel: str) -> None:
    make, fields, policy = WAITING[channel]
    async with MarketEnd() as end, nothing_left(), end.stream() as md, make(md) as feed:
        for number in range(1, 10):
            for symbol in "AB":
                await end.publish(channel.removesuffix("s"), symbol, **fields(number))
        await md.list_subscriptions()
        if policy == "latest":  # the last of each symbol
            last = await took(feed, 2)
            assert [(each.symbol, getattr(each, "bid_price", 0) or len(each.bids)) for each in last] == [
                ("A", 9),
                ("B", 9),
            ]
        else:  # the last there is room for, and how many are missing
            gap, *rest = await took(feed, 4)
            assert (type(gap), gap.dropped, [each.symbol for each in rest]) == (Gap, 15, ["B", "A", "B"])
        assert feed.statistics().waiting == 0


async def test_options_chain_feed_keeps_the_latest_chain_of_each_expiration() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.options_chain("TSLA") as chains:
        for number in range(5):
            for day in ("2026-12-18", "2027-01-15"):
                contracts: list[Any] = [{"symbol": "TSLA261218C00400000", "volume": str(number), "greeks": {}}]
                await end.publish("options_chain", "TSLA", expiration=day, contracts=contracts)
        await md.list_subscriptions()
        events = [(chain.expiration_text, chain.contracts[0].volume) for chain in await took(chains, 2)]
        assert events == [("2026-12-18", 4), ("2027-01-15", 4)]
        assert chains.statistics().waiting == 0


@pytest.mark.parametrize("day", [None, "", "2026-12-18"])
@pytest.mark.parametrize("greeks", [True, False])
async def test_options_chain_feed_yields_chains_with_and_without_expiration(day: str | None, *, greeks: bool) -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.options_chain("TSLA", greeks=greeks) as chains,
    ):
        await chains.add("SPY")
        for _ in range(2):
            for symbol in ("TSLA", "SPY"):
                await end.publish("options_chain", symbol, expiration=day, contracts=[])
            await md.list_subscriptions()
            assert [(chain.symbol, chain.expiration_text) for chain in await took(chains, 2)] == [
                ("TSLA", day),
                ("SPY", day),
            ]


async def test_client_refuses_a_second_stream_of_the_same_user() -> None:
    async with MarketEnd() as end, nothing_left():
        ct = end.client()

        async def source() -> Secret:
            return Secret("token")

        user = ct.user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md:
            with pytest.raises(ConfigurationError, match="one broker connection at a time per user"):
                await user.market_data("c2", token_source=source).__aenter__()
            assert md.health().state == "LIVE"
            async with ct.user("bob", "hush").market_data("c3", token_source=source):
                assert len(end.links) == 2
        async with ct.with_options(timeouts=Timeouts()).user("ada", "hush").market_data("c2", token_source=source):
            assert end.logins == ["token"] * 3


async def test_stream_closed_by_another_task_ends_every_waiting_feed() -> None:
    async with MarketEnd() as end, nothing_left():
        md = await asyncio.create_task(end.stream().__aenter__())
        quotes = await asyncio.create_task(md.quotes("A").__aenter__())
        end.act("subscribe", None)
        end.act("snapshot", None)
        waiting = [
            asyncio.create_task(asyncio.wait_for(asking, PATIENCE))
            for asking in (quotes.receive(), quotes.add("B"), md.history("A"), md.quotes("C").__aenter__())
        ]
        await end.until_received("snapshot")
        await end.until_received("subscribe", 3)
        assert repr(md) == "<MarketDataStream LIVE 2 subscriptions 0 gaps>"
        await asyncio.create_task(md.aclose())
        for task in waiting:
            with pytest.raises(ClosedError):
                await task
        with pytest.raises(ClosedError):
            await md.quotes("A").__aenter__()
        with pytest.raises(ClosedError):
            await md.history("A")
        await quotes.aclose()


async def test_stream_keeps_five_hundred_symbols_subscribed_through_ten_drops() -> None:
    symbols = [f"S{first}{second}" for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJ"]
    async with (
        MarketEnd() as end,
        end.stream() as md,
        md.quotes(*symbols) as quotes,
        md.trades(*symbols),
        md.bars(*symbols, backfill=0),
        md.depth(*symbols),
        contextlib.AsyncExitStack() as chains,
        md.subscribe("lifecycle") as lifecycle,
    ):
        for symbol in symbols:
            await chains.enter_async_context(md.options_chain(symbol))
        for turn in range(10):
            end.drop()
            gone, new = symbols[turn], f"N{'ABCDEFGHIJ'[turn]}"
            await quotes.remove(gone)
            adding = asyncio.create_task(quotes.add(new))
            await until(lifecycle, StreamLive)
            await adding
        wanted = [(channel, symbol) for channel in ("bars", "depth", "options_chain", "trades") for symbol in symbols]
        assert end.subscribed == sorted([*wanted, *(("quotes", symbol) for symbol in quotes.symbols)])
        assert len(quotes.symbols) == 100
        listed = await md.list_subscriptions()
        assert (listed.missing, listed.extra) == ((), ())
        assert md.health().gaps == 10


async def test_stream_without_replies_to_a_resubscription_reconnects_and_loses_no_symbol() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(timeouts=Timeouts(login=0.1, close=1.0)) as md,
        md.quotes("A") as quotes,
        md.subscribe("lifecycle") as lifecycle,
    ):
        end.act("subscribe", None)
        end.drop()
        while "while subscribing" not in (await until(lifecycle, StreamLost)).cause:
            pass
        end.acts.clear()
        await until(lifecycle, StreamLive)
        assert quotes.symbols == {"A"}
        assert [type(each) for each in await took(quotes, 1)] == [Gap]


STALLS = ["upgrade", "authenticate", "subscribe"]


@pytest.mark.parametrize("action", STALLS)
async def test_stream_closes_in_time_during_a_reconnect(action: str) -> None:
    patience = Timeouts(close=0.3)
    async with MarketEnd() as end, nothing_left(), end.stream(timeouts=patience) as md, md.quotes("A"):
        lifecycle = md.subscribe("lifecycle")
        if action == "upgrade":
            end.is_away = True
        else:
            end.act(action, None)
        end.drop()
        await until(lifecycle, StreamRetrying)
        if action != "upgrade":
            await end.until_received(action, 2)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await md.aclose()
        assert loop.time() - began < 0.6
        assert md.health().state == "ENDED"


async def test_stream_with_a_cancelled_entry_leaves_nothing_and_can_be_opened_again() -> None:
    async with MarketEnd() as end, nothing_left():
        user = end.client().user("ada", "hush")

        async def source() -> str:
            return "token"

        end.act("authenticate", 1)
        md = user.market_data("c1", token_source=source)
        entering = asyncio.create_task(md.__aenter__())
        await end.until_received("authenticate")
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        with pytest.raises(ClosedError):
            await md.__aenter__()
        async with user.market_data("c1", token_source=source) as again:
            with pytest.raises(ClosedError):
                await again.__aenter__()


async def test_stream_never_shows_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with MarketEnd() as end, nothing_left(), end.stream("hush-hush") as md, md.quotes("A") as quotes:
        unknown = md.subscribe("unknown")
        await end.broadcast(type="what", token="hush-hush")
        message = await unknown.receive()
        end.act("subscribe", 1, echo)
        with pytest.raises(MarketDataRefusedError) as caught:
            await quotes.add("B")
        end.valid = set()
        end.drop()
        with pytest.raises(ConnectTradeError) as ended:
            await took(quotes, 9)
        shown = f"{md!r} {quotes!r} {message!r} {caught.value} {ended.value} {vars(md._config.login)} {md._config!r}"
        assert "***" in str(caught.value)
    assert "hush-hush" not in shown + caplog.text


def echo(held: Held, frame: dict[str, Any]) -> None:
    TASKS.append(asyncio.ensure_future(held.send(type="error", id=frame["id"], code="400", message=f"{held.token}?")))
