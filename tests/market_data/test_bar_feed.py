"""Symbols added to and removed from open feeds, and the past bars of added ones."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import Bar, ClosedError, Gap, MarketDataRefusedError, Quote, Reconnect
from manual_clock import SteppedClock
from market_data_server import MarketEnd
from stream_fixtures import PATIENCE, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import BarFeed, Feed, MarketDataStream
    from market_data_server import Held

Request = tuple["Held", dict[str, Any]]


def bar(minute: int, *, closed: bool = True) -> dict[str, Any]:
    start = f"2026-03-02T14:{minute}:00Z"
    return {"interval": "1m", "start_time": start, "close": str(minute), "closed": closed}


def closes(bars: list[Any]) -> list[tuple[str, int, bool]]:
    """Name bars by their symbol, their minute and whether they are over."""
    return [(each.symbol, int(each.close or 0), each.closed is True) for each in bars]


async def took(feed: Feed[Any], count: int) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return [await feed.receive() for _ in range(count)]


class Withheld:
    """Requests of an action that the server withholds its replies to, until ``answer``."""

    def __init__(self, end: MarketEnd, action: str, times: int | None) -> None:
        self.end = end
        self.action = action
        self.frames: list[Request] = []
        self.end.act(action, times, lambda held, frame: self.frames.append((held, frame)))

    async def until(self, count: int) -> None:
        await self.end.until(lambda: len(self.frames) >= count)

    async def answer(self, which: int = 0) -> None:
        await getattr(self.end, f"_{self.action}")(*self.frames.pop(which))


SOON = Reconnect(base=1, cap=1)


async def drop(end: MarketEnd, clock: SteppedClock) -> None:
    """Drop the connection, and advance the clock until the stream reconnects."""
    asked = len(clock.asked)
    end.drop()
    await clock.until_asked(asked + 1)
    clock.advance(1)


async def refused(task: asyncio.Task[None]) -> None:
    with pytest.raises(MarketDataRefusedError):
        await task


async def gave_up(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def is_at_rest(md: MarketDataStream) -> None:
    """Check that the server holds every requested subscription, and that all its earlier frames are processed."""
    listed = await md.list_subscriptions()
    assert (listed.missing, listed.extra) == ((), ())


@contextlib.asynccontextmanager
async def bars_of(*symbols: str, **options: Any) -> AsyncGenerator[tuple[MarketEnd, MarketDataStream, BarFeed]]:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.bars(*symbols, **options) as bars:
        yield end, md, bars


async def test_bar_feed_add_during_a_receive_yields_past_bars_before_live_ones() -> None:
    async with bars_of("A", backfill=2) as (end, md, bars):
        end.bars["B"] = [bar(30), bar(31), bar(32, closed=False)]
        snapshots = Withheld(end, "snapshot", 1)
        reading = asyncio.create_task(took(bars, 5))
        adding = asyncio.create_task(bars.add("B"))
        await snapshots.until(1)
        for minute, closed in ((32, False), (32, False), (32, True), (33, False)):
            await end.publish("bar", "B", **bar(minute, closed=closed))
        await end.publish("bar", "A", **bar(33))
        await is_at_rest(md)
        assert bars.statistics().waiting == 0  # the receive took them all, and holds them back
        await snapshots.answer()
        await adding
        events = await reading
        assert closes(events) == [
            ("A", 33, True),  # a symbol with its past bars is not held back
            ("B", 31, True),
            ("B", 32, False),
            ("B", 32, True),
            ("B", 33, False),
        ]
        assert [each.is_backfill for each in events] == [False, True, True, False, False]


async def test_bar_feed_add_with_past_bars_wakes_a_waiting_receive() -> None:
    async with bars_of("A", backfill=2) as (end, _, bars):
        end.bars["B"] = [bar(30), bar(31)]
        reading = asyncio.create_task(took(bars, 2))
        await asyncio.sleep(0)
        await bars.add("B")
        assert closes(await reading) == [("B", 30, True), ("B", 31, True)]


async def test_bar_feed_add_with_a_gap_during_the_backfill_loses_no_bar() -> None:
    clock = SteppedClock()
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(clock=clock, reconnect=SOON) as md,
        md.bars("A", backfill=1, fill_gaps=True) as bars,
    ):
        snapshots = Withheld(end, "snapshot", 2)
        adding = asyncio.create_task(bars.add("B", "C"))
        await snapshots.until(2)
        end.bars = {"A": [bar(33)], "B": [bar(30)], "C": [bar(30), bar(31), bar(32), bar(33)]}
        await snapshots.answer(0)  # B's past is here, C's is awaited
        reading = asyncio.create_task(took(bars, 6))
        end.bars["B"] += [bar(31), bar(32)]
        await drop(end, clock)
        await end.until_received("snapshot", 6)  # C's once more, and what each may have missed
        await adding
        await end.publish("bar", "B", **bar(33))
        events = closes(await reading)
        assert [each for each in events if each[0] == "B"] == [("B", minute, True) for minute in (30, 31, 32, 33)]
        assert ("C", 33, True) in events
        assert ("A", 33, True) in events


async def test_bar_feed_with_two_concurrent_adds_backfills_once() -> None:
    async with bars_of("A", backfill=2) as (end, _, bars):
        end.bars["B"] = [bar(30), bar(31)]
        snapshots = Withheld(end, "snapshot", 2)
        both = [asyncio.create_task(bars.add("B")) for _ in range(2)]
        await snapshots.until(2)
        await snapshots.answer()
        await both[0]
        await end.publish("bar", "B", **bar(32))
        assert closes(await took(bars, 3)) == [("B", 30, True), ("B", 31, True), ("B", 32, True)]
        await snapshots.answer()
        await both[1]
        await end.publish("bar", "B", **bar(33))
        assert closes(await took(bars, 1)) == [("B", 33, True)]


# What is asked for twice at once, and one of them fails.


@pytest.mark.parametrize("backfill", [0, 2])
@pytest.mark.parametrize("first", [True, False])
async def test_feed_with_two_adds_of_a_symbol_and_one_cancelled_keeps_the_symbol(
    backfill: int,
    first: bool,  # noqa: FBT001 - a table's column
) -> None:
    async with bars_of("A", backfill=backfill) as (end, md, bars):
        end.bars["B"] = [bar(30), bar(31)]
        acknowledgements = Withheld(end, "subscribe", 1)
        both = [asyncio.create_task(bars.add("B")) for _ in range(2)]
        await acknowledgements.until(1)
        await gave_up(both[0 if first else 1])
        await acknowledgements.answer()
        await both[1 if first else 0]
        assert bars.symbols == {"A", "B"}
        await end.publish("bar", "B", **bar(32))
        past = [("B", 30, True), ("B", 31, True)] if backfill else []
        assert closes(await took(bars, len(past) + 1)) == [*past, ("B", 32, True)]
        await is_at_rest(md)
        assert end.subscribed == [("bars", "A"), ("bars", "B")]


async def test_feed_with_every_add_of_a_symbol_cancelled_drops_the_symbol() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A") as quotes:
        end.act("subscribe", 1)
        adding = [asyncio.create_task(quotes.add(*names)) for names in (("B",), ("B", "C"), ("A", "B"))]
        await end.until_received("subscribe", 3)
        for each in adding:
            await gave_up(each)
        await end.until(lambda: end.subscribed == [("quotes", "A")])
        await is_at_rest(md)
        assert quotes.symbols == {"A"}


async def test_feed_add_of_a_held_and_a_rejected_symbol_keeps_the_held_one() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A") as quotes:
        kept = Withheld(end, "subscribe", 2)
        one, other = asyncio.create_task(quotes.add("B")), asyncio.create_task(quotes.add("B", "BAD"))
        await kept.until(2)
        end.refused = {"BAD"}
        await kept.answer(0)
        await one
        await kept.answer(0)
        await refused(other)
        assert quotes.symbols == {"A", "B"}
        await is_at_rest(md)
        assert end.subscribed == [("quotes", "A"), ("quotes", "B")]


async def test_feed_add_with_a_rejection_of_a_held_symbol_drops_it() -> None:
    clock = SteppedClock()
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(clock=clock, reconnect=SOON) as md,
        md.quotes("A", "B") as quotes,
    ):
        asked = len(clock.asked)
        end.drop()
        await clock.until_asked(asked + 1)
        end.refused = {"B"}
        adding = asyncio.create_task(quotes.add("B"))
        await asyncio.sleep(0)
        clock.advance(1)
        await refused(adding)
        assert quotes.symbols == {"A"}
        await is_at_rest(md)


async def test_feed_add_with_a_remove_meanwhile_can_be_repeated() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A") as quotes:
        kept = Withheld(end, "subscribe", 1)
        adding = asyncio.create_task(quotes.add("B"))
        await kept.until(1)
        await quotes.remove("B")
        again = asyncio.create_task(quotes.add("B"))
        with pytest.raises(ClosedError, match="or the symbol removed, before the server answered"):
            await adding
        await kept.answer()
        await again
        assert quotes.symbols == {"A", "B"}
        await is_at_rest(md)


async def test_feed_add_after_its_end_raises() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("A") as other:
        async with md.trades("A") as left:
            pass
        async with (
            md.trades("A", capacity=1, overflow="close") as slow,
            md.depth("A") as turned_down,
            md.bars("A", backfill=0) as closed,
        ):
            for price in range(17):
                await end.publish("trade", "A", price=str(price))
            end.act("subscribe", None, lambda held, frame: TASKS.append(asyncio.ensure_future(refuse(held, frame))))
            held = end.links[-1]
            held.lines = [line for line in held.lines if line["channel"] != "depth"]
            await md.list_subscriptions()  # which finds it missing and asks for it again, in vain
            with pytest.raises(MarketDataRefusedError):
                await everything(turned_down)
            end.acts.clear()
            await closed.aclose()
            for feed in (left, slow, turned_down, closed):
                with pytest.raises(ClosedError, match="this feed is closed"):
                    await feed.add("B")
                assert feed.symbols == frozenset()
        await other.add("C")
        assert end.subscribed == [("quotes", "A"), ("quotes", "C")]
        await md.aclose()
        with pytest.raises(ClosedError, match="the stream is closed"):
            await other.add("D")


async def refuse(held: Held, frame: dict[str, Any]) -> None:
    await held.send(type="error", id=frame["id"], code="403", message="no")


async def everything(feed: Feed[Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for _ in feed:
            pass


async def test_bar_feed_closed_during_a_backfill_yields_no_past_bars() -> None:
    async with bars_of("A", backfill=2) as (end, md, bars):
        end.bars["B"] = [bar(30), bar(31)]
        snapshots = Withheld(end, "snapshot", 1)
        adding = asyncio.create_task(bars.add("B"))
        await snapshots.until(1)
        await bars.aclose()
        await snapshots.answer()
        await adding
        with pytest.raises(ClosedError):
            await bars.receive()
        assert [event async for event in bars] == []
        await end.until(lambda: end.subscribed == [])
        await is_at_rest(md)


async def test_bar_feed_with_repeated_cancelled_receives_fetches_missed_bars_once() -> None:
    async with bars_of("A", backfill=0, fill_gaps=True) as (end, md, bars):
        await end.publish("bar", "A", **bar(30))
        assert closes(await took(bars, 1)) == [("A", 30, True)]
        end.bars["A"] = [bar(30), bar(31)]
        snapshots = Withheld(end, "snapshot", 1)
        end.drop()
        waiting = asyncio.create_task(bars.receive())
        await snapshots.until(1)
        for _ in range(3):
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            waiting = asyncio.create_task(bars.receive())
            await is_at_rest(md)
        assert len(end.of("snapshot")) == 1
        await snapshots.answer()
        assert closes([await waiting]) == [("A", 31, True)]
        snapshots = Withheld(end, "snapshot", 1)
        end.drop()
        waiting = asyncio.create_task(bars.receive())
        await snapshots.until(1)
        await bars.aclose()
        with pytest.raises(ClosedError):
            await waiting


# A past that cannot be had.


async def test_bar_feed_add_with_a_rejected_backfill_yields_a_gap_that_names_the_symbol() -> None:
    async with bars_of("A", backfill=2) as (end, md, bars):
        end.bars["B"] = [bar(30), bar(31)]
        end.refused = {"BAD"}
        end.act("subscribe", 1, lambda held, frame: TASKS.append(asyncio.ensure_future(allow(end, held, frame))))
        await bars.add("B", "BAD", "A")
        gap, *past = await took(bars, 3)
        assert (type(gap), "past bars of BAD are missing" in gap.cause) == (Gap, True)
        assert closes(past) == [("B", 30, True), ("B", 31, True)]
        assert bars.symbols == {"A", "B", "BAD"}
        await end.publish("bar", "BAD", **bar(32))
        assert closes(await took(bars, 1)) == [("BAD", 32, True)]
        await is_at_rest(md)


async def allow(end: MarketEnd, held: Held, frame: dict[str, Any]) -> None:
    """Give even what is refused; only its past is not given."""
    refused, end.refused = end.refused, set()
    await end._subscribe(held, frame)
    end.refused = refused


TASKS: list[asyncio.Future[None]] = []


async def test_bar_feed_add_with_a_late_backfill_yields_a_gap_that_names_the_symbol() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, nothing_left(), end.stream(clock=clock) as md, md.bars("A", backfill=2) as bars:
        snapshots = Withheld(end, "snapshot", None)
        adding = asyncio.create_task(bars.add("B"))
        await snapshots.until(1)
        await end.publish("bar", "B", **bar(30))
        await is_at_rest(md)
        clock.advance(30)
        await adding
        gap, *present = await took(bars, 2)
        assert (type(gap), "past bars of B are missing" in gap.cause) == (Gap, True)
        assert (gap.since, gap.until) == (clock.wall() - timedelta(minutes=2), clock.wall())
        assert closes(present) == [("B", 30, True)]
        assert bars.symbols == {"A", "B"}


async def test_bar_feed_add_cancelled_during_the_backfill_adds_nothing() -> None:
    async with bars_of("A", backfill=2) as (end, md, bars):
        snapshots = Withheld(end, "snapshot", None)
        adding = asyncio.create_task(bars.add("B"))
        await snapshots.until(1)
        await gave_up(adding)
        assert bars.symbols == {"A"}
        await end.until(lambda: end.subscribed == [("bars", "A")])
        await snapshots.answer()
        await is_at_rest(md)


# After a removal, no more events of the symbol are yielded.


async def test_feed_remove_drops_queued_events() -> None:
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream() as md,
        md.quotes("A", "B") as latest,
        md.quotes("A", "B", overflow="drop_oldest") as every,
        md.quotes("A", "B", overflow="close") as strict,
    ):
        for bid in "123":
            await end.quote("A", bid)
            await end.quote("B", bid)
        end.drop()
        await end.until_received("subscribe", 2)
        await end.until(lambda: end.subscribed == [("quotes", "A"), ("quotes", "B")])
        await end.quote("B", "4")
        await end.quote("A", "5")
        await is_at_rest(md)
        for feed in (latest, every, strict):
            await feed.remove("B")
            await feed.add("B")
        await end.quote("B", "6")
        events = [[name(each) for each in await took(feed, count)] for feed, count in ((latest, 3), (every, 6))]
        assert events == [["A5", "gap", "B6"], ["A1", "A2", "A3", "gap", "A5", "B6"]]
        assert [name(each) for each in await took(strict, 6)] == ["A1", "A2", "A3", "gap", "A5", "B6"]
        assert [feed.statistics().waiting for feed in (latest, every, strict)] == [0, 0, 0]


def name(event: object) -> str:
    return f"{event.symbol}{event.bid_price}" if isinstance(event, Quote) else "gap" if isinstance(event, Gap) else "?"


async def test_bar_feed_remove_drops_fetched_bars() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md:
        end.bars = {"A": [bar(30), bar(31)], "B": [bar(30), bar(31)]}
        async with md.bars("A", "B", backfill=2) as bars:
            assert closes(await took(bars, 1)) == [("A", 30, True)]
            await bars.remove("B")
            assert closes(await took(bars, 1)) == [("A", 31, True)]
            await end.publish("bar", "A", **bar(32))
            assert closes(await took(bars, 1)) == [("A", 32, True)]
            await bars.add("B")
            await bars.aclose()
            with pytest.raises(ClosedError):
                await bars.receive()


@pytest.mark.parametrize("what", ["past", "gap"])
async def test_bar_feed_remove_during_a_fetch_drops_its_bars(what: str) -> None:
    async with bars_of("A", "B", backfill=0 if what == "gap" else 2, fill_gaps=True) as (end, md, bars):
        end.bars = {"A": [bar(30)], "B": [bar(30), bar(31)], "C": [bar(30), bar(31)]}
        for symbol in bars.symbols:
            await end.publish("bar", symbol, **bar(29))
        await took(bars, 2)
        snapshots = Withheld(end, "snapshot", 2 if what == "gap" else 1)
        reading = asyncio.create_task(took(bars, 1))
        if what == "gap":
            end.drop()
            await snapshots.until(2)
            await bars.remove("B")
            await snapshots.answer()
            await snapshots.answer()
        else:
            adding = asyncio.create_task(bars.add("C"))
            await snapshots.until(1)
            await end.publish("bar", "C", **bar(32))
            await is_at_rest(md)
            await bars.remove("C")
            await snapshots.answer()
            await adding
            await end.publish("bar", "A", **bar(30))
        assert closes(await reading) == [("A", 30, True)]
        assert bars.statistics().waiting == 0


# A bar that is over late.


async def test_bar_feed_yields_a_bar_that_closes_after_the_next_has_started_once() -> None:
    async with bars_of("A", backfill=0, fill_gaps=True) as (end, _, bars):
        for minute, closed in ((30, False), (31, False), (30, False), (30, True), (30, True), (31, True)):
            await end.publish("bar", "A", **bar(minute, closed=closed))
        await end.publish("bar", "A", **bar(32, closed=False))
        assert closes(await took(bars, 5)) == [
            ("A", 30, False),
            ("A", 31, False),
            ("A", 30, True),
            ("A", 31, True),
            ("A", 32, False),
        ]
        await end.publish("bar", "A", **bar(33, closed=False))
        assert closes(await took(bars, 1)) == [("A", 33, False)]
        # Where the connection is lost before the bar closes, the closed bar is fetched.
        end.bars["A"] = [bar(30), bar(31), bar(32), bar(33)]
        end.drop()
        assert closes(await took(bars, 2)) == [("A", 32, True), ("A", 33, True)]
        assert end.of("snapshot")[0]["start_time"] == "2026-03-02T14:31:00Z"


async def test_bar_feed_fills_a_gap_from_the_bar_that_was_open_before_the_first_event() -> None:
    clock = SteppedClock()
    clock.advance(45)
    async with (
        MarketEnd() as end,
        nothing_left(),
        end.stream(clock=clock, reconnect=SOON) as md,
        md.bars("A", backfill=0, fill_gaps=True) as bars,
    ):
        end.bars["A"] = [bar(29), bar(30)]  # it is 14:30:45
        reading = asyncio.create_task(took(bars, 1))
        await drop(end, clock)
        [first] = await reading
        assert isinstance(first, Bar)
        assert closes([first]) == [("A", 30, True)]
