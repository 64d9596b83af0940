"""The market answers the same for every day, in exact cents, and reads and writes the symbols of options."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from connecttrade_async.sandbox.world import Hours
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.price_path import PricePath, TickRange, anchor, first_tick, moment_of
from connecttrade_async.sandbox.world.symbols import LISTINGS, Listing, option_symbol, parse_option

TODAY = date(2026, 7, 1)
CALL, PUT = "AAPL280121C00230000", "AAPL280121P00230000"
MARKET = Market(7)


@given(st.sampled_from(LISTINGS), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_prices_are_cents_and_do_not_depend_on_what_was_asked_before(listing: Listing, on: date) -> None:
    market = Market(7)
    market.price(listing.symbol, TODAY)
    price = market.price(listing.symbol, on)
    assert price == Market(7).price(listing.symbol, on)
    assert price >= Decimal("0.01")
    assert price == price.quantize(Decimal("0.01"))


def test_an_expired_option_is_worth_what_is_inside_it() -> None:
    market = Market(7)
    spot = market.price("AAPL", TODAY)
    deep = f"AAPL{TODAY:%y%m%d}C00010000"
    assert market.price(deep, TODAY) == spot - 10
    assert market.price(f"AAPL{TODAY:%y%m%d}P00010000", TODAY) == 0
    assert market.price(f"AAPL{TODAY + timedelta(30):%y%m%d}P00010000", TODAY) > 0


def test_symbols_of_options() -> None:
    for symbol in ("TSLA251031C00437500", "AAPL241018P00190000", "SPY241018C00430000"):
        option = parse_option(symbol)
        assert option is not None
        assert option_symbol(option) == symbol
    assert parse_option("AAPL") is None
    assert parse_option("AAPL241318P00190000") is None
    assert Market(7).expiry(date(2024, 9, 30), 1) == date(2024, 10, 18)
    assert Market(7).price("ANYTHING", TODAY) >= Decimal("0.01")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  hypothesis adds the zone
def test_a_walk_is_the_same_however_it_is_asked_for(at: datetime) -> None:
    one, other = Market(7), Market(7)
    one.last("AAPL", at - timedelta(days=3))
    assert one.quote("AAPL", at) == other.quote("AAPL", at)
    bid, fetch, last = one.quote(CALL, at)
    assert 0 <= bid < last < fetch


@given(st.integers(6_000_000_000, 8_000_000_000), st.integers(0, 19), st.floats(0, 1, exclude_max=True))
def test_a_walk_stays_within_its_bounds(tick: int, depth: int, part: float) -> None:
    cell = cell_around(tick, depth)
    inside = moment_of(cell.low + int((cell.high - cell.low) * part))
    for symbol in ("AAPL", CALL, PUT):
        low, high = MARKET.bounds(symbol, cell)
        assert low <= MARKET.last(symbol, inside) <= high


@given(st.integers(0, 3_000_000), st.integers(0, 2_000_000), st.integers(100, 2000), st.integers(1, 30))
def test_the_first_tick_is_found(start: int, length: int, level: int, every: int) -> None:
    hits = {tick for tick in range(start, start + length, level * 97 + 1) if tick % every == 0}
    found = first_tick(
        start,
        start + length,
        lambda cell: any(cell.low <= hit < cell.high for hit in hits),
        hits.__contains__,
        every=every,
    )
    assert found == min(hits, default=None)


def test_the_price_at_eight_in_the_evening_is_the_days() -> None:
    for days in range(20):
        on = TODAY + timedelta(days)
        assert MARKET.last("AAPL", anchor(on)) == MARKET.price("AAPL", on)
        assert MARKET.last(CALL, anchor(on)) == MARKET.price(CALL, on)


def test_a_price_that_is_pinned_stays_until_it_is_freed() -> None:
    market, walk = Market(7), Market(7)
    begin = anchor(TODAY)
    market.pin("AAPL", Decimal(500), begin)
    market.pin("AAPL", None, begin + timedelta(hours=1))
    before, meanwhile, after = (begin + timedelta(minutes=minutes) for minutes in (-1, 30, 61))
    assert market.last("AAPL", meanwhile) == 500
    assert market.last(CALL, meanwhile) > 270
    assert [market.last("AAPL", at) for at in (before, after)] == [walk.last("AAPL", at) for at in (before, after)]
    assert market.pins == {}
    market.pin("AAPL", Decimal(1), begin - timedelta(days=1))
    assert (market.pins, market.last("AAPL", after)) == ({"AAPL": Decimal(1)}, Decimal(1))


def test_what_is_halted() -> None:
    market = Market(7)
    market.halt("AAPL")
    assert (market.is_halted(CALL), market.is_halted("F"), market.halted) == (True, False, ("AAPL",))
    market.halt(None)
    assert (market.is_halted("F"), market.halted) == (True, None)
    market.resume(None)
    market.halt("F")
    market.resume("F")
    assert (market.is_halted("F"), market.halted) == (False, ())


def test_while_the_market_is_closed_the_last_price_stands() -> None:
    market = Market(7, Hours("real"))
    friday = datetime(2026, 7, 4, 0, tzinfo=UTC)
    assert len({market.last("AAPL", friday + timedelta(hours=hours)) for hours in range(0, 48, 5)}) == 1
    assert market.last("AAPL", friday) != market.last("AAPL", datetime(2026, 7, 6, 12, tzinfo=UTC))


def test_a_wide_memory_is_cleared_and_says_the_same() -> None:
    walk = PricePath("seed", lambda _: 1.0)
    first = [walk.value(tick) for tick in range(100)]
    for tick in range(20_000):
        walk.value(tick)
    assert [walk.value(tick) for tick in range(100)] == first


def cell_around(tick: int, depth: int) -> TickRange:
    day = tick - tick % 345_600
    cell = TickRange(day, day + 345_600, 0)
    for _ in range(depth):
        if cell.high - cell.low > 1:
            cell = next(half for half in cell.halves() if half.low <= tick < half.high)
    return cell
