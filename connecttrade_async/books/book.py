"""Below the waterline: positions, orders and balances of one account: load, apply, what changed.

The theory. Two sources tell of one account, and neither numbers what it says. A *snapshot* is the whole truth at some
moment between the asking and the answer, nobody knows which. *Frames* are news: each tells of one thing, those of one
account in the order in which it happened. What is true is found without numbers, by what the things are:

Orders only go forward. Of two sayings of an order the one with the later ``updated_at`` is what it is now, and some of
it can never be taken back by either: an order that has ended stays ended, what was filled stays filled, a fill that was
listed stays listed, and an order that was replaced keeps pointing to its successor. A fill is known
by its id, and where one of the two sayings has none, by its time, quantity and price. Where the times do not decide,
the more advanced saying wins; where that does not either, the later to be heard. So a frame and a snapshot can be taken
in any order, or twice, and the book comes out the same.

Positions and balances go up and down, and their snapshot has no time. But whatever was heard *before* a snapshot was
asked for is in it; and whatever was heard *since* may be newer than it, and if it is not, what made the snapshot newer
is still on its way as a frame. So a snapshot overrules what was heard before it was asked for, and what was heard since
is laid over it. That is what is held while a snapshot is under way: what the frames carried, one entry a thing, bounded
as the book is. Nothing waits for the snapshot: a frame is applied and told at once. A frame with an earlier time than
the last one of the same thing is out of order, and is dropped.

A snapshot may come from a server that is behind the stream. It proves that by what it has of an order: less filled than
known, or open where the order has ended, and no later ``updated_at``. It is suspect where it gives a position or a
balance the very level of the snapshot before, against what frames told since, and lists no execution that is news. Such
a snapshot does not count: positions and balances stay, the account is not current, and another snapshot is wanted. A
list that has no older time and says the same again five seconds later is believed. So a correction or a bust is: then
the order is what the list has, and what it takes back is told as executions of the opposite sign.

A symbol or a currency may have several rows. They are added up, and equal rows are one. A frame of one of them does not
say which it is about, so it is not applied, and a snapshot is wanted.

A time that is to come, by more than five minutes, is a mistake of somebody's, and must not overrule all that is said
until then. So against one that is not to come it decides nothing, and the rest does: how far an order is, and then what
is heard last. Where it is our own clock that is slow, the times of what happens are all to come, and are compared as
ever; only a frame that is late by more than that is not seen to be. Where it is fast, a mistake is seen later.

A frame may carry a part of a thing. What it carries is laid over what is known, null included; what it does not carry
stays. A part of a thing that is not known, an order without a status or a position without a quantity, is not taken for
the thing: the book does not have it, and is not current, until a snapshot tells the whole.

What a complete list does not have: a position is closed, and that is told before it is forgotten. An order is *not*
gone: brokers list orders for a while, and not at once, so an absent order stays as it was last known, whatever that is.
An account of which the answer has neither a balance nor a position was not read; its book stays, and is not current.
Only Connect Trade's own list of what its user has linked can say that there is no such account (``linked.py``).
A balance that names no currency is of the one currency that there is; of several, it is a part of a thing not known.

A snapshot whose answers are the same, to the last byte, as those that the book was last loaded from says nothing, if no
frame of its user was heard since these were asked for, and the book was *settled* by them: it has each order as it was
listed, or let go of it, or never had it. For its positions and balances are the listed ones then, too, and to load what
is there already changes nothing. So such answers need not be read, and nothing is compared: only the time moves on.
Orders that are the same may be left out by themselves, for what is not among them is no worse for it; positions and
balances only together, since without either an account was not read.

An order that has ended is told, and then kept for a while, by count and by age. Which ones were let go is remembered
until they can no longer be taken for new ones: an order that is unknown, has ended, and last changed well before the
latest change that an earlier snapshot knew, is history and no news. That horizon is in the broker's time, and never
after our own, so neither a clock of ours that is wrong nor a time of theirs that is to come hides anything.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, Self

import msgspec

from connecttrade_async.books.changes import BalanceChanged, Cause, Change, OrderChanged, PositionChanged
from connecttrade_async.books.keyed_state import Delta, KeyedState, Rows, rows_by_key
from connecttrade_async.books.merge import (
    age_of,
    amount,
    apply_partial,
    has_ended,
    is_another,
    is_less,
    is_reopened,
    missing_fields,
)
from connecttrade_async.books.order_tracker import APART, OrderRetention, OrderTracker
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position

__all__ = ["AccountSnapshot", "Book", "BookKeeper"]

Update = OrderUpdate | PositionUpdate | BalanceUpdate
NOBODY = ""
ORDER_ID = attrgetter("order_id")


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One account at a moment: a value that changes no more.

    Attributes:
        account_id: whose.
        user_id: of which user.
        orders: by ``order_id``: all open ones, and those that ended not long ago.
        positions: by symbol; none of quantity zero. Several different rows of one symbol (lots, cash and margin) are
            one position: numbers are added up, the average price is the mean, and what the rows disagree on is None.
            If such rows add up to zero, long and short, the position stays.
        balances: by currency, ``""`` where the broker names none; several rows of one currency are added up.
        as_of: when it was last loaded or changed, aware; None where it never was.
        is_current: whether it is what the server has, but for what is on its way. If not, it is what was last known.
        problem: why the latest snapshot could not be taken as it was, so that the book is not current; None where it
            could. A row without a symbol or an order id, for example, is not in the book.
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
        """The balance; of several currencies the first that was listed; None where the broker lists none."""
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
    """What a snapshot has of one account.

    Attributes:
        orders: oldest first, those of a window of time; what is not among them is no worse for it.
        positions: all there are.
        balances: all there are.
        problem: what of the answers cannot be in a book, such as a row without a symbol; None where there is nothing.
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
    """Keeps the book of one account, from any source; ``BookKeeper.of`` makes one.

    Attributes:
        account_id: whose.
        user_id: of which user.
        is_loaded: whether there was a snapshot yet.
        is_read: whether the latest snapshot had the account.
        as_of: when it was last loaded or changed.
        absent_since: when the first of the snapshots came since when none has had the account; None while one has.
        lacks_whole: whether only another snapshot can say what is true, since this was last set to False: a part was
            heard of a thing that is not known, or reports contradict each other.
        is_settled: whether the orders of the latest snapshot are known just as it had them, and all of it was taken.
        problem: why the latest snapshot was not taken as it was; see ``Book``.
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
    # What snapshots took back that was known, by what they say instead, and when they first said so.
    _suspicions: dict[object, datetime] = {}

    @classmethod
    def of(cls, account_id: str, user_id: str, keep: OrderRetention) -> Self:
        """Return a keeper of an account of which nothing is known yet.

        Args:
            account_id: whose.
            user_id: of which user.
            keep: how long orders that have ended stay.
        """
        tracker = OrderTracker(account_id, user_id, keep)
        return cls(account_id, user_id, tracker, KeyedState("quantity_text"), KeyedState("cash_text"))

    def order(self, order_id: str) -> Order | None:
        """Return an order, or None where the book does not have it."""
        return self._tracker.orders.get(order_id)

    def was_evicted(self, order_id: str) -> bool:
        """Say whether an order had ended, was told, and is kept no more."""
        return self._tracker.was_evicted(order_id)

    def open_orders(self) -> list[Order]:
        """Return the orders that can still change."""
        return self._tracker.open_orders()

    @property
    def horizon(self) -> datetime | None:
        """Before which an unknown order that has ended is history, aware, by the broker's clock."""
        return self._tracker.horizon

    def book(self, *, is_current: bool) -> Book:
        """Return the book as it is, as a value."""
        orders, positions, balances = self._tracker.orders, self._positions.items, self._balances.items
        views = orders.copy(), positions.copy(), balances.copy()
        return _book(self.account_id, self.user_id, *views, self.as_of, is_current, self.problem)

    # Frames -----------------------------------------------------------------------------------------------------------

    def apply(self, update: Update, at: datetime) -> Sequence[Change]:
        """Take a frame of this account, heard at a time; return what it changed."""
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
        is_new = before is None or is_another(before, order)
        if is_new and order.status is None:
            self.lacks_whole = self.lacks_whole or not self.was_evicted(order.order_id)
            return ()
        places = None if before is None or is_new else missing_fields(before, order)
        if before is not None and places:
            order = apply_partial(before, order, update)
        changes = self._tracker.merge(before, order, "stream", at, is_whole=not places)
        if self._tracker.is_in_doubt:
            self._tracker.is_in_doubt, self.lacks_whole = False, True
        return changes

    def _apply_position(self, update: PositionUpdate, at: datetime) -> Sequence[Change]:
        position, symbol, known = update.position, update.position.symbol, self._positions.items
        before = known.get(symbol) if symbol else None
        if not symbol or symbol in self._positions.several or (before is not None and _is_other_row(before, position)):
            # Which of the rows it is about, or of which symbol, only a snapshot can say.
            self.lacks_whole = True
            return ()
        is_part = position.quantity_text is None
        if is_part and before is None:
            self.lacks_whole = True
        step = self._positions.apply(symbol, position, update, at, is_part=is_part)
        change = None if step is None else self._moved(step, "stream")
        return () if change is None else (change,)

    def _apply_balance(self, update: BalanceUpdate, at: datetime) -> Sequence[Change]:
        balance, things = update.balance, self._balances.items
        key = balance.currency or NOBODY
        if key not in things and (key == NOBODY or NOBODY in things) and things:
            # Where one of the two names no currency, it is the one that there is; of several nobody knows which.
            if len(things) > 1:
                self.lacks_whole = True
                return ()
            [key] = things
        before = things.get(key)
        if key in self._balances.several or (before is not None and _is_other_row(before, balance)):
            self.lacks_whole = True
            return ()
        step = self._balances.apply(key, balance, update, at)
        change = None if step is None else self._paid(step, "stream")
        return () if change is None else (change,)

    # Snapshots --------------------------------------------------------------------------------------------------------

    def begin_snapshot(self) -> None:
        """A snapshot is being asked for: hold what is heard from now on, to lay it over."""
        self._updated_since = set()
        self._positions.begin_snapshot()
        self._balances.begin_snapshot()

    def abort_snapshot(self) -> None:
        """The snapshot that was asked for will not be loaded."""
        self._updated_since = None
        self._positions.abort_snapshot()
        self._balances.abort_snapshot()

    def load(self, listed: AccountSnapshot, cause: Cause, at: datetime) -> list[Change]:
        """Take a snapshot, complete in all that it claims, answered at a time; return what it changed.

        The orders of an account that was not read are taken; its positions and balances stay. So they do where the
        snapshot proves to be older than what is known: then the account has a ``problem`` and ``lacks_whole``.
        """
        suspicions, self._suspicions = self._suspicions, {}
        moves, is_settled, doubt = self._load_orders(listed.orders, suspicions, cause, at)
        changes: list[Change] = [*moves]
        self.is_loaded, self.is_read = True, listed.is_read
        if listed.is_read:
            rows = rows_by_key(
                [each.symbol or "" for each in listed.positions], listed.positions, self._positions.level
            )
            money = rows_by_key(
                [each.currency or NOBODY for each in listed.balances], listed.balances, self._balances.level
            )
            if len(money.things) == 1:
                self._rename_balance(*money.things)
            doubt = doubt or self._taken_back(rows, money, _traded(moves), suspicions, at)
            if doubt is None:
                doubt = self._one_of_several(rows, money)
                # A row without a symbol or an account may be of what is not listed.
                changes += self._load_levels(rows, money, cause, is_complete=listed.problem is None)
                self.as_of = at
            else:
                self._positions.set_aside(rows)
                self._balances.set_aside(money)
        self._positions.abort_snapshot()
        self._balances.abort_snapshot()
        self.absent_since = None if listed.is_read else self.absent_since or at
        self._tracker.move_horizon(listed.orders, at)
        self._tracker.evict_old(at)
        if doubt is None and self._tracker.is_in_doubt:
            doubt = "orders are listed with less filled, or open again"
        self._tracker.is_in_doubt = False
        self.problem = listed.problem or doubt
        self.lacks_whole = self.lacks_whole or doubt is not None
        self.is_settled = self.problem is None and (is_settled or all(map(self._is_known, listed.orders)))
        return changes

    def _load_orders(
        self, orders: Sequence[Order], suspicions: dict[object, datetime], cause: Cause, at: datetime
    ) -> tuple[Sequence[OrderChanged], bool, str | None]:
        """Take listed orders; return what changed, whether all were known, and how they prove to be older."""
        changes: list[OrderChanged] = []
        heard, self._updated_since = self._updated_since or set(), None
        is_settled, doubt = True, None
        self._tracker.is_in_doubt = False
        for order in _latest_of_each(orders):
            before = self._tracker.orders.get(order.order_id)
            if order != before:  # most are as they were
                is_settled = False  # until it is seen what is known now
                is_ahead = order.order_id in heard
                changes += self._tracker.merge(before, order, cause, at, is_ahead=is_ahead)
                if before is not None and not is_ahead:
                    doubt = self._contradiction(before, order, suspicions, at) or doubt
        return changes, is_settled, doubt

    def _load_levels(
        self, rows: Rows[Position], money: Rows[Balance], cause: Cause, *, is_complete: bool
    ) -> Iterator[Change]:
        for moved in self._positions.load(rows, is_complete=is_complete):
            if (change := self._moved(moved, cause)) is not None:
                yield change
        for paid in self._balances.load(money, is_complete=is_complete):
            if (change := self._paid(paid, cause)) is not None:
                yield change

    def _one_of_several(self, rows: Rows[Position], money: Rows[Balance]) -> str | None:
        key = self._positions.heard_one_of_several(rows) or self._balances.heard_one_of_several(money)
        return None if key is None else f"{key} has several rows, and a frame told of one of them"

    def _taken_back(
        self,
        rows: Rows[Position],
        money: Rows[Balance],
        traded: AbstractSet[str | None],
        suspicions: dict[object, datetime],
        at: datetime,
    ) -> str | None:
        """Return what of the news since the latest snapshot this one takes back, if it is to be said again first.

        Where it lists an execution that is news, that explains it.
        """
        found: str | None = None
        back = [each for each in self._positions.taken_back(rows) if not traded & {each[0], None}]
        for each in (*back, *(() if traded else self._balances.taken_back(money))):
            if self._is_suspect(each, suspicions, at):
                found = found or f"the snapshot takes back what the stream told of {each[0] or 'the balance'}"
        return found

    def _contradiction(
        self, before: Order, order: Order, suspicions: dict[object, datetime], at: datetime
    ) -> str | None:
        """Return how a listed order shows that the snapshot is older than what is known; None where it does not."""
        known = self._tracker.orders.get(order.order_id)
        if known is None or is_another(known, order) or not (is_less(known, order) or is_reopened(known, order)):
            return None
        age = age_of(before, order, at)
        said = (order.order_id, order.status, order.filled_qty_text)
        if age > 0 or (age == 0 and not self._is_suspect(said, suspicions, at)):
            return None
        return f"the snapshot is older than what is known of order {order.order_id}"

    def _is_suspect(self, said: object, suspicions: dict[object, datetime], at: datetime) -> bool:
        """Return whether what a snapshot takes back is to be said again first, and take note of when it was said."""
        first = self._suspicions[said] = suspicions.get(said, at)
        return at - first < APART

    def _rename_balance(self, only: str) -> None:
        # Where one of the two names no currency, what was known is of the one that is listed.
        known = list(self._balances.items)
        if only != NOBODY:
            self._balances.rename(NOBODY, only)
        elif len(known) == 1:
            self._balances.rename(known[0], only)

    def _is_known(self, order: Order) -> bool:
        # One that is not in the book was let go, or is history.
        return self._tracker.orders.get(order.order_id, order) == order

    def confirm(self, at: datetime) -> None:
        """Take the snapshot that was loaded last once more, after no frame since it was asked for."""
        self.abort_snapshot()
        if self.is_read:
            self.as_of = at
        self._tracker.evict_old(at)

    # Positions and balances -------------------------------------------------------------------------------------------

    def _moved(self, step: Delta[Position], cause: Cause) -> Change | None:
        before, after = step.before, step.after
        if after is None:
            after = Position(
                account_id=self.account_id,
                symbol=step.key,
                instrument=None if before is None else before.instrument,
                quantity_text="0",
            )
        # No position in the book is of quantity zero, so one of the same quantity is not either.
        elif (
            (before is None or after.quantity_text != before.quantity_text)
            and _is_nothing(after.quantity_text)
            and step.key not in self._positions.several
        ):
            del self._positions.items[step.key]
            if before is None:
                return None
        return PositionChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=before, after=after
        )

    def _paid(self, step: Delta[Balance], cause: Cause) -> Change | None:
        if step.after is None:
            return None
        return BalanceChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=step.before, after=step.after
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


