from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import assume, given, strategies as st
from msgspec.structs import astuple

from connecttrade_async.books.book import AccountSnapshot, Book, BookKeeper
from connecttrade_async.books.changes import BalanceChanged, Change, OrderChanged, PositionChanged
from connecttrade_async.books.order_tracker import MAX_EVICTED, OrderRetention
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.fields import Model
from frame_factory import balance, balance_frame, fill, order, order_frame, position, position_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.books.book import Update

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
MONEY = balance(currency="USD", cash="100")


def at(minute: int) -> str:
    return f"2026-03-02T14:{minute:02}:00.000000Z"


def keeper(**keep: Any) -> BookKeeper:
    return BookKeeper.of("a", "u", OrderRetention(**keep))


def loaded(listed: AccountSnapshot, **keep: Any) -> BookKeeper:
    one = keeper(**keep)
    one.begin_snapshot()
    one.load(listed, "recovered", NOW)
    return one


def snapshot(
    one: BookKeeper, listed: AccountSnapshot, *meanwhile: Update, cause: str = "recovered", when: datetime = NOW
) -> list[Change]:
    """Begin a snapshot, apply frames, load the snapshot."""
    one.begin_snapshot()
    for update in meanwhile:
        one.apply(update, when)
    return one.load(listed, cause, when)  # type: ignore[arg-type]


def read(one: BookKeeper) -> Book:
    return one.book(is_current=True)


def quantities(one: BookKeeper) -> dict[str, str | None]:
    return {symbol: each.quantity_text for symbol, each in read(one).positions.items()}


def shown(changes: Sequence[Change]) -> list[object]:
    """Return a short form of changes."""
    found: list[object] = []
    for each in changes:
        match each:
            case OrderChanged():
                status = None if each.before is None else str(each.before.status)
                ids = [one.fill_id for one in each.fills]
                found.append((each.after.order_id, status, str(each.after.status), ids, each.cause))
            case PositionChanged():
                quantity = None if each.before is None else each.before.quantity_text
                found.append((each.symbol, quantity, each.after.quantity_text, each.cause))
            case BalanceChanged():
                cash = None if each.before is None else each.before.cash_text
                found.append((cash, each.after.cash_text, each.cause))
    return found


# --- the value


def test_book_is_immutable() -> None:
    one = keeper()
    empty = one.book(is_current=False)
    assert (empty.balance, empty.as_of, empty.is_current) == (None, None, False)
    one.apply(order_frame(status="working"), NOW)
    one.apply(position_frame(quantity="5"), NOW)
    one.apply(balance_frame(cash="1", currency="USD"), NOW)
    book = read(one)
    one.apply(position_frame(quantity="6"), NOW)
    assert book.positions["AAPL"].quantity == Decimal(5)
    assert [each.order_id for each in book.open_orders] == ["o"]
    assert (book.account_id, book.user_id, book.as_of) == ("a", "u", NOW)
    assert book.balance is not None
    assert book.balance.cash == Decimal(1)
    assert len(empty.positions) == 0
    with pytest.raises(TypeError):
        book.positions["AAPL"] = position()  # type: ignore[index]
    assert repr(book) == "<Book a CURRENT 1 positions 1 open orders>"
    assert repr(empty) == "<Book a NOT CURRENT 0 positions 0 open orders>"


def test_book_can_be_copied_and_pickled() -> None:
    one = keeper()
    one.apply(order_frame(status="working"), NOW)
    one.apply(position_frame(quantity="5"), NOW)
    book = read(one)
    for again in (copy.copy(book), copy.deepcopy(book), pickle.loads(pickle.dumps(book))):  # noqa: S301
        assert again == book
        with pytest.raises(TypeError):
            again.positions["AAPL"] = position()  # type: ignore[index]


@pytest.mark.parametrize(
    "keep",
    [
        *({"count": count} for count in (0, True, 1.0, float("inf"), "9")),
        *({"age": age} for age in (0, float("inf"), float("nan"), 1e300, True, "9", None)),
    ],
)
def test_order_retention_out_of_bounds_raises(keep: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="at least 1, and age between"):
        OrderRetention(**keep)


# --- frames


def test_apply_order_frame_changes_carried_fields_and_returns_the_change_once() -> None:
    one = keeper()
    first = order_frame(status="working", symbol="AAPL", order_qty="10", filled_qty="0")
    assert shown(one.apply(first, NOW)) == [("o", None, "working", [], "stream")]
    assert one.apply(first, NOW) == ()
    part = order_frame(status="partially_filled", filled_qty="4", fills=[fill("1", "4")])
    [change] = one.apply(part, NOW)
    assert isinstance(change, OrderChanged)
    assert (change.symbol, change.account_id, change.user_id, change.is_material) == ("AAPL", "a", "u", True)
    assert change.after.order_qty == Decimal(10)
    assert [each.fill_id for each in change.fills] == ["1"]
    assert one.order("o") is change.after
    assert one.open_orders() == [change.after]
    assert one.order("p") is None


