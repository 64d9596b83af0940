from __future__ import annotations

from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Rounded,
    Subnormal,
    localcontext,
)
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.books.fills import NONE_IMPLIED, ImpliedFills, _compared, unpublished_fills
from connecttrade_async.books.merge import merge_orders
from frame_factory import fill, order

if TYPE_CHECKING:
    from connecttrade_async import Fill, Order


def published_by(*reports: Order) -> tuple[list[Fill], ImpliedFills]:
    """Merge reports of one order in sequence; return the published fills."""
    published: list[Fill] = []
    known: Order | None = None
    implied = NONE_IMPLIED
    for report in reports:
        after = report if known is None else merge_orders(known, report)
        fills, implied = unpublished_fills(known, after, implied)
        published += fills
        known = after
    return published, implied


def shown(published: list[Fill]) -> list[tuple[str | None, str | None, str | None]]:
    return [(each.fill_id, each.quantity_text, each.price_text) for each in published]


def test_listed_fills_are_published_once_by_id() -> None:
    one, two = fill("1", "4"), fill("2", "6")
    published, implied = published_by(
        order(filled_qty="4", fills=[one]),
        order(filled_qty="4", fills=[one]),
        order(filled_qty="10", fills=[one, two]),
        order(filled_qty="10", fills=[two, one]),
    )
    assert shown(published) == [("1", "4", "10"), ("2", "6", "10")]
    assert implied == NONE_IMPLIED


def test_growth_without_listed_fills_is_published_at_the_implied_price() -> None:
    published, implied = published_by(
        order(filled_qty="4", avg_fill_price="10", updated_at="1772461800"),
        order(filled_qty="4", avg_fill_price="10.00"),
        order(filled_qty="10", avg_fill_price="13"),
    )
    assert shown(published) == [(None, "4", "10"), (None, "6", "15")]
    assert published[0].time_text == "1772461800"
    assert implied == ImpliedFills(Decimal(10), Decimal(130))


def test_published_growth_is_not_published_again_when_listed() -> None:
    published, implied = published_by(
        order(filled_qty="10", avg_fill_price="10"),
        order(filled_qty="10", fills=[fill("1", "4")]),
        order(filled_qty="12", avg_fill_price="10", fills=[fill("1", "4"), fill("2", "8", "11")]),
    )
    assert shown(published) == [(None, "10", "10"), ("2", "2", "11")]
    assert implied == NONE_IMPLIED


def test_fill_without_a_price_makes_the_implied_price_unknown() -> None:
    published, implied = published_by(
        order(filled_qty="4", avg_fill_price=None),
        order(filled_qty="4", fills=[fill("1", "3", None)]),
        order(filled_qty="6", avg_fill_price="10", fills=[fill("1", "3", None)]),
    )
    assert shown(published) == [(None, "4", None), (None, "2", None)]
    assert implied == ImpliedFills(Decimal(3), None)


def test_fill_without_a_quantity_explains_no_part_of_the_count() -> None:
    published, _ = published_by(order(filled_qty="9", fills=[fill("1", None), fill("2", "3")]))
    assert shown(published) == [("1", None, "10"), ("2", "3", "10")]


def test_list_beyond_the_count_is_published_and_a_missing_count_is_ignored() -> None:
    published, _ = published_by(
        order(filled_qty=None, fills=[fill("1", "5")]), order(filled_qty="4"), order(filled_qty="5")
    )
    assert shown(published) == [("1", "5", "10")]


def test_implied_price_that_cannot_be_is_none() -> None:
    published, _ = published_by(order(filled_qty="5", avg_fill_price="10"), order(filled_qty="6", avg_fill_price="1"))
    assert shown(published) == [(None, "5", "10"), (None, "1", None)]


def test_implied_fill_of_a_count_below_zero_has_its_sign() -> None:
    published, _ = published_by(
        order(filled_qty="-5", avg_fill_price="10"), order(filled_qty="-7", avg_fill_price="10")
    )
    assert shown(published) == [(None, "-5", "10"), (None, "-2", "10")]


PARTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
SHOWS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=8)


@given(PARTS, SHOWS)
def test_published_quantities_add_up_for_any_reports(parts: list[int], shows: list[tuple[int, bool, bool]]) -> None:
    """A broker reports more and more executions: with or without list and ids, and all of them at last."""
    for has_ids in (True, False):
        reports: list[Order] = []
        for seen, has_list, has_count in [*sorted(shows), (len(parts), True, True)]:
            some = [fill(str(n) if has_ids else None, str(q), "10", str(n)) for n, q in enumerate(parts[:seen])]
            report: dict[str, Any] = {"fills": some} if has_list else {}
            report |= {"filled_qty": str(sum(parts[:seen])), "avg_fill_price": "10"} if has_count else {}
            reports.append(order(**report))
        published, implied = published_by(*reports)
        assert sum(each.quantity or 0 for each in published) == sum(parts)
        assert {each.price for each in published} == {Decimal(10)}
        assert implied == NONE_IMPLIED
        ids = [each.fill_id for each in published if each.fill_id is not None]
        assert len(set(ids)) == len(ids)