def _traded(moves: Iterable[OrderChanged]) -> AbstractSet[str | None]:
    """Return the symbols of which some changes have executions that are news, and no corrections.

    None is among them where an order does not say what it trades.
    """
    news = [
        each.after for each in moves if each.fills and (each.before is None or not is_less(each.before, each.after))
    ]
    symbols = {order.symbol for order in news if order.symbol or not order.legs}
    return symbols | {leg.symbol for order in news for leg in order.legs}


def _is_nothing(quantity: str | None) -> bool:
    return quantity is not None and "0" in quantity and amount(quantity) == 0


def _is_other_row(known: Position | Balance, said: Position | Balance) -> bool:
    """Return whether what is known and what a frame says are two rows of one key: they differ in what a row keeps."""
    if said.account_number and known.account_number and said.account_number != known.account_number:
        return True
    if isinstance(said, Position) and isinstance(known, Position):
        return bool(said.instrument and known.instrument) and said.instrument != known.instrument
    return False


def _latest_of_each(orders: Sequence[Order]) -> Iterable[Order]:
    """Return orders, oldest first, without those whose id was given to a later one; both may be listed."""
    if len(set(map(ORDER_ID, orders))) == len(orders):
        return orders
    senders = {order.order_id: order.cl_order_id for order in orders}
    return (order for order in orders if not order.cl_order_id or senders[order.order_id] in {order.cl_order_id, None})