def test_apply_position_and_balance_frames_returns_changes() -> None:
    one = keeper()
    assert shown(one.apply(position_frame(quantity="5", last_price="1"), NOW)) == [("AAPL", None, "5", "stream")]
    assert shown(one.apply(balance_frame(cash="5", currency="USD"), NOW)) == [(None, "5", "stream")]
    [dearer] = one.apply(position_frame(last_price="2"), NOW)
    assert (dearer.is_material, dearer.symbol, quantities(one)) == (False, "AAPL", {"AAPL": "5"})
    [richer] = one.apply(balance_frame(cash="6"), NOW)
    assert (richer.is_material, richer.symbol) == (True, None)
    assert one.apply(balance_frame(cash="6"), NOW) == ()
    assert one.apply(position_frame(quantity="5"), NOW) == ()
    assert list(read(one).balances) == ["USD"]


def money(one: BookKeeper) -> dict[str, str | None]:
    return {name: each.cash_text for name, each in read(one).balances.items()}


def test_balance_frame_without_currency_is_not_applied_with_several_currencies() -> None:
    one = keeper()
    for currency in ("USD", "EUR", None, ""):
        one.lacks_whole = False
        one.apply(balance_frame(cash="1", currency=currency), NOW)
        assert one.lacks_whole is not bool(currency)
    assert money(one) == {"USD": "1", "EUR": "1"}


@pytest.mark.parametrize(("listed", "received"), [("USD", None), ("USD", ""), (None, "USD"), ("", "USD")])
def test_balance_without_currency_and_with_one_is_the_same_balance(listed: str | None, received: str | None) -> None:
    answer = AccountSnapshot((), (), (balance(cash="1", buying_power="3", currency=listed),))
    news = balance_frame(cash="2", currency=received)
    for one in (keeper(), keeper(), loaded(answer)):
        snapshot(one, answer, news)
        assert list(money(one).values()) == ["2"]
        one.apply(balance_frame(cash="4", currency=received), NOW)
        assert list(money(one).values()) == ["4"]
        snapshot(one, answer)
        assert list(money(one).values()) == ["1"]
    one = keeper()
    one.apply(news, NOW)
    snapshot(one, answer)
    assert list(money(one).values()) == ["1"]


def test_position_of_zero_is_published_as_closed_and_removed() -> None:
    one = keeper()
    one.apply(position_frame(quantity="5"), NOW)
    [change] = one.apply(position_frame(quantity="0.00"), NOW)
    assert isinstance(change, PositionChanged)
    assert (change.after.quantity, change.is_material, quantities(one)) == (Decimal(0), True, {})
    assert one.apply(position_frame(quantity="-0"), NOW) == ()
    assert shown(one.apply(position_frame(quantity="-5"), NOW)) == [("AAPL", None, "-5", "stream")]


def test_frame_out_of_order_is_dropped() -> None:
    one = keeper()
    one.apply(position_frame(at(2), quantity="5"), NOW)
    assert one.apply(position_frame(at(1), quantity="4"), NOW) == ()
    one.apply(position_frame(at(2), quantity="6"), NOW)
    one.apply(position_frame(None, quantity="7"), NOW)
    one.apply(position_frame(at(1), symbol="MSFT", quantity="1"), NOW)
    assert quantities(one) == {"AAPL": "7", "MSFT": "1"}
    one.apply(position_frame(at(3), quantity="0"), NOW)
    assert one.apply(position_frame(at(2), quantity="7"), NOW) == ()
    assert quantities(one) == {"MSFT": "1"}


@pytest.mark.parametrize("bogus", ["2036-03-02T15:00:00.000000Z", "9999999999"])
def test_frame_after_a_frame_with_a_future_time_is_applied(bogus: str) -> None:
    one = keeper()
    one.apply(position_frame(bogus, quantity="5"), NOW)
    one.apply(balance_frame(bogus, cash="5"), NOW)
    one.apply(order_frame(status="working", stop_price="5", updated_at=bogus), NOW)
    one.apply(position_frame(at(2), quantity="6"), NOW)
    one.apply(balance_frame(at(2), cash="6"), NOW)
    one.apply(order_frame(status="working", stop_price="6", updated_at=at(2)), NOW)
    # From then on times are compared as usual.
    assert one.apply(position_frame(at(1), quantity="7"), NOW) == ()
    assert one.apply(balance_frame(at(1), cash="7"), NOW) == ()
    assert one.apply(order_frame(status="working", stop_price="7", updated_at=at(1)), NOW) == ()
    assert (quantities(one), money(one)) == ({"AAPL": "6"}, {"": "6"})
    assert read(one).orders["o"].stop_price == Decimal(6)


def test_frame_out_of_order_is_dropped_with_a_slow_local_clock() -> None:
    one, slow = keeper(), NOW - timedelta(days=1)
    one.apply(position_frame(at(2), quantity="6"), slow)
    assert one.apply(position_frame(at(1), quantity="5"), slow) == ()
    one.apply(order_frame(status="working", stop_price="6", updated_at=at(2)), slow)
    assert one.apply(order_frame(status="working", stop_price="5", updated_at=at(1)), slow) == ()


