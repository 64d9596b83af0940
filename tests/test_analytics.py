from __future__ import annotations

import pickle
from decimal import Context, Decimal, Inexact, getcontext, localcontext
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from connecttrade_async import Balance, ConfigurationError, Fill, MalformedResponseError, Order, Position, analytics
from connecttrade_async.analytics import (
    AverageFillPrice,
    Total,
    average_fill_price,
    daily_summary,
    partially_filled,
    total_unrealized_pl,
)
from contexts import CONTEXTS

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**29), max_value=10**29, places=9)
PRICES = st.decimals(min_value="0.000000001", max_value=10**20, allow_nan=False, allow_infinity=False, places=9)
MAYBE = st.none() | AMOUNTS.map(str)


def position(symbol: str = "AAPL", **numbers: str | None) -> Position:
    return msgspec.convert({"symbol": symbol, **numbers}, Position)


def balance(**fields: str | None) -> Balance:
    return msgspec.convert({"account_id": "a", **fields}, Balance)


def fill(quantity: str | None, price: str | None) -> Fill:
    return msgspec.convert({"quantity": quantity, "price": price}, Fill)


def order(**fields: Any) -> Order:
    return msgspec.convert({"order_id": "o", **fields}, Order)


def fills(*pairs: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"quantity": quantity, "price": price} for quantity, price in pairs]


def test_unrealized_gains_are_added_and_what_is_missing_is_counted() -> None:
    held = [position(unrealized_pl=text) for text in ("10.25", None, "-3.50", "", "0")]
    assert total_unrealized_pl(held) == Total(total=Decimal("6.75"), counted=3, missing=2)
    assert total_unrealized_pl(iter(())) == Total(total=Decimal(0), counted=0, missing=0)


def test_a_gain_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MalformedResponseError, match="unrealized_pl"):
        total_unrealized_pl([position(unrealized_pl="n/a")])


@given(st.lists(MAYBE))
def test_a_sum_is_exact_in_any_decimal_context(texts: list[str | None]) -> None:
    with localcontext() as context:
        context.prec = 3
        context.traps[Inexact] = True
        told = total_unrealized_pl(position(unrealized_pl=text) for text in texts)
    known = [Fraction(text) for text in texts if text is not None]
    assert Fraction(told.total) == sum(known)
    assert (told.counted, told.missing) == (len(known), len(texts) - len(known))


def test_numbers_far_apart_are_added_without_loss() -> None:
    told = total_unrealized_pl([position(unrealized_pl="1E+29"), position(unrealized_pl="1E-30")])
    assert str(told.total) == "1" + 29 * "0" + "." + 29 * "0" + "1"


@pytest.mark.parametrize("text", ["1e999999999", "-1E-999999999", "9" * 4_301])
def test_a_number_without_bound_is_an_error_in_every_sum(text: str) -> None:
    executed = order(status="cancelled", filled_qty=text, order_qty="10")
    for ask in (
        lambda: total_unrealized_pl([position(unrealized_pl=text), position(unrealized_pl="1")]),
        lambda: average_fill_price([fill(text, "1"), fill("1", text)]),
        lambda: average_fill_price([executed]),
        lambda: daily_summary([balance(cash=text)], []),
        lambda: partially_filled([executed]),
    ):
        with pytest.raises(MalformedResponseError, match="more than 30 digits"):
            ask()


LONG = st.from_regex(r"-?[0-9]{1,30}\.[0-9]{1,30}", fullmatch=True).filter(str.isascii)


@given(CONTEXTS, st.lists(st.tuples(LONG, LONG), min_size=1, max_size=5))
@example(Context(prec=6, traps=[Inexact]), [("0.1", "3"), ("123456.789", "0.1")])
def test_results_are_alike_in_every_decimal_context(context: Context, pairs: list[tuple[str, str]]) -> None:
    def results() -> str:
        held = [position(quantity=one, unrealized_pl=other, daily_pl=one) for one, other in pairs]
        orders = [order(filled_qty=one, order_qty=other, fills=fills((one, other))) for one, other in pairs]
        summary = daily_summary([balance(cash=one, buying_power=other) for one, other in pairs], held)
        priced = average_fill_price([*orders, *(fill(one, other) for one, other in pairs)])
        return f"{summary!r} {summary.symbols!r} {priced!r} {len(partially_filled(orders))}"

    with localcontext(context):
        there = results()
    assert there == results()


def test_an_average_is_weighted_by_volume() -> None:
    told = average_fill_price([fill("1", "10"), fill("3", "12"), fill(None, "99"), fill("5", None), fill("0", "1")])
    assert told == AverageFillPrice(price=Decimal("11.5"), quantity=Decimal(4), counted=3, missing=2)


