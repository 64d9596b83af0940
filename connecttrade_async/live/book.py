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

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from connecttrade_async.live.changes import BalanceChanged, Cause, Change, PositionChanged
from connecttrade_async.live.merging import has_ended, in_doubt, laid_over
from connecttrade_async.live.shelf import Shelf
from connecttrade_async.live.tracker import Tracker
from connecttrade_async.models.balances import Balance  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.models.orders import Order  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.positions import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connecttrade_async.live.shelf import Step
    from connecttrade_async.live.tracker import KeepOrders

__all__ = ["Book", "Bookkeeper", "Listed"]

Update = OrderUpdate | PositionUpdate | BalanceUpdate
NOBODY = ""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """One account at a moment: a value that changes no more.

    Attributes:
        account_id: whose.
        user_id: of which user.
        orders: by ``order_id``: all open ones, and those that ended not long ago.
        positions: by symbol; none of quantity zero.
        balances: by currency, ``""`` where the broker names none.
        as_of: when it was last loaded or changed, aware; None where it never was.
        is_current: whether it is what the server has, but for what is on its way. If not, it is what was last known.
    """

    account_id: str
    user_id: str
    orders: Mapping[str, Order]
    positions: Mapping[str, Position]
    balances: Mapping[str, Balance]
    as_of: datetime | None
    is_current: bool

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
        return _book, (self.account_id, self.user_id, *views, self.as_of, self.is_current)

    def __repr__(self) -> str:
        state = "CURRENT" if self.is_current else "NOT CURRENT"
        return f"<Book {self.account_id} {state} {len(self.positions)} positions {len(self.open_orders)} open orders>"


class Listed(NamedTuple):
    """What a snapshot has of one account.

    Attributes:
        orders: oldest first, those of a window of time; what is not among them is no worse for it.
        positions: all there are.
        balances: all there are.
    """

    orders: Sequence[Order] = ()
    positions: Sequence[Position] = ()
    balances: Sequence[Balance] = ()

    @property
    def is_read(self) -> bool:
        """Whether the account was read at all: a failed read is never an empty account."""
        return bool(self.positions or self.balances)