def test_snapshot_overrides_an_order_with_a_future_time() -> None:
    one = keeper()
    one.apply(order_frame(status="working", stop_price="5", updated_at="2036-03-02T15:00:00.000000Z"), NOW)
    snapshot(one, AccountSnapshot((order(status="working", stop_price="6", updated_at=at(2)),), (), (MONEY,)))
    assert read(one).orders["o"].stop_price == Decimal(6)


# --- numbers


@pytest.mark.parametrize("zero", ["0E-9", "0e0", "0.0e5", "-0", "+0.00", "00E+3"])
def test_position_of_zero_in_any_notation_is_closed(zero: str) -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"), position(symbol="MSFT", quantity=zero)), (MONEY,)))
    assert quantities(one) == {"AAPL": "5"}
    [change] = one.apply(position_frame(quantity=zero), NOW)
    assert isinstance(change, PositionChanged)
    assert (change.is_material, quantities(one)) == (True, {})


@pytest.mark.parametrize("text", ["none", "0x0", "0_0", "O"])
def test_position_with_a_quantity_that_is_no_number_is_kept(text: str) -> None:
    one = loaded(AccountSnapshot((), (position(quantity=text),), (MONEY,)))
    assert quantities(one) == {"AAPL": text}


def test_same_number_in_another_notation_is_no_change() -> None:
    one = loaded(AccountSnapshot((order(status="working", filled_qty="0"),), (position(quantity="5"),), (MONEY,)))
    assert one.apply(position_frame(quantity="5.00"), NOW) == ()
    assert one.apply(balance_frame(cash="1E+2", currency="USD"), NOW) == ()
    assert (
        snapshot(one, AccountSnapshot((), (position(quantity="5.0"),), (balance(currency="USD", cash="100.0"),))) == []
    )
    [dearer] = one.apply(position_frame(quantity="5", last_price="2"), NOW)
    assert not dearer.is_material
    [richer] = one.apply(balance_frame(cash="1e2", buying_power="7", currency="USD"), NOW)
    assert not richer.is_material


# --- several rows


LOTS = (position(quantity="5"), position(quantity="3"))


def test_sale_of_one_of_two_lots_is_published_as_a_smaller_position() -> None:
    one = loaded(AccountSnapshot((), LOTS, (MONEY,)))
    assert quantities(one) == {"AAPL": "8"}
    assert shown(snapshot(one, AccountSnapshot((), LOTS[:1], (MONEY,)))) == [("AAPL", "8", "5", "recovered")]
    assert shown(snapshot(one, AccountSnapshot((), (), (MONEY,)))) == [("AAPL", "5", "0", "recovered")]


def test_long_and_short_rows_that_add_up_to_zero_stay() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"), position(quantity="-5")), (MONEY,)))
    assert quantities(one) == {"AAPL": "0"}


def test_frame_for_one_of_several_rows_is_not_applied_and_needs_a_snapshot() -> None:
    money = (balance(currency="USD", cash="1"), balance(currency="USD", cash="2"), balance(currency="EUR", cash="5"))
    one = loaded(AccountSnapshot((), LOTS, money))
    for update in (position_frame(quantity="2"), balance_frame(currency="USD", cash="2")):
        assert one.apply(update, NOW) == ()
        assert one.lacks_whole
        one.lacks_whole = False
    assert (quantities(one), read(one).balances["USD"].cash) == ({"AAPL": "8"}, Decimal(3))
    assert len(one.apply(balance_frame(currency="EUR", cash="6"), NOW)) == 1
    assert not one.lacks_whole


def test_frame_for_equal_rows_needs_a_snapshot() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"), position(quantity="5")), (MONEY,)))
    assert quantities(one) == {"AAPL": "5"}
    assert one.apply(position_frame(quantity="7"), NOW) == ()
    assert one.lacks_whole


@pytest.mark.parametrize("other", [{"account_number": "2"}, {"instrument": "OPT"}])
def test_frame_for_another_row_needs_a_snapshot(other: dict[str, Any]) -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5", account_number="1", instrument="STK"),), (MONEY,)))
    assert one.apply(position_frame(quantity="3", **other), NOW) == ()
    assert (one.lacks_whole, quantities(one)) == (True, {"AAPL": "5"})
    one.lacks_whole = False
    assert len(one.apply(position_frame(quantity="3", account_number="1", instrument="stk"), NOW)) == 1
    assert not one.lacks_whole


def test_balance_frame_for_another_account_number_needs_a_snapshot() -> None:
    one = loaded(AccountSnapshot((), (), (balance(currency="USD", cash="5", account_number="1"),)))
    assert one.apply(balance_frame(currency="USD", cash="3", account_number="2"), NOW) == ()
    assert (one.lacks_whole, money(one)) == (True, {"USD": "5"})


def test_balance_frame_without_account_number_updates_the_known_row() -> None:
    one = loaded(AccountSnapshot((), (), (balance(currency="USD", cash="5", account_number="1"),)))
    assert shown(one.apply(balance_frame(currency="USD", cash="3"), NOW)) == [("5", "3", "stream")]
    assert (one.lacks_whole, read(one).balances["USD"].account_number) == (False, "1")