@pytest.mark.parametrize("executed", [[], [fill("0", "10")], [fill(None, None)], [order(status="working")]])
def test_what_was_not_filled_has_no_price(executed: list[Fill | Order]) -> None:
    told = average_fill_price(executed)
    assert told.price is None
    assert told.quantity == 0


def test_an_average_that_does_not_come_out_is_rounded_half_even_to_28_digits() -> None:
    with localcontext() as context:
        context.prec = 3
        told = average_fill_price([fill("1", "1"), fill("2", "2")])
    assert str(told.price) == "1.666666666666666666666666667"
    assert getcontext().prec == 28


def test_the_fills_of_a_broker_that_counts_down_weigh_as_much() -> None:
    assert average_fill_price([fill("-1", "10"), fill("-3", "12")]).price == Decimal("11.5")


@given(st.lists(st.tuples(PRICES, PRICES), min_size=1))
def test_an_average_is_within_its_last_digit_of_the_true_one(pairs: list[tuple[Decimal, Decimal]]) -> None:
    told = average_fill_price(fill(str(quantity), str(price)) for quantity, price in pairs)
    volume = sum((Fraction(quantity) for quantity, _ in pairs), Fraction(0))
    money = sum((Fraction(quantity) * Fraction(price) for quantity, price in pairs), Fraction(0))
    true = money / volume
    assert told.price is not None
    assert Fraction(told.quantity) == volume
    assert abs(Fraction(told.price) - true) * 10**27 <= true


@given(st.lists(PRICES, min_size=1), PRICES)
def test_an_average_of_equal_prices_is_that_price(quantities: list[Decimal], price: Decimal) -> None:
    assert average_fill_price(fill(str(quantity), str(price)) for quantity in quantities).price == price


@pytest.mark.parametrize(
    ("fields", "price", "counted", "missing"),
    [
        # The fills say it all.
        ({"fills": fills(("1", "10"), ("3", "12"))}, "11.5", 2, 0),
        ({"fills": fills(("1", "10"), ("3", "12")), "filled_qty": "4", "avg_fill_price": "11.49"}, "11.5", 2, 0),
        # They do not, and the order does.
        ({"fills": fills(("1", "10")), "filled_qty": "4", "avg_fill_price": "11.50"}, "11.50", 1, 0),
        ({"fills": fills(("1", "10"), ("3", None)), "filled_qty": "4", "avg_fill_price": "11.50"}, "11.50", 1, 0),
        ({"filled_qty": "4", "avg_fill_price": "11.50", "status": "filled"}, "11.50", 1, 0),
        # They come to more than was filled, so none of them is believed.
        ({"fills": fills(("1", "10"), ("1", "20")), "filled_qty": "1", "avg_fill_price": "10"}, "10", 1, 0),
        ({"fills": fills(("1", "10"), ("1", None)), "filled_qty": "1", "avg_fill_price": "10"}, "10", 1, 0),
        ({"fills": fills(("1", "10"), ("1", "20")), "filled_qty": "1"}, None, 0, 1),
        ({"fills": fills(("1", "10")), "filled_qty": "0", "avg_fill_price": "10"}, None, 0, 1),
        # Neither has, wholly or in part.
        ({"fills": fills(("1", "10")), "filled_qty": "4"}, "10", 1, 1),
        ({"fills": fills(("1", "10"), ("3", None)), "filled_qty": "4"}, "10", 1, 1),
        ({"fills": fills(("1", "10"), (None, "12")), "filled_qty": "4"}, "10", 1, 1),
        ({"fills": fills((None, None)), "filled_qty": "0"}, None, 0, 1),
        ({"filled_qty": "4", "status": "working"}, None, 0, 1),
        ({"status": "filled"}, None, 0, 1),
        ({"status": "cancelled"}, None, 0, 1),
        ({"avg_fill_price": "10", "status": "filled"}, None, 0, 1),
        ({}, None, 0, 1),
        # There is nothing to say.
        ({"filled_qty": "0"}, None, 0, 0),
        ({"filled_qty": "0", "avg_fill_price": "0", "status": "cancelled"}, None, 0, 0),
        ({"status": "pending"}, None, 0, 0),
        ({"status": "working"}, None, 0, 0),
        ({"status": "rejected"}, None, 0, 0),
    ],
)
def test_average_fill_price_uses_the_most_precise_numbers_of_an_order(
    fields: dict[str, Any], price: str | None, counted: int, missing: int
) -> None:
    told = average_fill_price([order(**fields)])
    assert told.price == (None if price is None else Decimal(price))
    assert (told.counted, told.missing) == (counted, missing)