class Bookkeeper(msgspec.Struct, gc=False, eq=False):
    """Keeps the book of one account, from any source; ``Bookkeeper.of`` makes one.

    Attributes:
        account_id: whose.
        user_id: of which user.
        is_loaded: whether there was a snapshot yet.
        is_read: whether the latest snapshot had the account.
        as_of: when it was last loaded or changed.
        absent_since: when the first of the snapshots came since when none has had the account; None while one has.
        lacks_whole: whether a part was heard of a thing that is not known, since this was last set to False.
        is_settled: whether the orders of the latest snapshot are known just as it had them.
    """

    account_id: str
    user_id: str
    _tracker: Tracker
    _positions: Shelf[Position]
    _balances: Shelf[Balance]
    _heard_since: set[str] | None = None
    is_loaded: bool = False
    is_read: bool = False
    as_of: datetime | None = None
    absent_since: datetime | None = None
    lacks_whole: bool = False
    is_settled: bool = False

    @classmethod
    def of(cls, account_id: str, user_id: str, keep: KeepOrders) -> Self:
        """Return a keeper of an account of which nothing is known yet.

        Args:
            account_id: whose.
            user_id: of which user.
            keep: how long orders that have ended stay.
        """
        return cls(account_id, user_id, Tracker(account_id, user_id, keep), Shelf(), Shelf())

    def order(self, order_id: str) -> Order | None:
        """Return an order, or None where the book does not have it."""
        return self._tracker.orders.get(order_id)

    def was_let_go(self, order_id: str) -> bool:
        """Say whether an order had ended, was told, and is kept no more."""
        return self._tracker.was_let_go(order_id)

    def open_orders(self) -> list[Order]:
        """Return the orders that can still change."""
        return self._tracker.open_orders()

    @property
    def horizon(self) -> datetime | None:
        """Before which an unknown order that has ended is history, aware, by the broker's clock."""
        return self._tracker.horizon

    def book(self, *, is_current: bool) -> Book:
        """Return the book as it is, as a value."""
        orders, positions, balances = self._tracker.orders, self._positions.things, self._balances.things
        views = orders.copy(), positions.copy(), balances.copy()
        return _book(self.account_id, self.user_id, *views, self.as_of, is_current)

    # Frames -----------------------------------------------------------------------------------------------------------

    def apply(self, update: Update, at: datetime) -> Sequence[Change]:
        """Take a frame of this account, heard at a time; return what it changed."""
        self.as_of = at
        kind = type(update)
        if kind is OrderUpdate:
            return self._hear_order(update, at)  # type: ignore[arg-type]
        if kind is PositionUpdate:
            return self._hear_position(update, at)  # type: ignore[arg-type]
        return self._hear_balance(update, at)  # type: ignore[arg-type]

    def _hear_order(self, update: OrderUpdate, at: datetime) -> Sequence[Change]:
        order = update.order
        before = self._tracker.orders.get(order.order_id)
        if self._heard_since is not None:
            self._heard_since.add(order.order_id)
        if before is None and order.status is None:
            self.lacks_whole = self.lacks_whole or not self.was_let_go(order.order_id)
            return ()
        places = None if before is None else in_doubt(before, order)
        if before is not None and places:
            order = laid_over(before, order, update)
        return self._tracker.learn(before, order, "stream", at, is_whole=not places)

    def _hear_position(self, update: PositionUpdate, at: datetime) -> Sequence[Change]:
        position = update.position
        is_part = position.quantity_text is None
        if is_part and position.symbol not in self._positions.things:
            self.lacks_whole = True
        step = self._positions.hear(position.symbol, position, update, at, is_part=is_part)
        change = None if step is None else self._moved(step, "stream")
        return () if change is None else (change,)

    def _hear_balance(self, update: BalanceUpdate, at: datetime) -> Sequence[Change]:
        balance, things = update.balance, self._balances.things
        key = balance.currency or NOBODY
        if key not in things and (key == NOBODY or NOBODY in things) and things:
            # Where one of the two names no currency, it is the one that there is; of several nobody knows which.
            if len(things) > 1:
                self.lacks_whole = True
                return ()
            [key] = things
        step = self._balances.hear(key, balance, update, at)
        change = None if step is None else self._paid(step, "stream")
        return () if change is None else (change,)

    # Snapshots --------------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """A snapshot is being asked for: hold what is heard from now on, to lay it over."""
        self._heard_since = set()
        self._positions.ask()
        self._balances.ask()

    def forget_asking(self) -> None:
        """The snapshot that was asked for will not be loaded."""
        self._heard_since = None
        self._positions.forget_asking()
        self._balances.forget_asking()

    def load(self, listed: Listed, cause: Cause, at: datetime) -> list[Change]:
        """Take a snapshot, complete in all that it claims, answered at a time; return what it changed.

        The orders of an account that was not read are taken; its positions and balances stay.
        """
        changes: list[Change] = []
        heard, self._heard_since = self._heard_since or set(), None
        is_settled = True
        for order in listed.orders:
            before = self._tracker.orders.get(order.order_id)
            if order != before:  # most are as they were
                is_settled = False  # until it is seen what is known now
                changes += self._tracker.learn(before, order, cause, at, is_ahead=order.order_id in heard)
        self.is_loaded, self.is_read = True, listed.is_read
        if listed.is_read:
            positions = {position.symbol: position for position in listed.positions}
            for moved in self._positions.load(positions):
                if (change := self._moved(moved, cause)) is not None:
                    changes.append(change)
            balances = {balance.currency or NOBODY: balance for balance in listed.balances}
            if len(balances) == 1:
                self._rename_balance(*balances)
            for paid in self._balances.load(balances):
                if (change := self._paid(paid, cause)) is not None:
                    changes.append(change)
            self.as_of = at
        else:
            self._positions.forget_asking()
            self._balances.forget_asking()
        self.absent_since = None if listed.is_read else self.absent_since or at
        self._tracker.move_horizon(listed.orders, at)
        self._tracker.let_go_of_the_old(at)
        self.is_settled = is_settled or all(map(self._is_known, listed.orders))
        return changes

    def _rename_balance(self, only: str) -> None:
        # Where one of the two names no currency, what was known is of the one that is listed.
        known = list(self._balances.things)
        if only != NOBODY:
            self._balances.rename(NOBODY, only)
        elif len(known) == 1:
            self._balances.rename(known[0], only)

    def _is_known(self, order: Order) -> bool:
        # One that is not in the book was let go, or is history.
        return self._tracker.orders.get(order.order_id, order) == order

    def confirm(self, at: datetime) -> None:
        """Take the snapshot that was loaded last once more, after no frame since it was asked for."""
        self.forget_asking()
        if self.is_read:
            self.as_of = at
        self._tracker.let_go_of_the_old(at)

    # Positions and balances -------------------------------------------------------------------------------------------

    def _moved(self, step: Step[Position], cause: Cause) -> Change | None:
        before, after = step.before, step.after
        if after is None:
            after = Position(
                account_id=self.account_id,
                symbol=step.key,
                instrument=None if before is None else before.instrument,
                quantity_text="0",
            )
        # No position in the book is of quantity zero, so one of the same quantity is not either.
        elif (before is None or after.quantity_text != before.quantity_text) and _is_nothing(after.quantity_text):
            del self._positions.things[step.key]
            if before is None:
                return None
        return PositionChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=before, after=after
        )

    def _paid(self, step: Step[Balance], cause: Cause) -> Change | None:
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
) -> Book:
    return Book(
        account_id=account_id,
        user_id=user_id,
        orders=MappingProxyType(orders),
        positions=MappingProxyType(positions),
        balances=MappingProxyType(balances),
        as_of=as_of,
        is_current=is_current,
    )


def _is_nothing(quantity: str | None) -> bool:
    return quantity is not None and "0" in quantity and not quantity.strip("+-0.")