def test_fill_that_gets_its_id_later_is_published_once() -> None:
    published, implied = published_by(
        order(filled_qty="4", fills=[fill(None, "4", time="2026-03-02T14:00:00.000Z")]),
        order(filled_qty="4.0", fills=[fill("1", "4.0", time="2026-03-02T14:00:00Z")]),
        order(filled_qty="4", fills=[fill(None, "4", time="2026-03-02T14:00:00Z")]),
    )
    assert shown(published) == [(None, "4", "10")]
    assert implied == NONE_IMPLIED


@pytest.mark.parametrize("quantity", ["5.00", "-5", "0"])
def test_fill_is_published_as_listed(quantity: str) -> None:
    [published], _ = published_by(order(fills=[fill("1", quantity)]))
    assert published.quantity_text == quantity


@pytest.mark.parametrize(
    "report",
    [
        {"avg_fill_price": "0"},
        {"avg_fill_price": "10", "fills": [fill("1", "2", None)]},
        {"avg_fill_price": "10", "fills": [fill("1", "1"), fill("2", "1", None)]},
    ],
    ids=["for nothing", "what is listed has no price", "nor all of it"],
)
def test_unknown_implied_price_is_none(report: dict[str, Any]) -> None:
    published, _ = published_by(order(filled_qty="5", **report))
    assert (published[-1].fill_id, published[-1].price_text) == (None, None)


# --- ids that do not identify an execution


def test_executions_with_one_id_are_all_published() -> None:
    one, two = fill("x", "4", time="1772461800"), fill("x", "6", "11", time="1772461801")
    published, implied = published_by(order(filled_qty="4", fills=[one]), order(filled_qty="10", fills=[one, two]))
    assert shown(published) == [("x", "4", "10"), ("x", "6", "11")]
    assert implied == NONE_IMPLIED


def test_execution_that_grows_is_published_as_its_growth() -> None:
    published, implied = published_by(
        order(filled_qty="4", fills=[fill("x", "4")]),
        order(filled_qty="10", fills=[fill("x", "10")]),
        order(filled_qty="12", fills=[fill("x", "12", "12")]),
    )
    assert shown(published) == [("x", "4", "10"), ("x", "6", "10"), ("x", "2", "22")]
    assert implied == NONE_IMPLIED


def test_execution_that_grows_from_an_unknown_price_is_published_without_a_price() -> None:
    published, _ = published_by(
        order(filled_qty="4", fills=[fill("x", "4", None)]), order(filled_qty="10", fills=[fill("x", "10", "11")])
    )
    assert shown(published) == [("x", "4", None), ("x", "6", None)]


def test_execution_with_a_corrected_price_is_not_published_again() -> None:
    before, after = (order(filled_qty="4", fills=[fill("x", "4", price)]) for price in ("10", "11"))
    assert unpublished_fills(before, after) == ((), NONE_IMPLIED)


def test_executions_that_merge_into_one_under_their_id_are_not_taken_back() -> None:
    before = order(filled_qty="10", fills=[fill("x", "4", "10"), fill("x", "6", "11")])
    after = order(filled_qty="10", fills=[fill("x", "10", "10.6")])
    assert unpublished_fills(before, after) == ((), NONE_IMPLIED)


def test_executions_listed_one_at_a_time_under_one_id_add_up_to_the_count() -> None:
    published, _ = published_by(
        order(filled_qty="4", fills=[fill("x", "4")]),
        order(filled_qty="10", fills=[fill("x", "6")]),
        order(filled_qty="13", fills=[fill("x", "3")]),
    )
    assert shown(published) == [("x", "4", "10"), ("x", "6", "10"), ("x", "3", "10")]


def test_row_that_is_listed_twice_with_its_id_is_one_execution() -> None:
    published, _ = published_by(order(filled_qty="4", fills=[fill("x", "4"), fill("x", "4.0")]))
    assert shown(published) == [("x", "4", "10")]
    published, _ = published_by(order(filled_qty="8", avg_fill_price="10", fills=[fill("x", "4"), fill("x", "4.0")]))
    assert shown(published) == [("x", "4", "10"), (None, "4", "10")]


ROWS = st.lists(
    st.builds(
        fill,
        st.sampled_from(["x", "y", None, ""]),
        st.integers(-9, 9).map(str) | st.sampled_from(["0.5", "1e1"]),
        st.sampled_from(["10", "11", "-3", None]),
        st.sampled_from(["1772461800", "1772461801", None]),
    ),
    max_size=4,
)
REPORTS = st.lists(st.tuples(ROWS | st.none(), st.integers(-12, 12) | st.none()), min_size=1, max_size=6)