def test_frame_during_a_snapshot_with_several_rows_needs_another_snapshot() -> None:
    one = loaded(AccountSnapshot((), LOTS[:1], (MONEY,)))
    snapshot(one, AccountSnapshot((), LOTS, (MONEY,)), position_frame(quantity="3"))
    assert (quantities(one), one.lacks_whole) == ({"AAPL": "8"}, True)
    assert one.problem == "AAPL has several rows, and a frame updated one of them"
    again = loaded(AccountSnapshot((), LOTS, (MONEY,)))
    assert (again.problem, again.lacks_whole) == (None, False)


# --- snapshots that are behind the stream


@pytest.mark.parametrize(
    "update",
    [
        position_frame(quantity="6"),
        position_frame(quantity="0"),
        position_frame(symbol="MSFT", quantity="1"),
        balance_frame(cash="90", currency="USD"),
    ],
)
def test_snapshot_that_contradicts_frames_counts_when_repeated_after_five_seconds(update: Update) -> None:
    listed = AccountSnapshot((), (position(quantity="5"),), (MONEY,))
    one = loaded(listed)
    one.apply(update, NOW)
    known = read(one)
    for seconds in (0, 4):
        assert snapshot(one, listed, when=NOW + timedelta(seconds=seconds)) == []
        assert one.problem is not None
        assert one.problem.startswith("the snapshot contradicts the stream about ")
        assert (one.lacks_whole, one.is_settled) == (True, False)
        assert (read(one).positions, read(one).balances) == (known.positions, known.balances)
        one.lacks_whole = False
    assert len(snapshot(one, listed, when=NOW + timedelta(seconds=5))) == 1
    assert (one.problem, one.lacks_whole, quantities(one)) == (None, False, {"AAPL": "5"})


def test_snapshot_with_a_new_execution_explains_a_contradiction() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"),), (MONEY,)))
    one.apply(position_frame(quantity="6"), NOW)
    sold = order(symbol="AAPL", status="filled", filled_qty="1", fills=[fill("1", "1")])
    snapshot(one, AccountSnapshot((sold,), (position(quantity="5"),), (MONEY,)))
    assert (one.problem, quantities(one)) == (None, {"AAPL": "5"})


@pytest.mark.parametrize(
    "old",
    [
        {"status": "working", "filled_qty": "5", "updated_at": at(1)},
        {"status": "working", "filled_qty": "9", "updated_at": at(1)},
        {"status": "filled", "filled_qty": "5", "updated_at": at(1)},
    ],
)
def test_snapshot_with_an_older_order_report_never_counts(old: dict[str, Any]) -> None:
    one = loaded(AccountSnapshot((), (position(quantity="10"),), (MONEY,)))
    one.apply(order_frame(status="filled", filled_qty="9", updated_at=at(2)), NOW)
    listed = AccountSnapshot((order(**old),), (position(quantity="20"),), (MONEY,))
    for seconds in (0, 10, 1000):
        assert snapshot(one, listed, when=NOW + timedelta(seconds=seconds)) == []
        assert (one.problem, one.lacks_whole) == ("the snapshot is older than the known state of order o", True)
    assert quantities(one) == {"AAPL": "10"}


def test_older_order_report_without_contradiction_does_not_reject_the_snapshot() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="10"),), (MONEY,)))
    one.apply(order_frame(status="working", filled_qty="9", updated_at="2026-03-02T14:02:00.500Z"), NOW)
    same = order(status="working", filled_qty="9", updated_at="2026-03-02T14:02:00Z")
    snapshot(one, AccountSnapshot((same,), (position(quantity="20"),), (MONEY,)))
    assert (one.problem, quantities(one)) == (None, {"AAPL": "20"})


def test_ended_order_listed_as_open_makes_the_account_not_current() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="10"),), (MONEY,)))
    one.apply(order_frame(status="cancelled", updated_at=at(2)), NOW)
    listed = AccountSnapshot((order(status="working", updated_at=at(3)),), (position(quantity="20"),), (MONEY,))
    snapshot(one, listed)
    assert (one.problem, one.lacks_whole) == ("orders are listed with less filled, or open again", True)
    assert (str(read(one).orders["o"].status), quantities(one)) == ("cancelled", {"AAPL": "20"})


@pytest.mark.parametrize("status", ["FILLED", "canceled", "Cancelled", " rejected", "EXPIRED", "Replaced"])
def test_order_with_any_terminal_status_is_not_open(status: str) -> None:
    one = keeper()
    for name, report in (("o", status), ("p", "working"), ("q", "done for the day")):
        one.apply(order_frame(order_id=name, status=report), NOW)
    assert [each.order_id for each in read(one).open_orders] == ["p", "q"]
    assert [each.order_id for each in one.open_orders()] == ["p", "q"]


def test_row_without_a_symbol_closes_no_position() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"),), (MONEY,)))
    assert shown(
        snapshot(one, AccountSnapshot((), (position(symbol="MSFT", quantity="1"),), (MONEY,), "a row is odd"))
    ) == [("MSFT", None, "1", "recovered")]
    assert (quantities(one), read(one).problem) == ({"AAPL": "5", "MSFT": "1"}, "a row is odd")


