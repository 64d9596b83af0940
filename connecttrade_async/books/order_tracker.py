"""Track the orders of one account: open orders, ended orders, and ended orders that were evicted.

The rules that merge reports of an order are on top of ``book.py``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from connecttrade_async.books.changes import Cause, OrderChanged
from connecttrade_async.books.fills import NONE_IMPLIED, ImpliedFills, unpublished_fills
from connecttrade_async.books.merge import (
    amount,
    apply_correction,
    compare_age,
    compare_times,
    event_time,
    execution_key,
    filled_quantity,
    has_less_filled,
    is_other_order,
    is_reopened,
    latest_of,
    merge_orders,
)
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.orders import has_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connecttrade_async.models.orders import Fill, Order

__all__ = ["OrderRetention", "OrderTracker"]

UPDATED_AT: Callable[[Order], str | None] = attrgetter("updated_at_text")
# How long a change may take to reach a list, by the broker's own clock.
LAG = timedelta(hours=1)
MAX_EVICTED = 10_000
# A list that takes back known state is believed when it repeats that after this time.
# Caches and replicas of servers repeat old answers for a while.
REPEAT_AFTER = timedelta(seconds=5)
# The number of replaced orders that are searched for executions that a successor repeats.
MAX_CHAIN = 20
# The longest age in seconds: a time so long before now is within every calendar.
MAX_AGE = 3650 * 86_400.0


class OrderRetention(msgspec.Struct, frozen=True, kw_only=True):
    """How long orders that have ended stay in a book; whichever bound is met first.

    Attributes:
        count: ended orders of each account, at least 1.
        age: seconds since the book learned that they ended; ten years at most.
    """

    count: int = 500
    age: float = 86_400.0

    def __post_init__(self) -> None:
        """Validate both bounds."""
        count, age = cast("object", self.count), cast("object", self.age)
        is_count = type(count) is int and count >= 1
        is_age = isinstance(age, int | float) and not isinstance(age, bool) and 0 < age <= MAX_AGE
        if not (is_count and is_age):
            msg = f"count must be an integer of at least 1, and age between 0 and ten years in seconds, got {self!r}"
            raise ConfigurationError(msg)


class OrderTracker(msgspec.Struct, gc=False, eq=False):
    """Tracks the orders of one account.

    Attributes:
        account_id: the account.
        user_id: its user.
        keep: how long orders that have ended stay.
        orders: by ``order_id``: all open orders, and those that ended recently.
        horizon: an unknown order that ended before this time is history, aware, by the broker's clock; or None.
        has_contradiction: whether a report contradicted the known state since this was last set to False: less was
            filled, or an order that has ended is open.
    """

    account_id: str
    user_id: str
    keep: OrderRetention
    orders: dict[str, Order] = {}
    horizon: datetime | None = None
    has_contradiction: bool = False
    _ended: dict[str, datetime] = {}
    _evicted: dict[str, tuple[datetime | None, str | None]] = {}
    _implied: dict[str, ImpliedFills] = {}
    # By order: the count and quantity of a report of less filled, and when it first came.
    _reductions: dict[str, tuple[object, datetime]] = {}

    def was_evicted(self, order_id: str) -> bool:
        """Return whether an order ended, was published, and is not kept any more."""
        return order_id in self._evicted

    def open_orders(self) -> list[Order]:
        """Return the orders that can still change."""
        return [order for order_id, order in self.orders.items() if order_id not in self._ended]

    def merge(
        self,
        before: Order | None,
        order: Order,
        cause: Cause,
        at: datetime,
        *,
        is_ahead: bool = False,
        is_whole: bool = False,
    ) -> Sequence[OrderChanged]:
        """Merge a report of an order into the known state; return the changes.

        Args:
            before: the known order, or None.
            order: the reported order, complete but for fields that no report had.
            cause: how the report was learned.
            at: when it was learned, aware.
            is_ahead: whether the known state wins where neither is newer.
            is_whole: whether the report is known to lack no field that the known order has.
        """
        name = order.order_id
        if before is not None and is_other_order(before, order):
            if _is_earlier(order, before):
                return ()
            self._drop(name)
            before = None
        if before is None:
            if self._is_evicted(order) or self._is_history(order):
                return ()
            after = self._link_successor(order)
        else:
            if self._is_correction(before, order, at, is_ahead=is_ahead or cause == "stream"):
                after = apply_correction(before, order)
            else:
                after = merge_orders(before, order, at, is_ahead=is_ahead, is_whole=is_whole)
            if after == before:
                return ()
        implied_before = self._implied.get(name, NONE_IMPLIED)
        is_published_elsewhere = self._published_elsewhere(after) if after.replaces or after.replaced_by else None
        fills, implied = unpublished_fills(before, after, implied_before, is_published_elsewhere)
        if implied is not implied_before:
            self._implied[name] = implied
        self.orders[name] = after
        change = OrderChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=before, after=after, fills=fills
        )
        more = self._link_predecessor(after, cause, at) if before is None and after.replaces else ()
        if not has_ended(after):
            self._ended.pop(name, None)  # a correction can reopen an order
        elif name not in self._ended:
            self._ended[name] = at
            self.evict_old(at)
        return (change, *more)

    def _is_correction(self, before: Order, order: Order, at: datetime, *, is_ahead: bool) -> bool:
        """Return whether a report of less filled is the broker's correction: a list has it, and repeats it later.

        A report that is older by its own time is never a correction.
        """
        name = order.order_id
        is_reduced = has_less_filled(before, order)
        if not is_reduced:
            if self._reductions:
                self._reductions.pop(name, None)
            if name not in self._ended:
                return False
        if not (is_reduced or is_reopened(before, order)) or compare_age(before, order, at) < 0:
            return False
        if is_reduced:
            report = (amount(order.filled_qty_text), filled_quantity(order))
            known = self._reductions.get(name)
            if known is None or known[0] != report:
                self._reductions[name] = (report, at)
            elif not is_ahead and at - known[1] >= REPEAT_AFTER:
                del self._reductions[name]
                return True
        self.has_contradiction = True
        return False

    def _is_evicted(self, order: Order) -> bool:
        known = self._evicted.get(order.order_id)
        if known is None:
            return False
        when, sender_id = known
        if not (sender_id and order.cl_order_id) or sender_id == order.cl_order_id:
            return True
        report = event_time(order.updated_at_text) or event_time(order.created_at_text)
        if when is not None and report is not None and report < when:
            return True
        del self._evicted[order.order_id]
        return False

    def _drop(self, name: str) -> None:
        """Drop an order because its id now belongs to another order."""
        del self.orders[name]
        for kept in (self._ended, self._implied, self._reductions):
            kept.pop(name, None)

    def _published_elsewhere(self, order: Order) -> Callable[[Fill], bool]:
        """Return a test whether an execution was published with a predecessor or successor of an order.

        Some brokers list the executions of a replaced order again with its successor.
        """
        relatives = list(self._relatives(order))
        known = {execution_key(fill) for each in relatives for fill in each.fills} - {None}
        return lambda fill: execution_key(fill) in known

    def _relatives(self, order: Order) -> Iterator[Order]:
        """Yield the other orders of its chain of replacements."""
        met = {order.order_id}
        for step in ("replaces", "replaced_by"):
            name: str | None = getattr(order, step)
            while name and name not in met and len(met) <= MAX_CHAIN and (each := self.orders.get(name)) is not None:
                met.add(name)
                yield each
                name = getattr(each, step)

    def _link_successor(self, order: Order) -> Order:
        """Return a new replaced order with its successor, if that is known already."""
        if order.status is not OrderStatus.REPLACED or order.replaced_by is not None:
            return order
        successor = next((each.order_id for each in self.orders.values() if each.replaces == order.order_id), None)
        return order if successor is None else replace(order, replaced_by=successor)

    def _link_predecessor(self, successor: Order, cause: Cause, at: datetime) -> Sequence[OrderChanged]:
        before = self.orders.get(successor.replaces or "")
        if before is None or before.replaced_by is not None:
            return ()
        return self.merge(before, replace(before, replaced_by=successor.order_id), cause, at)

    def _is_history(self, order: Order) -> bool:
        if self.horizon is None or not has_ended(order):
            return False
        when = event_time(order.updated_at_text) or event_time(order.created_at_text)
        return when is not None and when < self.horizon

    def move_horizon(self, orders: Sequence[Order], at: datetime) -> None:
        """Move the horizon to the latest change in a complete list, and forget evicted orders before it."""
        latest = latest_of(map(UPDATED_AT, orders))
        # A time in the future, which is a mistake, must not make later orders history.
        horizon = None if latest is None else min(latest, at) - LAG
        if horizon is not None and (self.horizon is None or horizon > self.horizon):
            self.horizon = horizon
            self._evicted = {name: k for name, k in self._evicted.items() if k[0] is None or k[0] >= self.horizon}

    def evict_old(self, at: datetime) -> None:
        """Evict ended orders that are beyond the retention at a time."""
        oldest = at - timedelta(seconds=self.keep.age)
        while self._ended:
            name, ended = next(iter(self._ended.items()))
            if len(self._ended) <= self.keep.count and ended >= oldest:
                break
            del self._ended[name]
            self._implied.pop(name, None)
            self._reductions.pop(name, None)
            order = self.orders.pop(name)
            self._evicted[name] = (event_time(order.updated_at_text), order.cl_order_id)
        while len(self._evicted) > MAX_EVICTED:
            when, _ = self._evicted.pop(next(iter(self._evicted)))
            if when is not None and (self.horizon is None or when > self.horizon):
                self.horizon = min(when, at)


def _is_earlier(order: Order, before: Order) -> bool:
    """Return whether a report is of the order that had this id before, not of the one that has it now."""
    made = compare_times(order.created_at_text, before.created_at_text)
    return (made or compare_times(order.updated_at_text, before.updated_at_text)) < 0
