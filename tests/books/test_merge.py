from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.books.merge import (
    amount,
    apply_partial,
    bounded_event_time,
    compare_times,
    diff_fills,
    event_time,
    is_future_outlier,
    is_surely_different,
    latest_of,
    may_hide_change,
    merge_orders,
    missing_fields,
    present_fields,
)
from frame_factory import fill, order, order_frame, position, position_frame

if TYPE_CHECKING:
    from connecttrade_async import Fill


def unknown(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> tuple[Fill, ...]:
    return tuple(new for _, new in diff_fills(known, listed).new)


ENDED = ("filled", "cancelled", "rejected", "expired", "replaced")
OPEN = ("pending", "working", "partially_filled", "pending_cancel", "pending_replace")


def at(minute: int) -> str:
    return f"2026-03-02T14:{minute:02}:00.000000Z"


def fills(*listed: dict[str, Any]) -> tuple[Fill, ...]:
    return order(fills=list(listed)).fills


# --- times in the future


def test_merge_orders_future_time_decides_nothing_against_a_past_one() -> None:
    now = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    bogus = order(status="working", stop_price="1", updated_at="2036-03-02T14:00:00Z")
    true = order(status="working", stop_price="2", updated_at=at(20))
    assert merge_orders(bogus, true) == merge_orders(true, bogus) == bogus
    assert merge_orders(bogus, true, now) == true
    assert merge_orders(bogus, true, now, is_ahead=True).stop_price == Decimal(1)
    # Facts that are never taken back stay.
    ended = order(status="filled", filled_qty="5", fills=[fill("1", "5")], updated_at="2036-03-02T14:00:00Z")
    after = merge_orders(ended, true, now)
    assert (str(after.status), after.filled_qty, after.fills) == ("filled", Decimal(5), ended.fills)


@pytest.mark.parametrize(
    ("known", "report", "is_so"),
    [
        (at(36), at(30), True),
        (at(36), at(35), True),
        (at(35), at(30), False),
        # The local clock may be slow.
        (at(37), at(36), False),
        (at(59), at(36), False),
        ("2106-03-02T14:00:00Z", "0001-01-01T00:00:00Z", True),
        ("9999-12-31T23:59:59Z", at(30), True),
        ("soon", at(30), False),
        (at(36), "soon", False),
    ],
)
def test_is_future_outlier_only_if_the_known_time_alone_is_in_the_future(
    known: str, report: str, *, is_so: bool
) -> None:
    assert is_future_outlier(known, report, datetime(2026, 3, 2, 14, 30, tzinfo=UTC)) is is_so


def test_bounded_event_time_is_at_most_the_time_of_receipt() -> None:
    received = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    for text, expected in ((at(29), 29), (at(35), 35), (at(36), 30), ("2036-03-02T14:00:00Z", 30)):
        assert bounded_event_time(text, received) == received.replace(minute=expected)
    assert bounded_event_time("soon", received) is bounded_event_time(None, None) is None
    assert bounded_event_time(at(40), None) == received.replace(minute=40)


# --- partial frames


def test_apply_partial_keeps_absent_fields_and_takes_null() -> None:
    before = order(symbol="AAPL", order_limit_price="10", stop_price="9", status="working")
    update = order_frame(status="filled", stop_price=None)
    after, hides_change = apply_partial(before, update.order, update)
    assert not hides_change
    assert after == order(symbol="AAPL", order_limit_price="10", status="filled", account_id=None)


def test_apply_partial_with_every_field_returns_the_report() -> None:
    before, update = order(status="pending"), order_frame(status="working", symbol="AAPL")
    assert apply_partial(before, update.order, update) == (update.order, False)


def test_apply_partial_with_nulls_returns_the_report() -> None:
    before, update = position(quantity="1", account_id=None), position_frame(quantity=None)
    assert apply_partial(before, update.position, update) == (update.position, False)


@pytest.mark.parametrize(
    ("known", "frame", "hides"),
    [
        # The number may be the quantity under another name; the same number changes nothing either way.
        ({"quantity": "3"}, {"qty": "4"}, True),
        ({"quantity": "3"}, {"qty": 4}, True),
        ({"quantity": "3"}, {"qty": "3.0"}, False),
        # Nothing known is missing, or what is unread is no number, or an id.
        ({"quantity": "3"}, {"quantity": "4", "qty": "5"}, False),
        ({"quantity": "3"}, {"exchange": "NYSE", "is_new": True, "lots": [1]}, False),
        ({"quantity": "3"}, {"lot_id": "4", "time": "5"}, False),
        ({"quantity": None}, {"qty": "4"}, False),
    ],
)
def test_apply_partial_reports_a_frame_that_may_hide_a_change(
    known: dict[str, str], frame: dict[str, Any], *, hides: bool
) -> None:
    before, update = position(**known), position_frame(**frame)
    assert apply_partial(before, update.position, update)[1] is hides


@pytest.mark.parametrize(("said", "hides"), [("filled", True), ("Working", False), ("new", False)])
def test_apply_partial_reports_a_frame_that_may_hide_a_status(said: str, *, hides: bool) -> None:
    before, update = order(status="working"), order_frame(state=said, venue="X")
    assert apply_partial(before, update.order, update)[1] is hides


def test_may_hide_change_of_a_number_that_is_not_known_for_any_number() -> None:
    assert may_hide_change({"cash_text": None}, position_frame(qty="0"))
    assert not may_hide_change({"cash_text": None}, position_frame(note="none"))
    assert not may_hide_change({"cash_text": None}, position_frame(quantity="1"))


def test_missing_fields_of_a_whole_report_is_empty() -> None:
    before = position(**dict.fromkeys(position().__struct_encode_fields__, "1"))
    assert missing_fields(before, before) == []
    assert before.__struct_fields__[missing_fields(before, position(account_id=None))[0]] == "account_id"


def test_present_fields_returns_carried_fields() -> None:
    update = position_frame(quantity="5", last_price=None)
    assert present_fields(update.position, update) == {"symbol": "AAPL", "quantity_text": "5", "last_price_text": None}
    whole = position_frame(
        account_id="a",
        **dict.fromkeys(
            (
                "account_number",
                "instrument",
                "quantity",
                "average_price",
                "last_price",
                "market_value",
                "unrealized_pl",
                "daily_pl",
                "total_pl",
            ),
            "1",
        ),
    )
    assert len(present_fields(whole.position, whole)) == 11


# --- times


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        (at(1), at(1), 0),
        (at(1), at(2), -1),
        (at(2), at(1), 1),
        ("1772461800", "1772461801", -1),
        (at(1), None, 0),
        ("", at(1), 0),
        ("2026-03-02T14:01:00Z", at(1), 0),
        ("2026-03-02T14:01:00.5Z", "2026-03-02T14:01:00.25Z", 1),
        ("2026-03-02T16:01:00+02:00", "2026-03-02T14:02:00+00:00", -1),
        ("1772461860", at(31), 0),
        ("1772461859", at(31), -1),
        ("yesterday", at(1), 0),
        (at(1), "tomorrow", 0),
    ],
)
def test_compare_times_orders_any_formats(text: str | None, other: str | None, expected: int) -> None:
    assert compare_times(text, other) == expected
    assert compare_times(other, text) == -expected


