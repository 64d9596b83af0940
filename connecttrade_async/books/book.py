"""Keep the positions, orders and balances of one account, merged from snapshots and stream frames.

Two sources report on one account, and neither has sequence numbers. A *snapshot* is the whole state at an unknown
moment between its request and its answer. A *frame* reports one item; the frames of one account come in the order of
the events. These rules decide which report holds.

Orders only move forward. Of two reports of an order, the one with the later ``updated_at`` holds. Some facts are never
taken back: an order that has ended stays ended, a filled quantity stays filled, and a listed fill stays listed. A
replaced order keeps pointing to its successor. A fill is identified by its id; where one report has no id, by time,
quantity and price. Where the times do not decide, the more advanced report holds; otherwise the one that came later.
So a frame and a snapshot can be applied in either order, or twice, with the same result.

Positions and balances go up and down, and their snapshot has no time. A frame that came *before* the snapshot was
requested is included in it. A frame that came *since* may be newer; if it is not, a frame for whatever made the
snapshot newer is still on its way. So a snapshot overrides earlier frames, and later frames are applied on top of it.
For this the book keeps the fields of frames while a snapshot is under way: one entry for each item, as bounded as the
book. Nothing waits for the snapshot: each frame is applied and published at once. A frame with an earlier time than
the last one of its item is out of order, and is dropped.

A snapshot may come from a server that is behind the stream. An order shows this: it has less filled than known, or is
open where it has ended, without a later ``updated_at``. A position or balance raises the suspicion: it repeats the
exact level of the snapshot before against frames since, and no new execution is listed. Such a snapshot does not
count: positions and balances stay, the account is not current, and another snapshot is requested. A list without an
older time that repeats itself five seconds later is believed. So is a correction or a bust: the order then is as
listed, and what it takes back is published as executions of the opposite sign.

A symbol or a currency may have several rows. They are added up; equal rows count as one. A frame for one of them does
not say which row it updates, so it is not applied and a snapshot is requested.

A time more than five minutes in the future is a mistake, and must not override all reports until then. Against a time
that is not in the future it decides nothing: progress of the order decides, then arrival. If the local clock is slow,
the times of all events are in the future and are compared as usual; only a frame that is late by more than the skew is
not detected. If the local clock is fast, a mistake is detected later.

A frame may carry a part of an item. The carried fields override the known ones, null included; the other fields stay.
A part of an unknown item is not an item: an order without a status, or a position without a quantity. The book does
not get it and is not current until a snapshot has the whole.

An item may be absent from a complete list. A position is then closed; the change is published before it is removed. An
order is *not* gone: brokers list orders for a limited time and with a delay, so an absent order stays as last known.
An answer with neither a balance nor a position did not read the account: its book stays, and is not current. Only
Connect Trade's own list of the user's connections can show that an account is gone (``live/missing_accounts.py``). A
balance without a currency is of the only known currency; with several known, it is a part of an unknown item.

A snapshot with byte-identical answers carries no news under two conditions. No frame of its user came since the
earlier one was requested, and the book was *settled* by that one: it has each order as listed, or evicted it, or never
had it. Then its positions and balances are the listed ones too, and loading them again changes nothing. So such
answers need no decoding and no comparison; only ``as_of`` moves. Identical orders may be skipped alone, because a
listing says nothing about orders that it lacks. Positions and balances are only skipped together, because an account
with neither was not read.

An order that has ended is published, and then kept for a while, by count and by age. Evicted order ids are remembered
until they cannot be mistaken for new orders. An unknown order that has ended is history if it last changed well before
the latest change known to an earlier snapshot. That horizon is in the broker's time and never after the local time. So
neither a wrong local clock nor a future time of a broker hides an event.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set as AbstractSet
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, Self

import msgspec

from connecttrade_async.books.changes import BalanceChanged, Cause, Change, OrderChanged, PositionChanged
from connecttrade_async.books.keyed_state import Delta, KeyedState, RowsByKey, rows_by_key
from connecttrade_async.books.merge import (
    amount,
    apply_partial,
    compare_age,
    has_less_filled,
    is_other_order,
    is_reopened,
    may_hide_change,
    missing_fields,
)
from connecttrade_async.books.order_tracker import REPEAT_AFTER, OrderRetention, OrderTracker
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.models.orders import Order, has_ended
from connecttrade_async.models.positions import Position

__all__ = ["AccountSnapshot", "Book", "BookKeeper"]

Update = OrderUpdate | PositionUpdate | BalanceUpdate
NO_CURRENCY = ""
EXECUTED = frozenset({OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})
ORDER_ID = attrgetter("order_id")


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One account at one moment: an immutable value.

    Attributes:
        account_id: the account.
        user_id: its user.
        orders: by ``order_id``: all open orders, and those that ended recently.
        positions: by symbol; none of quantity zero. Several different rows of one symbol (lots, cash and margin) are
            one position: numbers are added up, the average price is the mean, and fields that differ are None.
            If such rows add up to zero, long and short, the position stays.
        balances: by currency, ``""`` where the broker names none; several rows of one currency are added up.
        as_of: when it was last loaded or changed, aware; None before the first load.
        is_current: whether it equals the server but for updates on their way. If not, it is the last known state.
        problem: why the latest snapshot could not be loaded as it was, so that the book is not current; None where it
            could. For example, a row without a symbol or an order id is not in the book.
    """

    account_id: str
    user_id: str
    orders: Mapping[str, Order]
    positions: Mapping[str, Position]
    balances: Mapping[str, Balance]
    as_of: datetime | None
    is_current: bool
    problem: str | None = None

    @property
    def balance(self) -> Balance | None:
        """The balance; with several currencies the first listed; None where the broker lists none."""
        return next(iter(self.balances.values()), None)

    @property
    def open_orders(self) -> tuple[Order, ...]:
        """The orders that can still change."""
        return tuple(order for order in self.orders.values() if not has_ended(order))

    def __reduce__(self) -> tuple[Callable[..., Book], tuple[object, ...]]:
        views = (dict(self.orders), dict(self.positions), dict(self.balances))
        return _book, (self.account_id, self.user_id, *views, self.as_of, self.is_current, self.problem)

    def __repr__(self) -> str:
        state = "CURRENT" if self.is_current else "NOT CURRENT"
        return f"<Book {self.account_id} {state} {len(self.positions)} positions {len(self.open_orders)} open orders>"


