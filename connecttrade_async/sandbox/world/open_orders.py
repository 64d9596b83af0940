"""The world's roster: every order at work, and the agenda of what happens to them next.

One plan at a time stands for each order; whatever changes the order makes another. Of two things at one moment the one
that concerns the older order happens first.
"""

import heapq
from datetime import datetime, timedelta

from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.execution import Execution
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.order_lifecycle import NextEvent, next_step
from connecttrade_async.sandbox.world.orders import Order
from connecttrade_async.sandbox.world.working_order import WorkingOrder

__all__ = ["OpenOrders"]


class OpenOrders:
    """Keeps orders at work, and lets happen to them what is due.

    Args:
        market: where they trade.
        execution: what changes them.
    """

    def __init__(self, market: Market, execution: Execution) -> None:
        self._market = market
        self._execution = execution
        self._working: dict[str, dict[str, WorkingOrder]] = {}
        self._agenda: list[tuple[datetime, int, int, str, WorkingOrder]] = []
        self._taken = 0

    @property
    def due(self) -> datetime | None:
        """When something happens next by what is planned, None if nothing is."""
        while self._agenda and self._agenda[0][2] != self._agenda[0][4].version:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else None

    def of(self, account: Account) -> tuple[WorkingOrder, ...]:
        """An account's orders at work, oldest first."""
        return tuple(self._working.get(account.account_id, {}).values())

    def find(self, account: Account, order_id: str) -> WorkingOrder | None:
        """One order at work, None if it is not."""
        return self._working.get(account.account_id, {}).get(order_id)

    def take(self, account: Account, order: Order, *, is_idle: bool = False) -> WorkingOrder:
        """Set an order to work; the market leaves an idle one alone."""
        self._taken += 1
        working = WorkingOrder(
            account=account,
            order_id=order.order_id,
            serial=self._taken,
            created_at=order.created_at,
            is_idle=is_idle,
            accepted_at=order.created_at if is_idle else None,
            ready_at=order.created_at,
            looked_to=order.created_at,
        )
        self._working.setdefault(account.account_id, {})[order.order_id] = working
        return working

    def begin_leaving(
        self, working: WorkingOrder, now: datetime, latency: timedelta, successor: WorkingOrder | None
    ) -> None:
        """Let an order be on its way out, to make room for another or for none."""
        working.leaves_at, working.successor = now + latency, successor
        self._execution.become(working, "pending_cancel" if successor is None else "pending_replace", now)
        self._plan(working)

    def bring_up(self, now: datetime) -> None:
        """Let everything happen that is due by now, each at its own time; once more changes nothing."""
        while self._agenda and self._agenda[0][0] <= now:
            at, _, version, kind, working = heapq.heappop(self._agenda)
            if version == working.version:
                self._happen(NextEvent(at, kind), working)

    def reschedule(self, now: datetime) -> None:
        """Schedule all orders again: prices or halts were changed by hand at this moment."""
        for working in [working for orders in self._working.values() for working in orders.values()]:
            working.looked_to = max(working.looked_to, now)
            self._plan(working)

    def follow(self, working: WorkingOrder, at: datetime) -> None:
        """Plan what comes next; for a closed order nothing more, and for what should have followed it neither."""
        if working.order.is_open:
            self._plan(working)
            return
        self._working[working.account.account_id].pop(working.order_id, None)
        working.version += 1
        if working.successor is not None:
            self._refuse(working.successor, working.order, at)

    def _happen(self, step: NextEvent, working: WorkingOrder) -> None:
        if step.kind == "leave" and working.successor is not None:
            self._succeed(working, working.successor, step.at)
        else:
            self._execution.happen(step, working)
            self.follow(working, step.at)

    def _succeed(self, old: WorkingOrder, new: WorkingOrder, at: datetime) -> None:
        """Let one order take another's place, unless the other has filled what was wanted of both, or it is gone."""
        filled = old.order.filled_qty
        old.leaves_at = old.successor = None
        if not new.order.is_open or (new.total is not None and new.total <= filled):
            self._execution.become(old, "partially_filled" if filled else "working", at)
            self._refuse(new, old.order, at)
        else:
            self._execution.become(old, "replaced", at, by=new.order_id)
            self._execution.accept(new, at, None if new.total is None else new.total - filled)
            self.follow(new, at)
        self.follow(old, at)

    def _refuse(self, new: WorkingOrder, old: Order, at: datetime) -> None:
        if new.order.is_open:
            word = old.status.replace("_", " ")
            self._execution.become(new, "rejected", at, reason=f"Too late to replace: order {old.order_id} is {word}.")
        self.follow(new, at)

    def _plan(self, working: WorkingOrder) -> None:
        working.version += 1
        step = next_step(working, self._market, self._execution.latency)
        if step is not None:
            heapq.heappush(self._agenda, (step.at, working.serial, working.version, step.kind, working))