def test_event_time_of_unparsable_text_is_none() -> None:
    assert [event_time(text) for text in (None, "", "soon", "9" * 20)] == [None] * 4
    assert event_time("0") is not None


@pytest.mark.parametrize(
    ("texts", "latest"),
    [
        ([], None),
        ([None, "", "soon"], None),
        ([at(2), at(3), at(1)], at(3)),
        ([at(2), "2026-03-02T15:03:00+01:00", None], at(3)),
        ([at(2), "x" * (len(at(2)) - 1) + "Z"], at(2)),
    ],
)
def test_latest_of_finds_the_latest_in_any_formats(texts: list[str | None], latest: str | None) -> None:
    assert latest_of(texts) == event_time(latest)


def test_amount_keeps_its_sign_and_is_none_for_other_texts() -> None:
    assert amount("-4") == Decimal(-4)
    assert amount("0" * 100 + "4") == Decimal(4)
    for odd in (None, "", "many", "NaN", "1_000", "1E+999999999", "1E-999999999", "9" * 1_000):
        assert amount(odd) is None


# --- two reports of an order


def test_merge_orders_later_time_wins() -> None:
    early = order(status="working", order_limit_price="10", updated_at=at(1))
    late = order(status="pending_cancel", order_limit_price="11", updated_at=at(2))
    assert merge_orders(early, late) == merge_orders(late, early) == late


def test_merge_orders_without_times_takes_the_last_unless_known_is_ahead() -> None:
    one, other = order(status="working", stop_price="1"), order(status="pending_cancel", stop_price="2")
    assert merge_orders(one, other) == other
    assert merge_orders(other, one) == one
    assert merge_orders(one, other, is_ahead=True) == one


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize("open_", OPEN)
@pytest.mark.parametrize("time", [None, at(1), at(3)])
def test_merge_orders_keeps_an_ended_status(ended: str, open_: str, time: str | None) -> None:
    over = order(status=ended, broker_status="over", updated_at=at(2))
    report = order(status=open_, broker_status="alive", updated_at=time)
    for after in (merge_orders(over, report), merge_orders(report, over), merge_orders(report, over, is_ahead=True)):
        assert (after.status, after.broker_status) == (ended, "over")