class AccountSnapshot(NamedTuple):
    """The part of a snapshot that belongs to one account.

    Attributes:
        orders: oldest first, from a window of time; orders outside it are not affected.
        positions: all positions.
        balances: all balances.
        problem: which part of the answers cannot be in a book, such as a row without a symbol; None if there is none.
    """

    orders: Sequence[Order] = ()
    positions: Sequence[Position] = ()
    balances: Sequence[Balance] = ()
    problem: str | None = None

    @property
    def is_read(self) -> bool:
        """Whether the account was read at all: a failed read is never an empty account."""
        return bool(self.positions or self.balances)


class BookKeeper(msgspec.Struct, gc=False, eq=False):
    """Keeps the book of one account, from any source; ``BookKeeper.of`` creates one.

    Attributes:
        account_id: the account.
        user_id: its user.
        is_loaded: whether a snapshot was loaded.
        is_read: whether the latest snapshot had the account.
        as_of: when it was last loaded or changed.
        absent_since: when the first snapshot without the account came since one had it; None while one has it.
        lacks_whole: whether only another snapshot can settle the state, since this was last set to False: a frame had
            a part of an unknown item, or reports contradict each other.
        is_settled: whether the orders of the latest snapshot are in the book as listed, and all of it was loaded.
        problem: why the latest snapshot was not loaded as it was; see ``Book``.
    """

    account_id: str
    user_id: str
    _tracker: OrderTracker
    _positions: KeyedState[Position]
    _balances: KeyedState[Balance]
    _updated_since: set[str] | None = None
    is_loaded: bool = False
    is_read: bool = False
    as_of: datetime | None = None
    absent_since: datetime | None = None
    lacks_whole: bool = False
    is_settled: bool = False
    problem: str | None = None
    # Contradictions of the known state by snapshots, and when each first came.
    _contradictions: dict[object, datetime] = {}

    @classmethod
    def of(cls, account_id: str, user_id: str, keep: OrderRetention) -> Self:
        """Return the keeper of an account without any known state.

        Args:
            account_id: the account.
            user_id: its user.
            keep: how long orders that have ended stay.
        """
        tracker = OrderTracker(account_id, user_id, keep)
        positions: KeyedState[Position] = KeyedState("quantity_text", "last_price_text")
        balances: KeyedState[Balance] = KeyedState("cash_text", "buying_power_text")
        return cls(account_id, user_id, tracker, positions, balances)

    def order(self, order_id: str) -> Order | None:
        """Return an order, or None where the book does not have it."""
        return self._tracker.orders.get(order_id)

    def was_evicted(self, order_id: str) -> bool:
        """Return whether an order ended, was published, and is not kept any more."""
        return self._tracker.was_evicted(order_id)

    def open_orders(self) -> list[Order]:
        """Return the orders that can still change."""
        return self._tracker.open_orders()

    @property
    def horizon(self) -> datetime | None:
        """An unknown order that ended before this time is history, aware, by the broker's clock."""
        return self._tracker.horizon

    def book(self, *, is_current: bool) -> Book:
        """Return the book as it is now, as a value."""
        orders, positions, balances = self._tracker.orders, self._positions.items, self._balances.items
        views = orders.copy(), positions.copy(), balances.copy()
        return _book(self.account_id, self.user_id, *views, self.as_of, is_current, self.problem)

    # Frames -----------------------------------------------------------------------------------------------------------

    def apply(self, update: Update, at: datetime) -> Sequence[Change]:
        """Apply a frame of this account; return the changes.

        Args:
            update: the frame.
            at: when it was received, aware.
        """
        self.as_of = at
        kind = type(update)
        if kind is OrderUpdate:
            return self._apply_order(update, at)  # type: ignore[arg-type]
        if kind is PositionUpdate:
            return self._apply_position(update, at)  # type: ignore[arg-type]
        return self._apply_balance(update, at)  # type: ignore[arg-type]

    def _apply_order(self, update: OrderUpdate, at: datetime) -> Sequence[Change]:
        order = update.order
        if not order.order_id:
            self.lacks_whole = True
            return ()
        before = self._tracker.orders.get(order.order_id)
        if self._updated_since is not None:
            self._updated_since.add(order.order_id)
        is_new = before is None or is_other_order(before, order)
        if is_new and order.status is None:
            self.lacks_whole = self.lacks_whole or not self.was_evicted(order.order_id)
            return ()
        missing = None if before is None or is_new else missing_fields(before, order)
        hides = order.filled_qty_text is None and order.status in EXECUTED
        hides = hides and may_hide_change({"filled_qty_text": None}, update)
        if before is not None and missing:
            order, hides_other = apply_partial(before, order, update)
            hides = hides or hides_other
        self.lacks_whole = self.lacks_whole or hides
        changes = self._tracker.merge(before, order, "stream", at, is_whole=not missing)
        if self._tracker.has_contradiction:
            self._tracker.has_contradiction, self.lacks_whole = False, True
        return changes

    def _apply_position(self, update: PositionUpdate, at: datetime) -> Sequence[Change]:
        position, symbol, known = update.position, update.position.symbol, self._positions.items
        before = known.get(symbol) if symbol else None
        if (
            not symbol
            or symbol in self._positions.several
            or (
                before is not None
                # Nearly every frame has both fields as they are, or neither; then no call is needed.
                and (position.account_number or position.instrument)
                and (position.account_number != before.account_number or position.instrument != before.instrument)
                and _is_other_row(before, position)
            )
        ):
            # Only a snapshot can show which row or symbol the frame is about.
            self.lacks_whole = True
            return ()
        is_part = position.quantity_text is None
        if is_part and before is None:
            self.lacks_whole = True
        delta = self._positions.apply(symbol, position, update, at, is_part=is_part)
        if self._positions.has_doubt:
            self._positions.has_doubt, self.lacks_whole = False, True
        change = None if delta is None else self._position_change(delta, "stream")
        return () if change is None else (change,)

    def _apply_balance(self, update: BalanceUpdate, at: datetime) -> Sequence[Change]:
        balance, items = update.balance, self._balances.items
        key = balance.currency or NO_CURRENCY
        if key not in items and (key == NO_CURRENCY or NO_CURRENCY in items) and items:
            # Where one of the two names no currency, it is the only known one; with several known the frame is
            # ambiguous.
            if len(items) > 1:
                self.lacks_whole = True
                return ()
            [key] = items
        before = items.get(key)
        if key in self._balances.several or (
            before is not None and balance.account_number != before.account_number and _is_other_row(before, balance)
        ):
            self.lacks_whole = True
            return ()
        delta = self._balances.apply(key, balance, update, at)
        is_unknown = before is None and balance.cash_text is None and may_hide_change({"cash_text": None}, update)
        if is_unknown or self._balances.has_doubt:
            self._balances.has_doubt, self.lacks_whole = False, True
        change = None if delta is None else self._balance_change(delta, "stream")
        return () if change is None else (change,)

    # Snapshots --------------------------------------------------------------------------------------------------------

    def begin_snapshot(self) -> None:
        """Start to keep the updates of frames, to apply them on top of the requested snapshot."""
        self._updated_since = set()
        self._positions.begin_snapshot()
        self._balances.begin_snapshot()

    def abort_snapshot(self) -> None:
        """Drop the kept updates, because the requested snapshot will not be loaded."""
        self._updated_since = None
        self._positions.abort_snapshot()
        self._balances.abort_snapshot()

    def load(self, listed: AccountSnapshot, cause: Cause, at: datetime) -> list[Change]:
        """Load a snapshot; return the changes.

        The orders of an account that was not read are loaded; its positions and balances stay. They also stay where the
        snapshot proves to be older than the known state: then the account has a ``problem`` and ``lacks_whole``.

        Args:
            listed: the snapshot, complete in positions and balances.
            cause: how the changes are learned.
            at: when it was answered, aware.
        """
        contradictions, self._contradictions = self._contradictions, {}
        order_changes, is_settled, problem = self._load_orders(listed.orders, contradictions, cause, at)
        changes: list[Change] = [*order_changes]
        self.is_loaded, self.is_read = True, listed.is_read
        if listed.is_read:
            position_rows = rows_by_key(
                [each.symbol or "" for each in listed.positions], listed.positions, self._positions.level
            )
            balance_rows = rows_by_key(
                [each.currency or NO_CURRENCY for each in listed.balances], listed.balances, self._balances.level
            )
            if len(balance_rows.items) == 1:
                self._rename_balance(*balance_rows.items)
            problem = problem or self._level_contradiction(
                position_rows, balance_rows, _traded_symbols(order_changes), contradictions, at
            )
            if problem is None:
                problem = self._ambiguous_row(position_rows, balance_rows)
                # A row without a symbol or an account may belong to an item that is not listed.
                is_complete = listed.problem is None
                changes += [
                    change
                    for moved in self._positions.load(position_rows, is_complete=is_complete)
                    if (change := self._position_change(moved, cause)) is not None
                ]
                changes += [
                    change
                    for paid in self._balances.load(balance_rows, is_complete=is_complete)
                    if (change := self._balance_change(paid, cause)) is not None
                ]
                self.as_of = at
            else:
                self._positions.set_aside(position_rows)
                self._balances.set_aside(balance_rows)
        self._positions.abort_snapshot()
        self._balances.abort_snapshot()
        self.absent_since = None if listed.is_read else self.absent_since or at
        self._tracker.move_horizon(listed.orders, at)
        self._tracker.evict_old(at)
        if problem is None and self._tracker.has_contradiction:
            problem = "orders are listed with less filled, or open again"
        self._tracker.has_contradiction = False
        self.problem = listed.problem or problem
        self.lacks_whole = self.lacks_whole or problem is not None
        self.is_settled = self.problem is None and (is_settled or all(map(self._is_as_listed, listed.orders)))
        return changes

    def _load_orders(
        self, orders: Sequence[Order], contradictions: dict[object, datetime], cause: Cause, at: datetime
    ) -> tuple[Sequence[OrderChanged], bool, str | None]:
        """Load listed orders; return the changes, whether all were known, and how the list proves to be older."""
        changes: list[OrderChanged] = []
        updated, self._updated_since = self._updated_since or set(), None
        is_settled, problem = True, None
        self._tracker.has_contradiction = False
        for order in _latest_of_each(orders):
            before = self._tracker.orders.get(order.order_id)
            if order != before:  # most orders are unchanged
                is_settled = False  # until the merged order is compared below
                is_ahead = order.order_id in updated
                changes += self._tracker.merge(before, order, cause, at, is_ahead=is_ahead)
                if before is not None and not is_ahead:
                    problem = self._order_contradiction(before, order, contradictions, at) or problem
        return changes, is_settled, problem

    def _ambiguous_row(self, position_rows: RowsByKey[Position], balance_rows: RowsByKey[Balance]) -> str | None:
        key = self._positions.updated_row_of_several(position_rows) or self._balances.updated_row_of_several(
            balance_rows
        )
        return None if key is None else f"{key} has several rows, and a frame updated one of them"

    def _level_contradiction(
        self,
        position_rows: RowsByKey[Position],
        balance_rows: RowsByKey[Balance],
        traded: AbstractSet[str | None],
        contradictions: dict[object, datetime],
        at: datetime,
    ) -> str | None:
        """Return how a snapshot contradicts frames since the latest one, if it has to be repeated first.

        A newly listed execution explains the difference.
        """
        found: str | None = None
        contradicted = [
            each for each in self._positions.contradicted_levels(position_rows) if not traded & {each[0], None}
        ]
        for each in (*contradicted, *(() if traded else self._balances.contradicted_levels(balance_rows))):
            if self._awaits_repeat(each, contradictions, at):
                found = found or f"the snapshot contradicts the stream about {each[0] or 'the balance'}"
        return found

    def _order_contradiction(
        self, before: Order, order: Order, contradictions: dict[object, datetime], at: datetime
    ) -> str | None:
        """Return how a listed order shows that the snapshot is older than the known state, or None."""
        known = self._tracker.orders.get(order.order_id)
        if (
            known is None
            or is_other_order(known, order)
            or not (has_less_filled(known, order) or is_reopened(known, order))
        ):
            return None
        age = compare_age(before, order, at)
        report = (order.order_id, order.status, order.filled_qty_text)
        if age > 0 or (age == 0 and not self._awaits_repeat(report, contradictions, at)):
            return None
        return f"the snapshot is older than the known state of order {order.order_id}"

    def _awaits_repeat(self, report: object, contradictions: dict[object, datetime], at: datetime) -> bool:
        """Return whether a contradiction has to be repeated first, and note when it first came."""
        first = self._contradictions[report] = contradictions.get(report, at)
        return at - first < REPEAT_AFTER

    def _rename_balance(self, only: str) -> None:
        # Where one of the two names no currency, the known balance is of the listed one.
        known = list(self._balances.items)
        if only != NO_CURRENCY:
            self._balances.rename(NO_CURRENCY, only)
        elif len(known) == 1:
            self._balances.rename(known[0], only)

    def _is_as_listed(self, order: Order) -> bool:
        # An order that is not in the book was evicted, or is history.
        return self._tracker.orders.get(order.order_id, order) == order

    def confirm(self, at: datetime) -> None:
        """Take the latest snapshot once more, if no frame came since it was requested."""
        self.abort_snapshot()
        if self.is_read:
            self.as_of = at
        self._tracker.evict_old(at)

    # Positions and balances -------------------------------------------------------------------------------------------

    def _position_change(self, delta: Delta[Position], cause: Cause) -> Change | None:
        before, after = delta.before, delta.after
        if after is None:
            after = Position(
                account_id=self.account_id,
                symbol=delta.key,
                instrument=None if before is None else before.instrument,
                quantity_text="0",
            )
        # No position in the book has quantity zero, so an unchanged quantity is not zero.
        elif (
            (before is None or after.quantity_text != before.quantity_text)
            and "0" in (after.quantity_text or "")
            and amount(after.quantity_text) == 0
            and delta.key not in self._positions.several
        ):
            del self._positions.items[delta.key]
            if before is None:
                return None
        return PositionChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=before, after=after
        )

    def _balance_change(self, delta: Delta[Balance], cause: Cause) -> Change | None:
        if delta.after is None:
            return None
        return BalanceChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=delta.before, after=delta.after
        )