def test_listed_orders_with_one_id_resolve_to_the_later_one() -> None:
    first = order(cl_order_id="x", status="filled", filled_qty="5")
    second = order(cl_order_id="y", status="working", filled_qty="0")
    one = loaded(AccountSnapshot((first, second), (), (MONEY,)))
    assert [each.cl_order_id for each in read(one).open_orders] == ["y"]
    assert snapshot(one, AccountSnapshot((first, second), (), (MONEY,))) == []


# --- snapshots and frames


def test_snapshot_overrides_frames_before_its_request() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"), position(symbol="MSFT", quantity="1")), (MONEY,)))
    assert (one.is_read, one.is_loaded, keeper().is_loaded) == (True, True, False)
    listed = AccountSnapshot(
        (order(status="working"),), (position(quantity="7"),), (balance(currency="USD", cash="90"),)
    )
    assert shown(snapshot(one, listed)) == [
        ("o", None, "working", [], "recovered"),
        ("AAPL", "5", "7", "recovered"),
        ("MSFT", "1", "0", "recovered"),
        ("100", "90", "recovered"),
    ]
    assert quantities(one) == {"AAPL": "7"}
    assert snapshot(one, listed) == []


def test_snapshot_keeps_frames_since_its_request() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"), position(symbol="MSFT", quantity="1")), (MONEY,)))
    stale = AccountSnapshot(
        (), (position(quantity="5", last_price="3"), position(symbol="MSFT", quantity="1")), (MONEY,)
    )
    received = (
        position_frame(quantity="6"),
        position_frame(symbol="MSFT", quantity="0"),
        position_frame(symbol="NVDA", quantity="2"),
        balance_frame(cash="90"),
    )
    assert shown(snapshot(one, stale, *received, cause="sweep")) == [("AAPL", "6", "6", "sweep")]
    assert quantities(one) == {"AAPL": "6", "NVDA": "2"}
    assert read(one).positions["AAPL"].last_price == Decimal(3)
    assert read(one).balances["USD"].cash == Decimal(90)


def test_aborted_snapshot_drops_kept_updates() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5"),), (MONEY,)))
    one.begin_snapshot()
    one.apply(position_frame(quantity="6"), NOW)
    one.abort_snapshot()
    snapshot(one, AccountSnapshot((), (position(quantity="4"),), (MONEY,)))
    assert quantities(one) == {"AAPL": "4"}
    one.load(AccountSnapshot((), (position(quantity="8"),), (MONEY,)), "sweep", NOW)
    assert quantities(one) == {"AAPL": "8"}


def test_order_with_equal_times_keeps_the_frame_only_if_it_came_since_the_request() -> None:
    one = loaded(AccountSnapshot((order(status="working", updated_at=at(1)),), (), (MONEY,)))
    pending = AccountSnapshot((order(status="pending_cancel", updated_at=at(1)),), (), (MONEY,))
    assert shown(snapshot(one, pending, cause="sweep")) == [("o", "working", "pending_cancel", [], "sweep")]
    assert snapshot(one, pending, order_frame(status="working", updated_at=at(1)), cause="sweep") == []
    assert read(one).orders["o"].status == "working"


def test_unread_account_keeps_its_book() -> None:
    one = loaded(AccountSnapshot((order(status="working"),), (position(quantity="5"),), (MONEY,)))
    assert shown(snapshot(one, AccountSnapshot((order(status="filled"),)), position_frame(quantity="6"))) == [
        ("o", "working", "filled", [], "recovered"),
    ]
    assert (one.is_read, quantities(one), len(read(one).balances)) == (False, {"AAPL": "6"}, 1)
    one.load(AccountSnapshot(), "sweep", NOW + timedelta(minutes=1))
    assert one.absent_since == NOW
    assert shown(snapshot(one, AccountSnapshot((), (), (MONEY,)))) == [("AAPL", "6", "0", "recovered")]
    assert one.is_read
    assert [one.absent_since] == [None]


def test_absent_balance_is_removed() -> None:
    one = loaded(AccountSnapshot((), (), (MONEY, balance(currency="EUR", cash="1"))))
    assert snapshot(one, AccountSnapshot((), (), (MONEY,))) == []
    assert list(read(one).balances) == ["USD"]


def test_closed_position_keeps_its_instrument() -> None:
    one = loaded(AccountSnapshot((), (position(quantity="5", instrument="STK"),), ()))
    [change] = snapshot(one, AccountSnapshot((), (), (MONEY,)))[:1]
    assert isinstance(change, PositionChanged)
    assert (change.after.instrument, change.after.account_id, change.after.last_price) == ("STK", "a", None)


def test_missed_fill_is_recovered_once() -> None:
    one = loaded(AccountSnapshot((order(status="working", filled_qty="0", updated_at=at(1)),), (), (MONEY,)))
    missed = order(status="filled", filled_qty="5", fills=[fill("1", "2"), fill("2", "3")], updated_at=at(3))
    assert shown(snapshot(one, AccountSnapshot((missed,), (), (MONEY,)))) == [
        ("o", "working", "filled", ["1", "2"], "recovered")
    ]
    late = order_frame(status="partially_filled", filled_qty="2", fills=[fill("1", "2")], updated_at=at(2))
    assert one.apply(late, NOW) == ()


