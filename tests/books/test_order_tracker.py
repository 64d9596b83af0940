from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.books.order_tracker import OrderRetention, OrderTracker
from frame_factory import fill, order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.books.changes import Cause, OrderChanged

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


def at(minute: int) -> str:
    return f"2026-03-02T14:{minute:02}:00.000000Z"


def tracker(**keep: Any) -> OrderTracker:
    return OrderTracker("a", "u", OrderRetention(**keep))


def merge_report(one: OrderTracker, cause: Cause = "stream", after: float = 0, **facts: Any) -> Sequence[OrderChanged]:
    """Merge a report of an order that came the given seconds after the start."""
    report = order(**facts)
    return one.merge(one.orders.get(report.order_id), report, cause, NOW + timedelta(seconds=after))


def published(changes: Sequence[OrderChanged]) -> list[tuple[str, str | None, str | None]]:
    return [(each.after.order_id, fill.fill_id, fill.quantity_text) for each in changes for fill in each.fills]


# --- replacements that repeat executions


ONE, TWO = fill("1", "4", time=at(1)), fill("2", "6", time=at(3))


@pytest.mark.parametrize(("ids", "names"), [(True, ["1", "2"]), (False, [None, None])])
def test_fill_repeated_by_a_replacement_is_published_once(*, ids: bool, names: list[str | None]) -> None:
    first, second = ({**each, "fill_id": each["fill_id"] if ids else None} for each in (ONE, TWO))
    old: dict[str, Any] = {
        "order_id": "o",
        "status": "replaced",
        "filled_qty": "4",
        "fills": [first],
        "replaced_by": "p",
    }
    new: dict[str, Any] = {
        "order_id": "p",
        "status": "filled",
        "filled_qty": "10",
        "fills": [first, second],
        "replaces": "o",
    }
    one = tracker()
    assert published(merge_report(one, **old)) == [("o", names[0], "4")]
    assert published(merge_report(one, **new)) == [("p", names[1], "6")]
    other = tracker()
    assert published(merge_report(other, **new)) == [("p", names[0], "4"), ("p", names[1], "6")]
    assert published(merge_report(other, **old)) == []


def test_fill_repeated_by_the_second_replacement_is_published_once() -> None:
    one = tracker()
    merge_report(one, order_id="o", status="replaced", filled_qty="4", fills=[ONE], replaced_by="p")
    merge_report(one, order_id="p", status="replaced", filled_qty="0", replaces="o", replaced_by="q")
    changes = merge_report(one, order_id="q", status="working", filled_qty="10", fills=[ONE, TWO], replaces="p")
    assert published(changes) == [("q", "2", "6")]


def test_similar_fill_of_a_replacement_is_published() -> None:
    one = tracker()
    same = fill(None, "4")
    merge_report(one, order_id="o", status="replaced", filled_qty="4", fills=[same], replaced_by="p")
    changes = merge_report(one, order_id="p", status="working", filled_qty="4", fills=[same], replaces="o")
    assert published(changes) == [("p", None, "4")]


# --- corrections


BEFORE: dict[str, Any] = {"status": "filled", "filled_qty": "10", "fills": [ONE, TWO], "updated_at": at(3)}
AFTER: dict[str, Any] = {"status": "cancelled", "filled_qty": "4", "fills": [ONE], "updated_at": at(5)}


def test_bust_counts_when_repeated_after_five_seconds() -> None:
    one = tracker()
    merge_report(one, **BEFORE)
    assert published(merge_report(one, **AFTER)) == []
    assert (one.has_contradiction, one.orders["o"].filled_qty_text) == (True, "10")
    assert published(merge_report(one, "recovered", 4.9, **AFTER)) == []
    assert published(merge_report(one, "stream", 6, **AFTER)) == []
    assert one.orders["o"].filled_qty_text == "10"
    assert published(merge_report(one, "recovered", 6, **AFTER)) == [("o", "2", "-6")]
    assert one.orders["o"] == order(**AFTER)


def test_older_list_never_takes_a_fill_back() -> None:
    one = tracker()
    merge_report(one, **BEFORE)
    for seconds in (0, 10, 1000):
        assert published(merge_report(one, "recovered", seconds, **(AFTER | {"updated_at": at(2)}))) == []
    assert one.orders["o"].filled_qty_text == "10"


def test_bust_that_is_not_repeated_is_forgotten() -> None:
    one = tracker()
    merge_report(one, **BEFORE)
    merge_report(one, "recovered", 0, **AFTER)
    merge_report(one, "recovered", 5, **(BEFORE | {"updated_at": at(6)}))
    assert published(merge_report(one, "recovered", 10, **(AFTER | {"updated_at": at(7)}))) == []


def test_bust_can_reopen_an_order() -> None:
    one, report = tracker(), AFTER | {"status": "partially_filled"}
    merge_report(one, **BEFORE)
    assert one.open_orders() == []
    for seconds in (0, 5):
        merge_report(one, "recovered", seconds, **report)
    assert [each.order_id for each in one.open_orders()] == ["o"]
    one.evict_old(NOW + timedelta(days=9))
    assert list(one.orders) == ["o"]


def test_corrected_count_without_a_list_is_published_with_the_opposite_sign() -> None:
    one = tracker()
    merge_report(one, status="working", filled_qty="10", avg_fill_price="7", updated_at=at(1))
    report: dict[str, Any] = {"status": "working", "filled_qty": "4", "avg_fill_price": "7", "updated_at": at(2)}
    assert published(merge_report(one, "sweep", 0, **report)) == []
    [change] = merge_report(one, "sweep", 5, **report)
    [part] = change.fills
    assert (part.fill_id, part.quantity_text, part.price_text) == (None, "-6", "7")


# --- ids that are reused


def test_order_id_with_another_client_order_id_is_another_order() -> None:
    one = tracker()
    merge_report(one, cl_order_id="x", status="filled", filled_qty="10", fills=[ONE, TWO], updated_at=at(3))
    changes = merge_report(one, cl_order_id="y", status="working", filled_qty="4", fills=[ONE], updated_at=at(9))
    assert [each.before for each in changes] == [None]
    assert published(changes) == [("o", "1", "4")]
    assert [each.cl_order_id for each in one.open_orders()] == ["y"]
    # A late report of the order before is not the order that has the id now.
    assert merge_report(one, cl_order_id="x", status="filled", filled_qty="11", updated_at=at(4)) == ()
    assert merge_report(one, status="working", filled_qty="5", updated_at=at(10))[0].after.cl_order_id == "y"


def test_order_id_of_an_evicted_order_can_be_another_order() -> None:
    one = tracker(count=1)
    for name in ("o", "p"):
        merge_report(one, order_id=name, cl_order_id=f"x{name}", status="filled", updated_at=at(3))
    assert one.was_evicted("o")
    assert merge_report(one, cl_order_id="xo", status="working", updated_at=at(9)) == ()
    assert merge_report(one, cl_order_id="y", status="working", updated_at=at(2)) == ()
    assert merge_report(one, status="working", updated_at=at(9)) == ()
    assert len(merge_report(one, cl_order_id="y", status="working", updated_at=at(9))) == 1
    assert not one.was_evicted("o")