def test_the_day_is_summed_up_by_symbol() -> None:
    summary = daily_summary(
        [balance(cash="100.10", buying_power="200", currency="USD"), balance(cash=None, buying_power="1")],
        [
            position("MSFT", quantity="1", unrealized_pl="5", daily_pl="1", total_pl="6"),
            position("AAPL", quantity="2", unrealized_pl="-1.5", daily_pl=None, total_pl="2"),
            position("MSFT", quantity="-3", unrealized_pl=None, daily_pl="0.25", total_pl="1"),
        ],
    )
    assert summary.cash == Total(total=Decimal("100.10"), counted=1, missing=1)
    assert summary.buying_power == Total(total=Decimal(201), counted=2, missing=0)
    assert summary.unrealized_pl == Total(total=Decimal("3.5"), counted=2, missing=1)
    assert summary.daily_pl == Total(total=Decimal("1.25"), counted=2, missing=1)
    assert summary.total_pl == Total(total=Decimal(9), counted=3, missing=0)
    assert [profit.symbol for profit in summary.symbols] == ["AAPL", "MSFT"]
    msft = summary.by_symbol["MSFT"]
    assert msft.quantity == Total(total=Decimal(-2), counted=2, missing=0)
    assert msft.unrealized_pl == Total(total=Decimal(5), counted=1, missing=1)
    assert msft.daily_pl.total == Decimal("1.25")
    assert msft.total_pl.total == 7
    assert pickle.loads(pickle.dumps(summary)) == summary  # noqa: S301 - our own bytes
    assert {summary: 1}[summary]


def test_a_day_without_anything_is_zero_of_nothing() -> None:
    nothing = Total(total=Decimal(0), counted=0, missing=0)
    summary = daily_summary((), ())
    assert (summary.cash, summary.total_pl, summary.symbols) == (nothing, nothing, ())


def test_money_of_two_currencies_is_not_added() -> None:
    with pytest.raises(ConfigurationError, match="balances must be in one currency, got EUR and USD"):
        daily_summary([balance(currency="USD"), balance(currency="EUR"), balance()], [])


@given(st.lists(st.tuples(st.sampled_from("ABC"), MAYBE)))
def test_the_symbols_add_up_to_the_day(held: list[tuple[str, str | None]]) -> None:
    summary = daily_summary([], [position(symbol, daily_pl=text) for symbol, text in held])
    parts = [profit.daily_pl for profit in summary.symbols]
    assert sum(Fraction(part.total) for part in parts) == Fraction(summary.daily_pl.total)
    assert sum(part.missing for part in parts) == summary.daily_pl.missing


@pytest.mark.parametrize(
    ("fields", "is_partial"),
    [
        ({"status": "partially_filled"}, True),
        ({"status": "filled", "filled_qty": "3", "order_qty": "10"}, False),
        ({"status": "cancelled", "filled_qty": "3", "order_qty": "10"}, True),
        ({"status": "pending_cancel", "filled_qty": "3", "order_qty": "10"}, True),
        ({"status": "cancelled", "filled_qty": "10", "order_qty": "10"}, False),
        ({"status": "working", "filled_qty": "0", "order_qty": "10"}, False),
        ({"status": "working", "order_qty": "10"}, False),
        ({"status": "working", "order_qty": "10", "fills": fills(("3", "1"), (None, "1"))}, True),
        ({"status": "expired", "filled_qty": "0.5", "order_notional": "100"}, True),
        ({"filled_qty": "3"}, True),
        ({}, False),
    ],
)
def test_partially_filled_reads_the_status_or_the_numbers(
    fields: dict[str, Any],
    is_partial: bool,  # noqa: FBT001 - a row of the table
) -> None:
    one = order(**fields)
    assert partially_filled([one]) == ((one,) if is_partial else ())


def test_results_can_be_read_at_a_glance() -> None:
    told = total_unrealized_pl([position(unrealized_pl="1E+3"), position()])
    assert (str(told), repr(told)) == ("1000 (1 missing)", "<Total 1000 (1 missing), 1 counted>")
    assert str(total_unrealized_pl([])) == "0"
    priced = average_fill_price([fill("2", "1.50")])
    assert repr(priced) == "<AverageFillPrice 1.50 for 2, 1 counted, 0 missing>"
    assert repr(average_fill_price([])) == "<AverageFillPrice unknown for 0, 0 counted, 0 missing>"
    summary = daily_summary([balance(cash="1", buying_power="2")], [position(unrealized_pl="3")])
    assert repr(summary) == (
        "<DailySummary cash 1, buying power 2; unrealized 3, today 0 (1 missing), in all 0 (1 missing); symbols 1>"
    )
    assert repr(summary.symbols[0]) == "<SymbolProfit AAPL: unrealized 3, today 0 (1 missing), in all 0 (1 missing)>"
    assert analytics.Total is Total