def test_absent_order_stays_as_known() -> None:
    one = loaded(AccountSnapshot((order(status="working"),), (), (MONEY,)))
    assert snapshot(one, AccountSnapshot((), (), (MONEY,))) == []
    assert read(one).orders["o"].status == "working"


# --- successors


def test_replaced_order_points_to_its_successor() -> None:
    one = keeper()
    one.apply(order_frame(status="replaced"), NOW)
    changes = one.apply(order_frame(order_id="p", status="working", replaces="o"), NOW)
    assert shown(changes) == [("p", None, "working", [], "stream"), ("o", "replaced", "replaced", [], "stream")]
    assert read(one).orders["o"].replaced_by == "p"
    assert one.apply(order_frame(status="replaced", replaced_by=None), NOW) == ()
    assert shown(one.apply(order_frame(order_id="q", status="working", replaces="o"), NOW)) == [
        ("q", None, "working", [], "stream"),
    ]


def test_successor_of_an_order_is_never_cleared() -> None:
    one = keeper()
    one.apply(order_frame(status="pending_replace", replaced_by="p"), NOW)
    [change] = one.apply(order_frame(order_id="q", status="working", replaces="o"), NOW)
    assert isinstance(change, OrderChanged)
    assert (change.after.order_id, read(one).orders["o"].replaced_by) == ("q", "p")


def test_replaced_order_reported_after_its_successor_points_to_it() -> None:
    one = keeper()
    one.apply(order_frame(order_id="n", status="replaced"), NOW)
    one.apply(order_frame(order_id="p", status="working", replaces="o"), NOW)
    one.apply(order_frame(status="replaced"), NOW)
    assert read(one).orders["o"].replaced_by == "p"
    assert read(one).orders["n"].replaced_by is None


# --- retention of ended orders


def test_ended_orders_beyond_the_count_are_evicted_and_not_published_again() -> None:
    one = keeper(count=2)
    frames = [
        order_frame(order_id=str(n), status="filled", updated_at=at(n), filled_qty="1", fills=[fill(str(n), "1")])
        for n in range(4)
    ]
    for update in frames:
        assert len(one.apply(update, NOW)) == 1
    one.apply(order_frame(order_id="open", status="working"), NOW)
    assert list(read(one).orders) == ["2", "3", "open"]
    assert [one.was_evicted(name) for name in ("1", "2", "open")] == [True, False, False]
    assert [one.apply(update, NOW) for update in frames] == [()] * 4
    assert snapshot(one, AccountSnapshot([each.order for each in frames], (), ()), cause="sweep") == []


def test_ended_orders_beyond_the_age_are_evicted() -> None:
    one = keeper(age=60)
    one.apply(order_frame(status="partially_filled", filled_qty="3"), NOW)
    one.apply(order_frame(status="cancelled"), NOW)
    one.load(AccountSnapshot(), "sweep", NOW + timedelta(seconds=60))
    assert (list(read(one).orders), len(one._tracker._implied)) == (["o"], 1)
    one.apply(order_frame(order_id="p", status="filled"), NOW + timedelta(seconds=61))
    # The implied fills of an order are kept no longer than the order.
    assert one._tracker._implied == {}
    assert list(read(one).orders) == ["p"]
    one.load(AccountSnapshot(), "sweep", NOW + timedelta(seconds=200))
    assert (list(read(one).orders), one.as_of) == ([], NOW + timedelta(seconds=61))


def test_unknown_order_that_ended_before_the_horizon_is_ignored() -> None:
    one = loaded(AccountSnapshot((order(order_id="new", status="working", updated_at=at(59)),), (), (MONEY,)))
    old = {"order_id": "old", "status": "filled", "filled_qty": "1"}
    horizon = "2026-03-02T13:58:59.000000Z"
    assert one.horizon == datetime(2026, 3, 2, 13, 59, tzinfo=UTC)
    assert one.apply(order_frame(**old, updated_at=horizon), NOW) == ()
    assert one.apply(order_frame(**old, created_at=horizon), NOW) == ()
    assert len(one.apply(order_frame(order_id="open", status="working", updated_at=horizon), NOW)) == 1
    assert len(one.apply(order_frame(**{**old, "order_id": "recent"}, updated_at=at(1)), NOW)) == 1
    assert len(one.apply(order_frame(**{**old, "order_id": "timeless"}), NOW)) == 1
    then = "2026-03-02T13:59:00.000000Z"
    assert len(one.apply(order_frame(**{**old, "order_id": "just then"}, updated_at=then), NOW)) == 1


def test_evicted_ids_are_forgotten_behind_the_horizon() -> None:
    one = keeper(count=1)
    for name, time in (("1", at(1)), ("2", None), ("3", at(3))):
        one.apply(order_frame(order_id=name, status="filled", updated_at=time), NOW)
    assert [one.was_evicted(name) for name in ("1", "2", "3")] == [True, True, False]
    listed = AccountSnapshot(
        (order(order_id="3", status="filled", updated_at="2026-03-02T15:02:00.000000Z"),), (), (MONEY,)
    )
    one.load(listed, "sweep", NOW + timedelta(minutes=5))
    assert [one.was_evicted(name) for name in ("1", "2", "3")] == [False, True, False]
    earlier = AccountSnapshot((order(order_id="3", status="filled", updated_at=at(0)),), (), (MONEY,))
    one.load(earlier, "sweep", NOW)
    assert one.horizon == datetime(2026, 3, 2, 14, 2, tzinfo=UTC)


