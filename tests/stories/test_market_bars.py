"""Bars from the stream and from the past together are the bars of the world: none missing, none twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.models.events import Gap
from connecttrade_async.models.market import Bar
from manual_clock import BEGIN
from market_data_fixtures import gap, market, taken
from stream_fixtures import PATIENCE, nothing_left

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from connecttrade_async.market_data.bar_feed import BarFeed
    from connecttrade_async.sandbox import Sandbox


def facts(bar: Any) -> tuple[object, ...]:
    """Return what a bar says, of either side."""
    start = bar.start if hasattr(bar, "start") else bar.start_time
    return start, bar.open, bar.high, bar.low, bar.close, int(bar.volume)


def true(sandbox: Sandbox, symbol: str, interval: str, start: datetime) -> list[tuple[object, ...]]:
    """Return the bars of the world that are over by now."""
    whole = {"1m": 60, "5m": 300}[interval]
    now = sandbox.clock.now()
    end = now - timedelta(seconds=(now - BEGIN).total_seconds() % whole)
    return [facts(bar) for bar in sandbox.world.bars.between(symbol, interval, start, end)]


async def over_by(bars: BarFeed, symbols: Iterable[str], last: datetime) -> dict[str, list[Bar]]:
    """Take bars until one of each symbol that begins at a time is over; returns those that are over."""
    events: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
    async with asyncio.timeout(PATIENCE):
        while not all(found and found[-1].start_time == last for found in events.values()):
            event = await bars.receive()
            assert not isinstance(event, Gap)
            if isinstance(event, Bar) and event.closed:
                events[event.symbol].append(event)
    return events


@pytest.mark.parametrize("interval", ["1m", "5m"])
async def test_bars_through_reconnects_with_filled_gaps_are_complete(interval: str) -> None:
    symbols, step = ("AAPL", "MSFT", "TSLA"), {"1m": 60, "5m": 300}[interval]
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.bars(*symbols, interval=interval, backfill=7, fill_gaps=True) as bars,
    ):
        for lifecycle in range(2, 6):
            sandbox.clock.advance(3.5 * step)
            if lifecycle % 2:
                sandbox.market.reset()
            else:
                await sandbox.market.aclose()
            sandbox.clock.advance(4.25 * step)  # no client is connected
            if not lifecycle % 2:
                await sandbox.market.start(again=True)
            await sandbox.market.until_live(lifecycle)
            await sandbox.market.until_subscribed("bars", *symbols)
        sandbox.clock.advance(2 * step)
        whole = int((sandbox.clock.now() - BEGIN).total_seconds() // step)
        events = await over_by(bars, symbols, BEGIN + timedelta(seconds=(whole - 1) * step))
        for symbol in symbols:
            begin = BEGIN - timedelta(seconds=7 * step)
            assert [facts(bar) for bar in events[symbol]] == true(sandbox, symbol, interval, begin)
            assert [bar.is_backfill for bar in events[symbol][:7]] == [True] * 7
        assert md.health().gaps == 4


async def test_bars_after_a_gap_longer_than_one_reply_are_complete() -> None:
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.bars("AAPL", "MSFT", backfill=1, fill_gaps=True) as bars,
    ):
        sandbox.clock.advance(30)
        await sandbox.market.aclose()
        sandbox.clock.advance(60 * 250)
        await sandbox.market.start(again=True)
        await sandbox.market.until_subscribed("bars", "AAPL", "MSFT")
        events = await over_by(bars, ("AAPL", "MSFT"), BEGIN + timedelta(minutes=249))
        for symbol, found in events.items():
            truth = true(sandbox, symbol, "1m", BEGIN - timedelta(minutes=1))
            assert [facts(bar) for bar in found] == truth
            assert len(truth) == 251


async def test_bars_without_filling_yield_the_gap_and_history_fills_it() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.bars("AAPL", backfill=3) as bars:
        events = [facts(bar) for bar in await taken(bars, 3)]
        sandbox.market.reset()
        sandbox.clock.advance(60 * 5)
        await gap(bars)
        events += [facts(bar) for bar in await md.history("AAPL", start=BEGIN)]
        assert events == true(sandbox, "AAPL", "1m", BEGIN - timedelta(minutes=3))


async def test_bars_of_symbols_added_later_begin_with_their_past() -> None:
    async with market() as (sandbox, md), nothing_left(), md, md.bars("AAPL", backfill=2) as bars:
        sandbox.clock.advance(90)
        await bars.add("MSFT")
        sandbox.clock.advance(60)
        events = await over_by(bars, ("AAPL", "MSFT"), BEGIN + timedelta(minutes=1))
        assert [facts(bar) for bar in events["AAPL"]] == true(sandbox, "AAPL", "1m", BEGIN - timedelta(minutes=2))
        assert [facts(bar) for bar in events["MSFT"]] == true(sandbox, "MSFT", "1m", BEGIN - timedelta(minutes=1))


async def test_bars_of_symbols_added_during_a_receive_begin_with_their_past() -> None:
    symbols = ("AAPL", "MSFT", "TSLA", "F", "GE")
    async with market() as (sandbox, md), nothing_left(), md, md.bars("AAPL", backfill=3) as bars:
        reading = asyncio.create_task(over_by(bars, symbols, BEGIN + timedelta(minutes=9)))
        for number, symbol in enumerate(symbols[1:], 1):
            sandbox.clock.advance(30)
            adding = asyncio.create_task(bars.add(symbol))
            while not adding.done():
                sandbox.clock.advance(1)  # it trades on
                await asyncio.sleep(0)
            await adding
            sandbox.clock.advance(60 * number - (sandbox.clock.now() - BEGIN).total_seconds() % 60)
        sandbox.clock.advance((BEGIN + timedelta(minutes=10) - sandbox.clock.now()).total_seconds())
        events = await reading
        for symbol, found in events.items():
            begin = found[0].start_time
            assert begin is not None
            assert [facts(bar) for bar in found] == true(sandbox, symbol, "1m", begin)
            assert [bar.is_backfill for bar in found[:4]] == [True, True, True, False]


async def test_bars_dropped_by_a_slow_consumer_are_fetched() -> None:
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.bars("AAPL", "MSFT", backfill=2, fill_gaps=True, capacity=5) as bars,
    ):
        events: dict[str, list[Bar]] = {"AAPL": [], "MSFT": []}
        for minutes in (4, 20):
            for _ in range(10):
                sandbox.clock.advance(6 * minutes)
            await md.list_subscriptions()
            assert bars.statistics().dropped
            last = sandbox.clock.now() - timedelta(minutes=1)
            for symbol, found in (await over_by(bars, events, last)).items():
                events[symbol] += found
        for symbol, found in events.items():
            assert [facts(bar) for bar in found] == true(sandbox, symbol, "1m", BEGIN - timedelta(minutes=2))


async def test_bars_of_two_intervals_do_not_mix() -> None:
    async with (
        market() as (sandbox, md),
        nothing_left(),
        md,
        md.bars("AAPL", backfill=2) as minutes,
        md.bars("AAPL", interval="5m", backfill=2) as fives,
    ):
        sandbox.clock.advance(300)
        short = await over_by(minutes, ["AAPL"], BEGIN + timedelta(minutes=4))
        long = await over_by(fives, ["AAPL"], BEGIN)
        assert [facts(bar) for bar in short["AAPL"]] == true(sandbox, "AAPL", "1m", BEGIN - timedelta(minutes=2))
        assert [facts(bar) for bar in long["AAPL"]] == true(sandbox, "AAPL", "5m", BEGIN - timedelta(minutes=10))
