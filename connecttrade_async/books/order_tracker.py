"""Below the waterline: the orders of one account: which are known, which have ended, and which were let go.

The theory of what is true of an order is on top of ``book.py``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from connecttrade_async.books.changes import Cause, OrderChanged
from connecttrade_async.books.fills import NONE_IMPLIED, ImpliedFills, untold_fills
from connecttrade_async.books.merge import (
    age_of,
    amount,
    compare_times,
    corrected,
    event_time,
    execution,
    extent,
    has_ended,
    is_another,
    is_less,
    is_reopened,
    latest_of,
    merge_orders,
)
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.enums import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connecttrade_async.models.orders import Fill, Order

__all__ = ["OrderRetention", "OrderTracker"]

# What reaches a list later than it happened, by the broker's own clock.
LAG = timedelta(hours=1)
MAX_EVICTED = 10_000
# A list that takes back what was known counts when it says so again after this long: caches and replicas of servers
# repeat what is old for a while.
APART = timedelta(seconds=5)
# Replaced orders that are looked back on for executions that a successor repeats.
MOST_REPLACED = 20
# Seconds; a time so long before now that no calendar has it could not be told.
OLDEST = 3650 * 86_400.0


class OrderRetention(msgspec.Struct, frozen=True, kw_only=True):
    """How long orders that have ended stay in a book; whichever bound is met first.

    Attributes:
        count: how many of each account.
        age: seconds since the book learned that they ended; ten years at most.
    """

    count: int = 500
    age: float = 86_400.0

    def __post_init__(self) -> None:
        """Refuse what keeps nothing, and what is no count or no age."""
        count, age = cast("object", self.count), cast("object", self.age)
        is_count = type(count) is int and count >= 1
        is_age = isinstance(age, int | float) and not isinstance(age, bool) and 0 < age <= OLDEST
        if not (is_count and is_age):
            msg = (
                f"orders must be kept for a count of at least 1 and an age in seconds, ten years at most, not {self!r}"
            )
            raise ConfigurationError(msg)


class OrderTracker(msgspec.Struct, gc=False, eq=False):
    """Tracks the orders of one account.

    Attributes:
        account_id: whose.
        user_id: of which user.
        keep: how long orders that have ended stay.
        orders: by ``order_id``: all open ones, and those that ended not long ago.
        horizon: before which an unknown order that has ended is history, aware, by the broker's clock; or None.
        is_in_doubt: whether a report contradicted what is known, since this was last set to False: less was filled, or
            an order that has ended is open.
    """

    account_id: str
    user_id: str
    keep: OrderRetention
    orders: dict[str, Order] = {}
    horizon: datetime | None = None
    is_in_doubt: bool = False
    _ended: dict[str, datetime] = {}
    _evicted: dict[str, tuple[datetime | None, str | None]] = {}
    _implied: dict[str, ImpliedFills] = {}
    # By order: the count and the extent of a report that less was filled than is known, and when it first came.
    _less: dict[str, tuple[object, datetime]] = {}

    def was_evicted(self, order_id: str) -> bool:
        """Say whether an order had ended, was told, and is kept no more."""
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
        """Take what is said of an order, complete but for what nobody knows; return what that changed.

        Args:
            before: the order as it is known, or None.
            order: as it is said to be.
            cause: how it was learned.
            at: when it was learned, aware.
            is_ahead: whether what is known wins where neither is the newer.
            is_whole: whether it is known to lack nothing that the order as it is known has.
        """
        name = order.order_id
        if before is not None and is_another(before, order):
            if _is_earlier(order, before):
                return ()
            self._drop(name)
            before = None
        if before is None:
            if self._is_let_go(order) or self._is_history(order):
                return ()
            after = self._link_successor(order)
        else:
            if self._is_correction(before, order, at, is_ahead=is_ahead or cause == "stream"):
                after = corrected(before, order)
            else:
                after = merge_orders(before, order, at, is_ahead=is_ahead, is_whole=is_whole)
            if after == before:
                return ()
        told = self._implied.get(name, NONE_IMPLIED)
        elsewhere = self._told_elsewhere(after) if after.replaces or after.replaced_by else None
        fills, implied = untold_fills(before, after, told, elsewhere)
        if implied is not told:
            self._implied[name] = implied
        self.orders[name] = after
        change = OrderChanged(
            account_id=self.account_id, user_id=self.user_id, cause=cause, before=before, after=after, fills=fills
        )
        more = self._link_predecessor(after, cause, at) if before is None and after.replaces else ()
        if not has_ended(after):
            self._ended.pop(name, None)  # a correction can take an end back
        elif name not in self._ended:
            self._ended[name] = at
            self.evict_old(at)
        return (change, *more)

    def _is_correction(self, before: Order, order: Order, at: datetime, *, is_ahead: bool) -> bool:
        """Return whether a report of less than is known is the broker's correction: a list says it, and says it again.

        A report that is older by its own time is none, however often it comes.
        """
        name = order.order_id
        is_reduced = is_less(before, order)
        if not is_reduced:
            if self._less:
                self._less.pop(name, None)
            if name not in self._ended:
                return False
        if not (is_reduced or is_reopened(before, order)) or age_of(before, order, at) < 0:
            return False
        if is_reduced:
            said = (amount(order.filled_qty_text), extent(order))
            known = self._less.get(name)
            if known is None or known[0] != said:
                self._less[name] = (said, at)
            elif not is_ahead and at - known[1] >= APART:
                del self._less[name]
                return True
        self.is_in_doubt = True
        return False

    def _is_let_go(self, order: Order) -> bool:
        known = self._evicted.get(order.order_id)
        if known is None:
            return False
        when, sender_id = known
        if not (sender_id and order.cl_order_id) or sender_id == order.cl_order_id:
            return True
        said = event_time(order.updated_at_text) or event_time(order.created_at_text)
        if when is not None and said is not None and said < when:
            return True
        del self._evicted[order.order_id]
        return False

    def _drop(self, name: str) -> None:
        """Drop an order whose id was given to another."""
        del self.orders[name]
        for kept in (self._ended, self._implied, self._less):
            kept.pop(name, None)

    def _told_elsewhere(self, order: Order) -> Callable[[Fill], bool]:
        """Return what says of an execution whether it was delivered with an order that is replaced by, or replaces it.

        Some brokers list the executions of a replaced order once more with its successor.
        """
        relatives = list(self._relatives(order))
        known = {execution(fill) for each in relatives for fill in each.fills} - {None}
        return lambda fill: execution(fill) in known

    def _relatives(self, order: Order) -> Iterator[Order]:
        """Yield the orders of one chain of replacements, without the order itself."""
        met = {order.order_id}
        for step in ("replaces", "replaced_by"):
            name: str | None = getattr(order, step)
            while (
                name and name not in met and len(met) <= MOST_REPLACED and (each := self.orders.get(name)) is not None
            ):
                met.add(name)
                yield each
                name = getattr(each, step)

    def _link_successor(self, order: Order) -> Order:
        """Return a replaced order that is new here with its successor, if that is known already."""
        if order.status is not OrderStatus.REPLACED or order.replaced_by is not None:
            return order
        heir = next((each.order_id for each in self.orders.values() if each.replaces == order.order_id), None)
        return order if heir is None else replace(order, replaced_by=heir)

    def _link_predecessor(self, heir: Order, cause: Cause, at: datetime) -> Sequence[OrderChanged]:
        before = self.orders.get(heir.replaces or "")
        if before is None or before.replaced_by is not None:
            return ()
        return self.merge(before, replace(before, replaced_by=heir.order_id), cause, at)

    def _is_history(self, order: Order) -> bool:
        if self.horizon is None or not has_ended(order):
            return False
        when = event_time(order.updated_at_text) or event_time(order.created_at_text)
        return when is not None and when < self.horizon

    def move_horizon(self, orders: Sequence[Order], at: datetime) -> None:
        """Take note of how far a complete list reaches that came at a time, and forget who was let go before that."""
        latest = latest_of(order.updated_at_text for order in orders)
        # A time that is to come, which is a mistake, would make history of all that happens until then.
        horizon = None if latest is None else min(latest, at) - LAG
        if horizon is not None and (self.horizon is None or horizon > self.horizon):
            self.horizon = horizon
            self._evicted = {name: k for name, k in self._evicted.items() if k[0] is None or k[0] >= self.horizon}

    def evict_old(self, at: datetime) -> None:
        """Let go of orders that ended too long before a time, or are too many."""
        oldest = at - timedelta(seconds=self.keep.age)
        while self._ended:
            name, ended = next(iter(self._ended.items()))
            if len(self._ended) <= self.keep.count and ended >= oldest:
                break
            del self._ended[name]
            self._implied.pop(name, None)
            self._less.pop(name, None)
            order = self.orders.pop(name)
            self._evicted[name] = (event_time(order.updated_at_text), order.cl_order_id)
        while len(self._evicted) > MAX_EVICTED:
            when, _ = self._evicted.pop(next(iter(self._evicted)))
            if when is not None and (self.horizon is None or when > self.horizon):
                self.horizon = min(when, at)


def _is_earlier(order: Order, before: Order) -> bool:
    """Return whether a report is of the order that had this id before, and not of the one that has it now."""
    made = compare_times(order.created_at_text, before.created_at_text)
    return (made or compare_times(order.updated_at_text, before.updated_at_text)) < 0
