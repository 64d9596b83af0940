"""The prints, the bars, the depth and the chains of the world: exact, and the same however they are asked for."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.sandbox.world import Hours, World
from connecttrade_async.sandbox.world.bars import INTERVALS, Bar, span
from connecttrade_async.sandbox.world.chains import OptionChains
from connecttrade_async.sandbox.world.depth import Depths
from connecttrade_async.sandbox.world.price_path import PricePath, anchor, tick_of
from connecttrade_async.sandbox.world.pricing import Greeks, greeks, worth
from connecttrade_async.sandbox.world.symbols import Option, option_symbol, parse_option
from connecttrade_async.sandbox.world.trades import MINUTE, Trade

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
CALL = "AAPL260821C00230000"
SYMBOLS = st.sampled_from(("AAPL", "F", "IBM/WS", CALL, "AAPL260821P00230000"))
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 7, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone
WORLD, REAL = World(7), World(7, Hours("real"))


def prints(world: World, symbol: str, start: datetime, end: datetime) -> list[Trade]:
    return list(world.tape.prints(symbol, tick_of(start), tick_of(end)))


def amount_to(start: datetime, found: list[Trade]) -> Bar | None:
    if not found:
        return None
    prices = [one.price for one in found]
    volume = sum(one.size for one in found)
    return Bar(start, prices[0], max(prices), min(prices), prices[-1], volume)


@settings(max_examples=40, deadline=None)
@given(SYMBOLS, st.sampled_from(("1m", "5m", "15m", "30m", "1h")), MOMENTS, st.sampled_from((WORLD, REAL)))
def test_a_bar_is_what_its_prints_amount_to(symbol: str, interval: str, at: datetime, world: World) -> None:
    start, end = span(interval, at)
    assert start <= at < end
    assert end - start == INTERVALS[interval]
    assert world.bars.bar(symbol, interval, at) == amount_to(start, prints(world, symbol, start, end))
    so_far = prints(world, symbol, start, at + timedelta(milliseconds=250))
    assert world.bars.bar(symbol, interval, at, at) == amount_to(start, [one for one in so_far if one.at <= at])


@settings(max_examples=4, deadline=None)
@given(st.sampled_from(("AAPL", CALL)), MOMENTS, st.sampled_from((WORLD, REAL)))
def test_so_is_that_of_a_day(symbol: str, at: datetime, world: World) -> None:
    start, end = span("1d", at)
    assert world.bars.bar(symbol, "1d", at) == amount_to(start, prints(world, symbol, start, end))


@settings(max_examples=20, deadline=None)
@given(SYMBOLS, st.sampled_from((("1m", "5m"), ("5m", "15m"), ("15m", "30m"), ("30m", "1h"), ("1h", "1d"))), MOMENTS)
def test_a_larger_bar_is_what_the_smaller_ones_amount_to(symbol: str, sizes: tuple[str, str], at: datetime) -> None:
    start, end = span(sizes[1], at)
    parts = list(REAL.bars.between(symbol, sizes[0], start, end))
    whole = REAL.bars.bar(symbol, sizes[1], at)
    if whole is None:
        assert parts == []
        return
    high, low = max(part.high for part in parts), min(part.low for part in parts)
    volume = sum(part.volume for part in parts)
    assert whole == Bar(start, parts[0].open, high, low, parts[-1].close, volume)


@settings(max_examples=30, deadline=None)
@given(SYMBOLS, MOMENTS, st.integers(1, 4000), st.integers(1, 4000))
def test_prints_do_not_depend_on_what_was_asked_before(symbol: str, at: datetime, one: int, other: int) -> None:
    start, middle = tick_of(at), tick_of(at) + one
    whole = list(World(7).tape.prints(symbol, start, middle + other))
    parts = [*WORLD.tape.prints(symbol, start, middle), *WORLD.tape.prints(symbol, middle, middle + other)]
    assert parts == whole
    assert [found.tick for found in whole] == sorted({found.tick for found in whole})
    assert WORLD.tape.volume(symbol, start, middle + other) == sum(found.size for found in whole)
    for found in whole:
        assert found.size > 0
        assert found.price == WORLD.market.last(symbol, found.at)


@settings(max_examples=60, deadline=None)
@given(st.integers(6_000_000_000, 8_000_000_000), st.integers(1000, 5000), st.integers(1, 40), st.sampled_from((1, -1)))
def test_the_farthest_of_a_walk_is_found_without_looking_at_all_of_it(
    start: int, length: int, every: int, sign: int
) -> None:
    walk, looked = PricePath("farthest", lambda on: on.toordinal() % 3 / 100), list[int]()

    def counts(tick: int) -> bool:
        looked.append(tick)
        return tick % every == 0

    found = walk.farthest(start, start + length, counts, sign=sign)
    values = [sign * walk.value(tick) for tick in range(start, start + length) if tick % every == 0]
    assert found == (sign * max(values) if values else None)
    assert len(looked) <= max(1000, length) / 2  # of 400 walks, the worst looked at a sixth of its ticks


def test_what_the_tape_has_forgotten_it_says_again() -> None:
    tape, start = World(7).tape, tick_of(NOON)
    first = list(tape.prints("AAPL", start, start + MINUTE))
    for minute in range(5000):
        tape.marks(CALL, minute)
    assert list(tape.prints("AAPL", start, start + MINUTE)) == first


def test_every_minute_of_a_stock_has_prints_while_the_market_is_open() -> None:
    opening = tick_of(datetime(2026, 7, 1, 8, tzinfo=UTC)) // MINUTE
    for minute in range(opening, opening + 60):
        assert 20 <= len(list(REAL.tape.prints("AAPL", minute * MINUTE, (minute + 1) * MINUTE))) <= 40
        assert list(REAL.tape.prints("AAPL", (minute - 60) * MINUTE, (minute - 59) * MINUTE)) == []


def test_regular_and_extended_hours() -> None:
    day = datetime(2026, 7, 1, tzinfo=UTC)
    kinds = {
        hour: {
            one.session
            for one in prints(REAL, "AAPL", day + timedelta(hours=hour), day + timedelta(hours=hour, minutes=1))
        }
        for hour in (7, 9, 14, 19, 21)
    }
    assert kinds == {7: set(), 9: {"extended"}, 14: {"regular"}, 19: {"regular"}, 21: {"extended"}}
    assert {one.session for one in prints(WORLD, "AAPL", day, day + timedelta(minutes=1))} == {"regular"}


def test_nothing_trades_at_the_weekend_and_the_bars_before_it_come_next() -> None:
    sunday = datetime(2026, 7, 5, 12, tzinfo=UTC)
    bars = REAL.bars.before("AAPL", "1h", sunday, 20)
    assert [bar.start for bar in bars[-2:]] == [datetime(2026, 7, 3, hour, tzinfo=UTC) for hour in (22, 23)]
    assert bars[-17].start == datetime(2026, 7, 2, 23, tzinfo=UTC)
    assert REAL.bars.bar("AAPL", "1d", sunday) is None


def test_the_bars_before_a_moment() -> None:
    at = NOON + timedelta(seconds=30)
    bars = WORLD.bars.before("AAPL", "5m", at, 300)
    assert [bar.start for bar in bars] == [NOON - timedelta(minutes=5 * back) for back in range(300, 0, -1)]
    assert bars == list(WORLD.bars.between("AAPL", "5m", bars[0].start, NOON))
    off = list(WORLD.bars.between("AAPL", "5m", bars[0].start + timedelta(seconds=1), NOON))
    assert off == bars[1:]
    assert WORLD.bars.before("AAPL", "1d", datetime(2000, 1, 3, 12, tzinfo=UTC), 9)[0].start.year == 1999


def test_a_day_is_new_yorks() -> None:
    assert span("1d", datetime(2026, 7, 1, 3, 59, tzinfo=UTC))[1] == datetime(2026, 7, 1, 4, tzinfo=UTC)
    shortest, longest = (
        span("1d", datetime(2026, 3, 7, 12, tzinfo=UTC)),
        span("1d", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    )
    assert (shortest[1] - shortest[0], longest[1] - longest[0]) == (timedelta(hours=23), timedelta(hours=25))


def test_pinned_prices_are_in_the_prints_and_in_the_bars() -> None:
    world = World(7)
    first, second = NOON + timedelta(minutes=2, milliseconds=100), NOON + timedelta(minutes=4)
    world.market.pin("AAPL", Decimal("500.00"), first)
    world.market.pin("AAPL", None, second)
    world.market.pin("AAPL", Decimal("1.00"), second + timedelta(microseconds=1))
    world.market.pin("AAPL", None, second + timedelta(microseconds=2))
    start, end = span("15m", NOON)
    found = prints(world, "AAPL", start, end)
    bar = world.bars.bar("AAPL", "15m", NOON)
    assert bar == amount_to(start, found)
    assert bar is not None
    assert bar.high == 500
    assert bar.low > 1
    assert {one.price for one in found if first <= one.at < second} == {Decimal("500.00")}
    assert world.bars.bar("AAPL", "1m", NOON) == WORLD.bars.bar("AAPL", "1m", NOON)


def test_an_option_that_has_expired_trades_no_more() -> None:
    end = anchor(date(2026, 8, 21))
    assert prints(WORLD, CALL, end - timedelta(hours=1), end + timedelta(days=1))[-1].at < end
    assert prints(WORLD, CALL, end, end + timedelta(hours=1)) == []


@settings(max_examples=50, deadline=None)
@given(SYMBOLS, MOMENTS, st.integers(1, 50), st.sampled_from((WORLD, REAL)))
def test_the_depth_begins_with_the_quote(symbol: str, at: datetime, levels: int, world: World) -> None:
    depth, quote = Depths(world.market, 7).depth(symbol, at, levels), world.market.quote(symbol, at)
    assert depth.last == quote.last
    assert depth.asks[0].price == quote.ask
    assert len(depth.asks) == levels
    bids, asks = [level.price for level in depth.bids], [level.price for level in depth.asks]
    assert bids[:1] == [quote.bid][: quote.bid > 0]
    assert (bids, asks) == (sorted(set(bids), reverse=True), sorted(set(asks)))
    assert all(level.price > 0 and level.size > 0 for level in (*depth.bids, *depth.asks))
    assert Depths(world.market, 7).depth(symbol, at, 1).asks == depth.asks[:1]


NUMBERS = st.tuples(st.floats(1, 900), st.floats(0.6, 1.6), st.floats(0.01, 2))


@given(NUMBERS)
def test_a_call_less_a_put_is_the_root_less_the_strike(numbers: tuple[float, float, float]) -> None:
    spot, share, years = numbers
    strike = spot * share
    call, put = (worth(spot, strike, years, sign=sign) for sign in (1, -1))
    assert math.isclose(call - put, spot - strike, abs_tol=1e-9 * spot)
    ours, theirs = greeks(spot, strike, years, sign=1), greeks(spot, strike, years, sign=-1)
    assert math.isclose(ours.delta - theirs.delta, 1, abs_tol=1e-9)
    assert (ours.gamma, ours.theta, ours.vega) == (theirs.gamma, theirs.theta, theirs.vega)
    assert math.isclose(ours.rho - theirs.rho, strike * years / 100, rel_tol=1e-9)


@given(NUMBERS, st.sampled_from((1, -1)))
def test_the_greeks_are_how_the_worth_changes(numbers: tuple[float, float, float], sign: int) -> None:
    spot, share, years = numbers
    strike, step = spot * share, spot * 1e-4
    found = greeks(spot, strike, years, sign=sign)
    low, middle, high = (worth(spot + move, strike, years, sign=sign) for move in (-step, 0, step))
    assert math.isclose(found.delta, (high - low) / (2 * step), abs_tol=1e-4)
    assert math.isclose(found.gamma * spot, (high - 2 * middle + low) / step**2 * spot, abs_tol=0.02)
    sooner = worth(spot, strike, years + 1e-6, sign=sign), worth(spot, strike, years - 1e-6, sign=sign)
    assert math.isclose(found.theta / spot, (sooner[1] - sooner[0]) / 2e-6 / 365 / spot, abs_tol=1e-4)
    assert found.vega >= 0
    assert sign * found.rho >= 0
    assert found.implied_volatility == 0.3


@pytest.mark.parametrize(("sign", "delta"), [(1, 1.0), (-1, 0.0)])
def test_an_option_at_its_end_is_worth_what_is_inside(sign: int, delta: float) -> None:
    assert worth(110, 100, 0, sign=sign) == max(sign * 10, 0)
    assert greeks(110, 100, 0, sign=sign) == Greeks(delta, 0, 0, 0, 0, 0)


@settings(max_examples=30, deadline=None)
@given(MOMENTS)
def test_expiries_are_fridays_that_are_not_over(at: datetime) -> None:
    found = OptionChains(WORLD.tape, 7).expiries(at)
    assert list(found) == sorted(set(found))
    assert {day.weekday() for day in found} == {4}
    assert anchor(found[0]) > at
    assert anchor(found[0]) - at <= timedelta(days=7)
    assert [after - before for before, after in pairwise(found[:4])] == [timedelta(days=7)] * 3
    assert WORLD.market.expiry(at.date(), 6) in found


@settings(max_examples=20, deadline=None)
@given(MOMENTS, st.sampled_from(("AAPL", "F", "ZM")))
def test_a_chain_is_priced_as_the_market_prices_and_keeps_parity(at: datetime, root: str) -> None:
    chains = OptionChains(WORLD.tape, 7)
    expiry, spot = chains.expiries(at)[-1], WORLD.market.last(root, at)
    contracts = list(chains.contracts(root, expiry, at))
    assert contracts == list(OptionChains(World(7).tape, 7).contracts(root, expiry, at))
    for call, put in zip(contracts[::2], contracts[1::2], strict=True):
        option = parse_option(call.symbol)
        assert option is not None
        assert option.right == "C"
        assert put.symbol == option_symbol(Option(root, expiry, "P", option.strike))
        assert call.quote == WORLD.market.quote(call.symbol, at)
        assert abs(call.quote.last - put.quote.last - (spot - option.strike)) <= Decimal("0.02")
        assert 0 <= call.open_interest < 20_000
        assert 0 < call.greeks.delta < 1
    midnight = span("1d", at)[0]
    assert contracts[0].volume == WORLD.tape.volume(contracts[0].symbol, tick_of(midnight), tick_of(at) + 1)