def test_merge_orders_keeps_the_first_of_two_ends_with_equal_times() -> None:
    cancelled = order(status="cancelled", filled_qty="0", updated_at=at(1))
    assert merge_orders(cancelled, order(status="expired", filled_qty="0", updated_at=at(1))).status == "cancelled"
    assert merge_orders(cancelled, order(status="filled", filled_qty="5", updated_at=at(1))).status == "filled"
    assert merge_orders(cancelled, order(status="filled", filled_qty="5", updated_at=at(2))).status == "filled"


@pytest.mark.parametrize("time", [None, at(1), at(3)])
def test_merge_orders_keeps_the_larger_filled_quantity(time: str | None) -> None:
    before = order(status="partially_filled", filled_qty="5", avg_fill_price="9", updated_at=at(2))
    after = merge_orders(before, order(status="working", filled_qty="4", avg_fill_price="8", updated_at=time))
    assert (after.filled_qty, after.avg_fill_price) == (Decimal(5), Decimal(9))
    assert merge_orders(before, order(filled_qty=None, updated_at=at(4))).filled_qty == Decimal(5)


def test_merge_orders_never_returns_to_pending() -> None:
    assert merge_orders(order(status="working"), order(status="pending")).status == "working"
    assert merge_orders(order(status=None), order(status="pending")).status == "pending"


def test_merge_orders_keeps_sticky_fields_and_the_successor() -> None:
    before = order(symbol="AAPL", replaced_by="p", status="replaced", reject_reason="why", updated_at=at(1))
    after = merge_orders(before, order(status="replaced", updated_at=at(2)))
    assert (after.symbol, after.replaced_by, after.reject_reason) == ("AAPL", "p", None)


@pytest.mark.parametrize(
    "born",
    [
        {"account_id": "a"},
        {"avg_fill_price": "10"},
        {"broker": "ALPACA"},
        {"cl_order_id": "c"},
        {"connection_id": "k"},
        {"created_at": at(0)},
        {"filled_qty": "1"},
        {"instrument": "STK"},
        {"legs": [{"symbol": "AAPL", "action": "BUY"}]},
        {"order_tif": "GTC"},
        {"order_type": "LMT"},
        {"replaced_by": "p"},
        {"replaces": "n"},
        {"side": "BUY"},
        {"status": "working"},
        {"symbol": "AAPL"},
        {"updated_at": at(1)},
    ],
    ids=lambda born: next(iter(born)),
)
def test_merge_orders_keeps_each_sticky_field(born: dict[str, Any]) -> None:
    report = {} if "updated_at" in born else {"updated_at": at(2)}
    known = merge_orders(order(**({"updated_at": at(1)} | born)), order(**report))
    assert known == order(**(report | born))


def test_merge_orders_same_quantity_in_two_notations_keeps_the_later_price() -> None:
    early = order(filled_qty="5.0", avg_fill_price="8", updated_at=at(1))
    late = order(filled_qty="5", avg_fill_price="9", updated_at=at(2))
    assert merge_orders(early, late) == merge_orders(late, early) == late


def test_merge_orders_with_equal_times_takes_the_ended_report() -> None:
    going = order(status="working", stop_price="1", updated_at=at(1))
    ended = order(status="cancelled", stop_price="2", updated_at=at(1))
    assert merge_orders(going, ended) == merge_orders(ended, going) == ended
    assert merge_orders(going, ended, is_ahead=True) == ended


def test_merge_orders_with_equal_times_fills_blanks_from_the_whole() -> None:
    part, whole = order(status="filled", updated_at=at(1)), order(stop_price="9", status="working", updated_at=at(1))
    assert merge_orders(part, whole) == order(status="filled", stop_price="9", updated_at=at(1))


def test_merge_orders_keeps_the_fills_of_both() -> None:
    one, two = fill("1", "1"), fill("2", "2")
    early, late = order(fills=[one], updated_at=at(1)), order(fills=[two], updated_at=at(2))
    assert [each.fill_id for each in merge_orders(early, late).fills] == ["1", "2"]
    assert [each.fill_id for each in merge_orders(late, early).fills] == ["1", "2"]
    assert merge_orders(order(fills=[one, two], updated_at=at(2)), early).fills == fills(one, two)
    assert merge_orders(early, order(fills=None, updated_at=at(2))).fills == fills(one)


STATUSES = st.sampled_from((*ENDED, *OPEN))
QUANTITIES = st.integers(0, 9).map(str)
SAYINGS = st.fixed_dictionaries(
    {
        "status": STATUSES,
        "filled_qty": QUANTITIES,
        "updated_at": st.integers(0, 59).map(at),
        "order_limit_price": st.none() | QUANTITIES,
        "symbol": st.none() | st.just("AAPL"),
        "fills": st.none() | st.lists(st.integers(1, 4), unique=True).map(lambda ids: [fill(str(n), "1") for n in ids]),
    },
)


