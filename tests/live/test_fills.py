from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.live.fills import NONE_IMPLIED, Implied, news_of
from connecttrade_async.live.merging import joined
from frames import fill, order

if TYPE_CHECKING:
    from connecttrade_async import Fill, Order


def told_by(*sayings: Order) -> tuple[list[Fill], Implied]:
    """Tell an order's sayings one after the other."""
    told: list[Fill] = []
    known: Order | None = None
    implied = NONE_IMPLIED
    for said in sayings:
        after = said if known is None else joined(known, said)
        fills, implied = news_of(known, after, implied)
        told += fills
        known = after
    return told, implied


def shown(told: list[Fill]) -> list[tuple[str | None, str | None, str | None]]:
    return [(each.fill_id, each.quantity_text, each.price_text) for each in told]


def test_each_listed_fill_is_told_once_by_its_id() -> None:
    one, two = fill("1", "4"), fill("2", "6")
    told, implied = told_by(
        order(filled_qty="4", fills=[one]),
        order(filled_qty="4", fills=[one]),
        order(filled_qty="10", fills=[one, two]),
        order(filled_qty="10", fills=[two, one]),
    )
    assert shown(told) == [("1", "4", "10"), ("2", "6", "10")]
    assert implied == NONE_IMPLIED


def test_where_no_fills_are_listed_the_growth_is_told_at_the_price_that_the_average_implies() -> None:
    told, implied = told_by(
        order(filled_qty="4", avg_fill_price="10", updated_at="1772461800"),
        order(filled_qty="4", avg_fill_price="10.00"),
        order(filled_qty="10", avg_fill_price="13"),
    )
    assert shown(told) == [(None, "4", "10"), (None, "6", "15")]
    assert told[0].time_text == "1772461800"
    assert implied == Implied(Decimal(10), Decimal(130))


def test_what_was_told_of_the_growth_is_not_told_again_when_it_is_listed() -> None:
    told, implied = told_by(
        order(filled_qty="10", avg_fill_price="10"),
        order(filled_qty="10", fills=[fill("1", "4")]),
        order(filled_qty="12", avg_fill_price="10", fills=[fill("1", "4"), fill("2", "8", "11")]),
    )
    assert shown(told) == [(None, "10", "10"), ("2", "2", "11")]
    assert implied == NONE_IMPLIED


def test_a_fill_without_a_price_leaves_the_price_of_the_rest_unknown() -> None:
    told, implied = told_by(
        order(filled_qty="4", avg_fill_price=None),
        order(filled_qty="4", fills=[fill("1", "3", None)]),
        order(filled_qty="6", avg_fill_price="10", fills=[fill("1", "3", None)]),
    )
    assert shown(told) == [(None, "4", None), (None, "2", None)]
    assert implied == Implied(Decimal(3), None)


def test_of_a_fill_without_a_quantity_nobody_knows_what_it_explains() -> None:
    told, _ = told_by(order(filled_qty="9", fills=[fill("1", None), fill("2", "3")]))
    assert shown(told) == [("1", None, "10"), ("2", "3", "10")]


def test_a_list_beyond_the_count_is_told_and_a_missing_count_claims_nothing() -> None:
    told, _ = told_by(order(filled_qty=None, fills=[fill("1", "5")]), order(filled_qty="4"), order(filled_qty="5"))
    assert shown(told) == [("1", "5", "10")]


def test_a_price_that_cannot_be_is_not_told() -> None:
    told, _ = told_by(order(filled_qty="5", avg_fill_price="10"), order(filled_qty="6", avg_fill_price="1"))
    assert shown(told) == [(None, "5", "10"), (None, "1", None)]


def test_a_short_sale_may_be_counted_below_zero() -> None:
    told, _ = told_by(order(filled_qty="-5", avg_fill_price="10"), order(filled_qty="-7", avg_fill_price="10"))
    assert shown(told) == [(None, "5", "10"), (None, "2", "10")]


PARTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
SHOWS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=8)


@given(PARTS, SHOWS)
def test_what_is_told_adds_up_however_it_is_shown(parts: list[int], shows: list[tuple[int, bool, bool]]) -> None:
    """A broker shows ever more of the executions: with or without the list, with or without ids, and at last all."""
    for has_ids in (True, False):
        sayings: list[Order] = []
        for seen, has_list, has_count in [*sorted(shows), (len(parts), True, True)]:
            some = [fill(str(n) if has_ids else None, str(q), "10", str(n)) for n, q in enumerate(parts[:seen])]
            said: dict[str, Any] = {"fills": some} if has_list else {}
            said |= {"filled_qty": str(sum(parts[:seen])), "avg_fill_price": "10"} if has_count else {}
            sayings.append(order(**said))
        told, implied = told_by(*sayings)
        assert sum(each.quantity or 0 for each in told) == sum(parts)
        assert {each.price for each in told} == {Decimal(10)}
        assert implied == NONE_IMPLIED
        ids = [each.fill_id for each in told if each.fill_id is not None]
        assert len(set(ids)) == len(ids)


def test_a_fill_that_is_listed_with_its_id_only_later_is_told_once() -> None:
    told, implied = told_by(
        order(filled_qty="4", fills=[fill(None, "4", time="2026-03-02T14:00:00.000Z")]),
        order(filled_qty="4.0", fills=[fill("1", "4.0", time="2026-03-02T14:00:00Z")]),
        order(filled_qty="4", fills=[fill(None, "4", time="2026-03-02T14:00:00Z")]),
    )
    assert shown(told) == [(None, "4", "10")]
    assert implied == NONE_IMPLIED


@pytest.mark.parametrize("quantity", ["5.00", "-5", "0"])
def test_a_fill_is_told_as_it_was_listed(quantity: str) -> None:
    [told], _ = told_by(order(fills=[fill("1", quantity)]))
    assert told.quantity_text == quantity


@pytest.mark.parametrize(
    "said",
    [
        {"avg_fill_price": "0"},
        {"avg_fill_price": "10", "fills": [fill("1", "2", None)]},
        {"avg_fill_price": "10", "fills": [fill("1", "1"), fill("2", "1", None)]},
    ],
    ids=["for nothing", "what is listed has no price", "nor all of it"],
)
def test_where_the_price_cannot_be_known_none_is_made_up(said: dict[str, Any]) -> None:
    told, _ = told_by(order(filled_qty="5", **said))
    assert (told[-1].fill_id, told[-1].price_text) == (None, None)
