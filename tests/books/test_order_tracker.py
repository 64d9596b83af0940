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


def learn(one: OrderTracker, cause: Cause = "stream", after: float = 0, **facts: Any) -> Sequence[OrderChanged]:
    """Take a report of an order, so many seconds after the beginning."""
    said = order(**facts)
    return one.merge(one.orders.get(said.order_id), said, cause, NOW + timedelta(seconds=after))


def told(changes: Sequence[OrderChanged]) -> list[tuple[str, str | None, str | None]]:
    return [(each.after.order_id, fill.fill_id, fill.quantity_text) for each in changes for fill in each.fills]


# --- replacements that repeat what was executed before


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
    assert told(learn(one, **old)) == [("o", names[0], "4")]
    assert told(learn(one, **new)) == [("p", names[1], "6")]
    other = tracker()
    assert told(learn(other, **new)) == [("p", names[0], "4"), ("p", names[1], "6")]
    assert told(learn(other, **old)) == []


def test_fill_repeated_by_the_second_replacement_is_published_once() -> None:
    one = tracker()
    learn(one, order_id="o", status="replaced", filled_qty="4", fills=[ONE], replaced_by="p")
    learn(one, order_id="p", status="replaced", filled_qty="0", replaces="o", replaced_by="q")
    changes = learn(one, order_id="q", status="working", filled_qty="10", fills=[ONE, TWO], replaces="p")
    assert told(changes) == [("q", "2", "6")]


def test_similar_fill_of_a_replacement_is_published() -> None:
    one = tracker()
    same = fill(None, "4")
    learn(one, order_id="o", status="replaced", filled_qty="4", fills=[same], replaced_by="p")
    changes = learn(one, order_id="p", status="working", filled_qty="4", fills=[same], replaces="o")
    assert told(changes) == [("p", None, "4")]


# --- corrections


BEFORE: dict[str, Any] = {"status": "filled", "filled_qty": "10", "fills": [ONE, TWO], "updated_at": at(3)}
AFTER: dict[str, Any] = {"status": "cancelled", "filled_qty": "4", "fills": [ONE], "updated_at": at(5)}


def test_bust_counts_when_repeated_after_five_seconds() -> None:
    one = tracker()
    learn(one, **BEFORE)
    assert told(learn(one, **AFTER)) == []
    assert (one.has_contradiction, one.orders["o"].filled_qty_text) == (True, "10")
    assert told(learn(one, "recovered", 4.9, **AFTER)) == []
    assert told(learn(one, "stream", 6, **AFTER)) == []
    assert one.orders["o"].filled_qty_text == "10"
    assert told(learn(one, "recovered", 6, **AFTER)) == [("o", "2", "-6")]
    assert one.orders["o"] == order(**AFTER)


def test_older_list_never_takes_a_fill_back() -> None:
    one = tracker()
    learn(one, **BEFORE)
    for seconds in (0, 10, 1000):
        assert told(learn(one, "recovered", seconds, **(AFTER | {"updated_at": at(2)}))) == []
    assert one.orders["o"].filled_qty_text == "10"


def test_bust_that_is_not_repeated_is_forgotten() -> None:
    one = tracker()
    learn(one, **BEFORE)
    learn(one, "recovered", 0, **AFTER)
    learn(one, "recovered", 5, **(BEFORE | {"updated_at": at(6)}))
    assert told(learn(one, "recovered", 10, **(AFTER | {"updated_at": at(7)}))) == []


def test_bust_can_reopen_an_order() -> None:
    one, said = tracker(), AFTER | {"status": "partially_filled"}
    learn(one, **BEFORE)
    assert one.open_orders() == []
    for seconds in (0, 5):
        learn(one, "recovered", seconds, **said)
    assert [each.order_id for each in one.open_orders()] == ["o"]
    one.evict_old(NOW + timedelta(days=9))
    assert list(one.orders) == ["o"]


def test_corrected_count_without_a_list_is_published_with_the_opposite_sign() -> None:
    one = tracker()
    learn(one, status="working", filled_qty="10", avg_fill_price="7", updated_at=at(1))
    said: dict[str, Any] = {"status": "working", "filled_qty": "4", "avg_fill_price": "7", "updated_at": at(2)}
    assert told(learn(one, "sweep", 0, **said)) == []
    [change] = learn(one, "sweep", 5, **said)
    [part] = change.fills
    assert (part.fill_id, part.quantity_text, part.price_text) == (None, "-6", "7")


# --- ids that are given out again


def test_order_id_with_another_client_order_id_is_another_order() -> None:
    one = tracker()
    learn(one, cl_order_id="x", status="filled", filled_qty="10", fills=[ONE, TWO], updated_at=at(3))
    changes = learn(one, cl_order_id="y", status="working", filled_qty="4", fills=[ONE], updated_at=at(9))
    assert [each.before for each in changes] == [None]
    assert told(changes) == [("o", "1", "4")]
    assert [each.cl_order_id for each in one.open_orders()] == ["y"]
    # A late report of the order before is not the order that has the id now.
    assert learn(one, cl_order_id="x", status="filled", filled_qty="11", updated_at=at(4)) == ()
    assert learn(one, status="working", filled_qty="5", updated_at=at(10))[0].after.cl_order_id == "y"


def test_order_id_of_an_evicted_order_can_be_another_order() -> None:
    one = tracker(count=1)
    for name in ("o", "p"):
        learn(one, order_id=name, cl_order_id=f"x{name}", status="filled", updated_at=at(3))
    assert one.was_evicted("o")
    assert learn(one, cl_order_id="xo", status="working", updated_at=at(9)) == ()
    assert learn(one, cl_order_id="y", status="working", updated_at=at(2)) == ()
    assert learn(one, status="working", updated_at=at(9)) == ()
    assert len(learn(one, cl_order_id="y", status="working", updated_at=at(9))) == 1
    assert not one.was_evicted("o")