def _book(  # noqa: PLR0917 - what a copy or a pickle is made of has an order and no names
    account_id: str,
    user_id: str,
    orders: dict[str, Order],
    positions: dict[str, Position],
    balances: dict[str, Balance],
    as_of: datetime | None,
    is_current: bool,  # noqa: FBT001
    problem: str | None,
) -> Book:
    return Book(
        account_id=account_id,
        user_id=user_id,
        orders=MappingProxyType(orders),
        positions=MappingProxyType(positions),
        balances=MappingProxyType(balances),
        as_of=as_of,
        is_current=is_current,
        problem=problem,
    )


def _traded_symbols(order_changes: Iterable[OrderChanged]) -> AbstractSet[str | None]:
    """Return the symbols with new executions in some changes; corrections do not count.

    None is among them where an order does not name its symbol.
    """
    filled = [
        each.after
        for each in order_changes
        if each.fills and (each.before is None or not has_less_filled(each.before, each.after))
    ]
    symbols = {order.symbol for order in filled if order.symbol or not order.legs}
    return symbols | {leg.symbol for order in filled for leg in order.legs}


def _is_other_row(known: Position | Balance, report: Position | Balance) -> bool:
    """Return whether a known item and a frame are two rows of one key: account number or instrument differ."""
    if report.account_number and known.account_number and report.account_number != known.account_number:
        return True
    if isinstance(report, Position) and isinstance(known, Position):
        return bool(report.instrument and known.instrument) and report.instrument != known.instrument
    return False


def _latest_of_each(orders: Sequence[Order]) -> Iterable[Order]:
    """Return orders, oldest first, without those that lost their id to a later one; both may be listed."""
    if len(set(map(ORDER_ID, orders))) == len(orders):
        return orders
    senders = {order.order_id: order.cl_order_id for order in orders}
    return (order for order in orders if not order.cl_order_id or senders[order.order_id] in {order.cl_order_id, None})