@given(REPORTS)
def test_published_quantities_add_up_for_any_ids_and_signs(
    reports: list[tuple[list[dict[str, Any]] | None, int | None]],
) -> None:
    known: Order | None = None
    implied, delivered = NONE_IMPLIED, Decimal(0)
    for rows, counted in reports:
        report: dict[str, Any] = {} if rows is None else {"fills": rows}
        report |= {} if counted is None else {"filled_qty": str(counted), "avg_fill_price": "10"}
        after = order(**report) if known is None else merge_orders(known, order(**report))
        published, implied = unpublished_fills(known, after, implied)
        delivered += sum((each.quantity or Decimal(0) for each in published), Decimal(0))
        sizes = {
            (each.fill_id, each.time, each.quantity, each.price) if each.fill_id else place: each.quantity
            for place, each in enumerate(after.fills)
        }
        listed = sum((size or Decimal(0) for size in sizes.values()), Decimal(0))
        assert abs(delivered) == max(abs(listed), abs(after.filled_qty or Decimal(0)))
        if listed:
            assert delivered * listed > 0
        known = after


@given(REPORTS)
def test_appended_fills_equal_the_full_comparison(
    reports: list[tuple[list[dict[str, Any]] | None, int | None]],
) -> None:
    known: Order | None = None
    implied = NONE_IMPLIED
    for rows, counted in reports:
        report: dict[str, Any] = {} if rows is None else {"fills": rows}
        report |= {} if counted is None else {"filled_qty": str(counted), "avg_fill_price": "10"}
        after = order(**report) if known is None else merge_orders(known, order(**report))
        expected = _compared(known, after, implied, None)
        fills, implied = unpublished_fills(known, after, implied)
        assert (fills, implied) == expected
        known = after


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.lists(st.integers(0, 6), max_size=8))
def test_executions_of_one_shared_id_are_published_as_listed(parts: list[int], shows: list[int]) -> None:
    rows = [fill("same", str(size), "10", str(1_772_461_800 + place)) for place, size in enumerate(parts)]
    reports = [
        order(fills=rows[:seen], filled_qty=str(sum(parts[:seen]))) for seen in [*sorted(shows), len(parts)] if seen
    ]
    published, implied = published_by(*reports)
    assert [each.quantity for each in published] == [Decimal(size) for size in parts]
    assert implied == NONE_IMPLIED


# --- signs


def test_implied_fill_of_a_net_credit_keeps_the_sign_of_its_price() -> None:
    published, implied = published_by(
        order(filled_qty="1", avg_fill_price="-1.25", instrument="MLEG_OPT"),
        order(filled_qty="3", avg_fill_price="-1.75", instrument="MLEG_OPT"),
        order(filled_qty="3", fills=[fill("1", "1", "-1.25"), fill("2", "2", "-2")], instrument="MLEG_OPT"),
    )
    assert shown(published) == [(None, "1", "-1.25"), (None, "2", "-2")]
    assert implied == NONE_IMPLIED


def test_implied_fill_of_a_spread_can_have_a_price_of_zero_or_the_other_sign() -> None:
    published, _ = published_by(
        order(filled_qty="2", avg_fill_price="0.50", fills=[fill("1", "1", "1.00")], legs=[{"symbol": "AAPL"}]),
        order(filled_qty="3", avg_fill_price="-0.20", fills=[fill("1", "1", "1.00")], legs=[{"symbol": "AAPL"}]),
    )
    assert shown(published) == [("1", "1", "1.00"), (None, "1", "0"), (None, "1", "-1.6")]


# --- the application's decimal context

CONTEXTS = st.builds(
    Context,
    prec=st.integers(1, 12),
    rounding=st.sampled_from([ROUND_UP, ROUND_FLOOR, ROUND_HALF_EVEN]),
    Emin=st.just(-9),
    Emax=st.just(9),
    traps=st.lists(st.sampled_from([Inexact, Rounded, Subnormal, FloatOperation, InvalidOperation]), unique=True),
)
LONG = st.decimals("0.000000001", "999999999999", places=9, allow_nan=False).map(str)


@given(CONTEXTS, st.lists(st.tuples(LONG, LONG), min_size=1, max_size=4))
def test_parts_of_fills_are_exact_in_any_decimal_context(context: Context, parts: list[tuple[str, str]]) -> None:
    with localcontext(prec=400):
        total = sum((Decimal(size) for size, _ in parts), Decimal(0))
        half = total / 2
        average = sum((Decimal(size) * Decimal(price) for size, price in parts), Decimal(0)) / total
    counted = order(filled_qty=str(half), avg_fill_price=str(average.quantize(Decimal("1e-9"))))
    rows = [fill(str(place), size, price) for place, (size, price) in enumerate(parts)]
    listed = order(filled_qty=str(total), avg_fill_price="1", fills=rows)
    exact, implied = published_by(counted, listed)
    with localcontext(context):
        assert published_by(counted, listed) == (exact, implied)
    with localcontext(prec=400):
        assert sum(each.quantity or 0 for each in exact) == total