def test_future_time_does_not_move_the_horizon_past_now() -> None:
    odd = order(order_id="odd", status="filled", updated_at="2036-03-02T15:00:00.000000Z")
    one = loaded(AccountSnapshot((odd,), (), (MONEY,)))
    new = order_frame(order_id="new", status="filled", filled_qty="1", fills=[fill("1", "1")], updated_at=at(30))
    [change] = one.apply(new, NOW)
    assert isinstance(change, OrderChanged)
    assert [each.fill_id for each in change.fills] == ["1"]


def test_number_of_remembered_evicted_ids_is_bounded() -> None:
    one = keeper(count=1)
    first = [
        order_frame(order_id=name, status="filled", updated_at=time)
        for name, time in (("a", at(5)), ("b", at(3)), ("c", None))
    ]
    for update in first:
        one.apply(update, NOW)
    for number in range(MAX_EVICTED + 1):
        one.apply(order_frame(order_id=str(number), status="filled", updated_at=at(6)), NOW)
    assert [one.was_evicted(name) for name in ("a", "b", "c", "0")] == [False, False, False, True]
    assert one.horizon == datetime(2026, 3, 2, 14, 5, tzinfo=UTC)
    assert one.apply(first[1], NOW) == ()


def test_ended_orders_are_evicted_by_an_unchanged_snapshot() -> None:
    one = keeper(age=60)
    ended = AccountSnapshot((order(status="filled"),), (), (MONEY,))
    snapshot(one, ended)
    one.begin_snapshot()
    one.confirm(NOW + timedelta(seconds=60))
    assert list(read(one).orders) == ["o"]
    one.begin_snapshot()
    one.confirm(NOW + timedelta(seconds=61))
    assert (list(read(one).orders), one.was_evicted("o")) == ([], True)


# --- any interleaving


MOVES = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(-2, 3), st.sampled_from(["received", "lost", "asked", "answered"])),
    max_size=30,
)


@given(MOVES)
def test_book_equals_the_server_after_any_lost_frames_and_each_fill_is_published_once(
    moves: list[tuple[str, int, str]],
) -> None:
    """A server with one order a symbol, each trade a fill; frames received or lost, and snapshots."""
    one = loaded(AccountSnapshot((), (), (MONEY,)))
    held: dict[str, int] = {}
    done: dict[str, list[dict[str, Any]]] = {"A": [], "B": []}
    published: list[str | None] = []
    clock = 0
    is_asked = False

    def whole() -> AccountSnapshot:
        orders = [order(**spelled(name)) for name in done if done[name]]
        positions = [position(symbol=name, quantity=str(held[name])) for name in held if held[name]]
        return AccountSnapshot(orders, positions, (MONEY,))

    def spelled(name: str) -> dict[str, Any]:
        total = sum(int(each["quantity"]) for each in done[name])
        return {
            "order_id": name,
            "status": "partially_filled",
            "filled_qty": str(total),
            "fills": list(done[name]),
            "updated_at": done[name][-1]["time"],
        }

    def record(changes: Sequence[Change]) -> None:
        published.extend(
            each.fill_id for change in changes if isinstance(change, OrderChanged) for each in change.fills
        )

    for name, quantity, what in [*moves, ("A", 0, "asked"), ("A", 0, "answered")]:
        if quantity:
            clock += 1
            held[name] = held.get(name, 0) + quantity
            done[name].append(fill(f"{name}{clock}", str(abs(quantity)), "10", str(1_772_461_800 + clock)))
        if what == "received" and quantity:
            record(one.apply(order_frame(**spelled(name)), NOW))
            record(one.apply(position_frame(done[name][-1]["time"], symbol=name, quantity=str(held[name])), NOW))
        elif what == "asked":
            one.begin_snapshot()
            is_asked = True
        elif what == "answered" and is_asked:
            record(one.load(whole(), "recovered", NOW))
            is_asked = False
    assert quantities(one) == {name: str(quantity) for name, quantity in held.items() if quantity}
    everything = [str(each["fill_id"]) for listed in done.values() for each in listed]
    assert sorted(str(each) for each in published) == sorted(everything)


def test_partial_frame_of_an_unknown_item_is_not_applied() -> None:
    one = loaded(AccountSnapshot((), (), (balance(),)))
    for part in (position_frame(last_price="5"), order_frame(filled_qty="5")):
        assert one.apply(part, NOW) == ()
        assert one.lacks_whole
        one.lacks_whole = False
    assert (read(one).orders, read(one).positions) == ({}, {})


def test_order_frame_with_an_empty_id_is_not_applied_and_needs_a_snapshot() -> None:
    one = loaded(AccountSnapshot((order(status="working"),), (), (MONEY,)))
    assert one.apply(order_frame(order_id="", status="filled"), NOW) == ()
    assert one.lacks_whole
    assert [(each.order_id, each.status) for each in read(one).orders.values()] == [("o", "working")]


# --- equal snapshots

