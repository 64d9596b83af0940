from __future__ import annotations

from decimal import ROUND_UP, Context, Decimal, Inexact, Rounded, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.books.keyed_state import rows_by_key
from frame_factory import balance, position

if TYPE_CHECKING:
    from connecttrade_async.models.positions import Position


def added_up(*rows: dict[str, Any]) -> Position:
    listed = [position(**row) for row in rows]
    return rows_by_key([each.symbol for each in listed], listed, "quantity_text").items["AAPL"]


def test_rows_of_one_symbol_are_added_up_and_disagreements_are_none() -> None:
    cash = {"quantity": "5", "average_price": "10", "last_price": "11", "market_value": "55", "total_pl": "1.50"}
    margin = {"quantity": "3", "average_price": "12", "last_price": "11.0", "market_value": "33", "daily_pl": "1"}
    assert added_up({"account_number": "1", **cash}, {"account_number": "2", **margin}) == position(
        quantity="8", average_price="10.75", last_price="11", market_value="88"
    )


@pytest.mark.parametrize(
    ("rows", "quantity", "price"),
    [
        ([{"quantity": "5"}, {"quantity": None}], None, None),
        ([{"quantity": "5"}, {"quantity": "many"}], None, None),
        ([{"quantity": "5", "average_price": "1"}, {"quantity": "-3", "average_price": "2"}], "2", None),
        ([{"quantity": "1", "average_price": "1"}, {"quantity": "2", "average_price": "2"}], "3", "1.666666667"),
        ([{"quantity": "5", "average_price": "1.0"}, {"quantity": "3", "average_price": "1"}], "8", "1.0"),
        ([{"quantity": "5", "average_price": "1"}, {"quantity": "5.0", "average_price": "1.00"}], "5", "1"),
        ([{"quantity": "5", "last_price": "1"}, {"quantity": "0e0"}], "5", None),
        ([{"quantity": "0"}, {"quantity": "0.0"}, {"quantity": "-0"}], "0", None),
    ],
)
def test_rows_of_one_symbol_with_a_missing_number_have_no_sum(
    rows: list[dict[str, Any]], quantity: str | None, price: str | None
) -> None:
    known = added_up(*rows)
    assert (known.quantity_text, known.average_price_text) == (quantity, price)


def test_rows_of_several_keys_stay_apart_and_repeated_keys_are_named() -> None:
    listed = [balance(currency=name, cash=cash) for name, cash in (("USD", "1"), ("EUR", "2"), ("USD", "3"))]
    rows = rows_by_key([str(each.currency) for each in listed], listed, "cash_text")
    assert {name: each.cash_text for name, each in rows.items.items()} == {"USD": "4", "EUR": "2"}
    assert list(rows.several) == ["USD"]


@given(st.lists(st.decimals(-1000, 1000, places=9, allow_nan=False), min_size=1, max_size=5), st.integers(1, 5))
def test_sum_of_rows_is_exact_in_any_decimal_context(sizes: list[Decimal], precision: int) -> None:
    rows = [{"quantity": str(size), "average_price": str(place)} for place, size in enumerate(sizes)]
    with localcontext(Context(prec=precision, rounding=ROUND_UP, traps=[Inexact, Rounded])):
        known = added_up(*rows)
    with localcontext(Context(prec=100)):
        assert known.quantity == sum(sizes, Decimal(0))