@given(SAYINGS, SAYINGS)
def test_merge_orders_is_independent_of_the_sequence(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = order(**one), order(**other)
    if first.updated_at == second.updated_at:
        return
    there, back = merge_orders(first, second), merge_orders(second, first)
    known = [(each.status, each.filled_qty, each.symbol, each.order_limit_price) for each in (there, back)]
    assert known[0] == known[1]
    assert sorted(str(each.fill_id) for each in there.fills) == sorted(str(each.fill_id) for each in back.fills)


@pytest.mark.parametrize("is_ahead", [False, True])
@given(one=SAYINGS, other=SAYINGS)
def test_merge_orders_is_monotonic_and_idempotent(
    one: dict[str, Any],
    other: dict[str, Any],
    *,
    is_ahead: bool,
) -> None:
    before, report = order(**one), order(**other)
    after = merge_orders(before, report, is_ahead=is_ahead)
    if before.status in ENDED or report.status in ENDED:
        assert after.status in ENDED
    assert after.filled_qty == max(before.filled_qty or 0, report.filled_qty or 0)
    assert {each.fill_id for each in after.fills} == {each.fill_id for each in (*before.fills, *report.fills)}
    assert merge_orders(after, report, is_ahead=is_ahead) == after


# --- lists of fills


def test_merge_orders_with_a_whole_report_returns_it() -> None:
    before, after = order(broker="ALPACA", updated_at=at(1)), order(updated_at=at(2))
    assert merge_orders(before, after).broker == "ALPACA"
    assert merge_orders(before, after, is_whole=True) is after


def test_diff_fills_matches_by_id_then_by_content() -> None:
    known = fills(fill("1", "5"), fill(None, "2"), fill(None, "2"))
    listed = fills(fill(None, "2"), fill("1", "5"), fill("1", "9"), fill(None, "2"), fill(None, "2"), fill("2", "5"))
    assert unknown(known, listed) == fills(fill("1", "9"), fill(None, "2"), fill("2", "5"))
    assert unknown((), fills(fill("1", "5"))) == fills(fill("1", "5"))
    assert unknown(fills(fill("1", "5"), fill("2", "5")), fills(fill("1", "5"))) == ()


def test_diff_fills_counts_a_repeated_row_once_at_any_position() -> None:
    assert unknown(fills(fill("1", "5")), fills(fill("1", "5"), fill("1", "5"))) == ()
    assert unknown(fills(fill("3", "5")), fills(fill("1", "5"), fill("1", "5"))) == fills(fill("1", "5"))


LISTED = {"quantity": "4", "price": "10.0", "time": "2026-03-02T14:00:00.000Z"}


@pytest.mark.parametrize(
    ("received", "listed"),
    [
        (fill(None, "4", "10", at(0)), fill("1", **LISTED)),
        (fill("1", "4", "10", at(0)), fill(None, **LISTED)),
        (fill(None, "4.00", "1e1", "1772460000"), fill(None, **LISTED)),
        (fill(None, "?", "?", "?"), fill("1", "?", "?", "?")),
    ],
)
def test_diff_fills_matches_a_row_with_an_id_to_one_without(received: dict[str, Any], listed: dict[str, Any]) -> None:
    assert unknown(fills(received), fills(listed)) == ()
    for first, second in ((received, listed), (listed, received)):
        [known] = merge_orders(order(fills=[first], updated_at=at(1)), order(fills=[second], updated_at=at(2))).fills
        assert known.fill_id == (received["fill_id"] or listed["fill_id"])
        assert known.price_text == second["price"]


def test_diff_fills_counts_equal_rows_without_ids() -> None:
    one, other = fill(None, "4"), fill(None, "4.0")
    assert unknown(fills(one), fills(other, one)) == fills(one)
    assert unknown(fills(one, other), fills(fill("1", "4"), fill("2", "4"), fill("3", "4"))) == fills(fill("3", "4"))
    assert unknown(fills(one, fill("9", "4")), fills(other, fill("1", "4"))) == ()
    assert unknown(fills(fill("1", "4")), fills(other, fill("1", "4"))) == fills(other)
    assert unknown(fills(fill("1", "4")), fills(fill(None, "5"))) == fills(fill(None, "5"))


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("1.0", "1", False),
        ("1", "2", True),
        ("abc", "1", False),
        ("1", "abc", False),
        ("", "1", False),
        (None, "1", False),
    ],
)
def test_is_surely_different_decides_for_two_numbers_only(
    text: str | None,
    other: str | None,
    expected: bool,  # noqa: FBT001 - a column
) -> None:
    assert is_surely_different(text, other) is expected