WORDS = st.sampled_from
FILLS = st.lists(st.builds(fill, WORDS(["1", "2", None]), WORDS(["1", "2", None]), WORDS(["10", None])), max_size=3)
FACTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"order_id": WORDS("opq")},
    optional={
        "status": WORDS(["pending", "working", "partially_filled", "filled", "cancelled", "replaced", None]),
        "filled_qty": WORDS(["0", "1", "3", "", None]),
        "avg_fill_price": WORDS(["10", "11", None]),
        "updated_at": WORDS([at(1), at(30), "2026-03-02T12:00:00Z", "1772461800", "soon", None]),
        "replaces": WORDS(["o", "p", None]),
        "replaced_by": WORDS(["q", None]),
        "fills": FILLS,
    },
)
HELD = st.lists(st.tuples(WORDS("AB"), WORDS(["0", "1", "-2", None])), max_size=3)


def a_listing(orders: list[dict[str, Any]], held: list[tuple[str, str | None]], balances: list[Any]) -> AccountSnapshot:
    positions = [position(symbol=symbol, quantity=quantity) for symbol, quantity in held]
    return AccountSnapshot([order(**each) for each in orders], positions, balances)


def a_frame(facts: dict[str, Any] | str) -> Update:
    return position_frame(at(2), symbol="A", quantity=facts) if isinstance(facts, str) else order_frame(**facts)


LISTED = st.builds(a_listing, st.lists(FACTS, max_size=3), HELD, WORDS([[], [MONEY]]))
HISTORY = st.lists(st.one_of(st.builds(a_frame, st.one_of(FACTS, WORDS(["0", "5"]))), LISTED), max_size=5)


def state(thing: object) -> object:
    """Return the whole state of a keeper."""
    if isinstance(thing, msgspec.Struct) and not isinstance(thing, Model):
        return [state(part) for part in astuple(thing)]
    return repr(thing)


@given(HISTORY, LISTED, LISTED)
def test_equal_snapshot_changes_nothing(
    history: list[Update | AccountSnapshot], listed: AccountSnapshot, last: AccountSnapshot
) -> None:
    """Load a snapshot once, twice, or the second time without orders: the state is the same."""
    keepers = [keeper(count=2) for _ in range(3)]
    for one in keepers:
        for step in history:
            if isinstance(step, AccountSnapshot):
                snapshot(one, step)
            else:
                one.apply(step, NOW)
        snapshot(one, listed)
        assume(one.is_settled)
        one.begin_snapshot()
    later = NOW + timedelta(seconds=5)
    twice, once, without = keepers
    assert twice.load(listed, "recovered", later) == []
    assert without.load(listed._replace(orders=()), "recovered", later) == []
    once.confirm(later)
    assert state(twice) == state(once) == state(without)
    changes = [shown(snapshot(one, last)) for one in keepers]
    assert changes[0] == changes[1] == changes[2]
    assert read(twice) == read(once) == read(without)


@pytest.mark.parametrize(
    ("received", "listed", "is_settled"),
    [
        ({}, [{"status": "working"}], True),
        ({}, [{"status": "working"}, {"status": "filled"}], False),
        ({"status": "working", "filled_qty": "1"}, [{"status": "working", "avg_fill_price": "10"}], False),
        ({"status": "working", "symbol": "AAPL"}, [{"status": "working"}], False),
        ({"status": "filled", "updated_at": at(1)}, [{"status": "working", "updated_at": at(0)}], False),
    ],
)
def test_book_is_settled_by_a_snapshot_that_it_holds_as_listed(
    received: dict[str, Any],
    listed: list[dict[str, Any]],
    is_settled: bool,  # noqa: FBT001 - pytest fills it in by name
) -> None:
    one = keeper()
    if received:
        one.apply(order_frame(**received), NOW)
    for _ in range(2):
        snapshot(one, AccountSnapshot([order(**each) for each in listed], (), (MONEY,)))
        assert one.is_settled is is_settled
    snapshot(one, AccountSnapshot((), (), (MONEY,)))
    assert one.is_settled


@pytest.mark.parametrize(
    ("frame", "is_in_doubt"),
    [
        (position_frame(qty="6", last_price="9"), True),
        (position_frame(qty="5.0", last_price="9"), False),
        (position_frame(quantity="6", last_price="9", lots="2"), False),
        (balance_frame(currency="USD", money="90"), True),
        (balance_frame(currency="USD", money="100"), False),
        (balance_frame(currency="EUR", money="100"), True),
        (balance_frame(currency="EUR", cash="100", money="90"), False),
        (order_frame(status="partially_filled", cum_qty="2"), True),
        (order_frame(status="partially_filled", filled_qty="2", order_qty="10", cum_qty="2"), False),
        (order_frame(state="filled"), True),
        (order_frame(status="working", leaves="10"), False),
    ],
)
def test_apply_frame_that_may_hide_a_change_wants_a_snapshot(frame: Update, *, is_in_doubt: bool) -> None:
    held = [position(quantity="5", last_price="8")]
    one = loaded(AccountSnapshot([order(status="working", order_qty="10")], held, [MONEY]))
    one.apply(frame, NOW)
    assert one.lacks_whole is is_in_doubt
