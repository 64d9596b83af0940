"""The market answers the same for every day, in exact cents, and reads and writes the symbols of options."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.symbols import LISTINGS, Listing, option_symbol, parse_option

TODAY = date(2026, 7, 1)


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
