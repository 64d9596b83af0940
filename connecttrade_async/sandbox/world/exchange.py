"""The exchange: places, replaces, cancels and executes orders.

A requested change is seen at once as a pending one and takes effect a latency later, so a fill may win
the race against it, as it does in life. `Exchange.bring_up` lets everything happen that is due, each at its own time.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from connecttrade_async.sandbox.errors import BadRequestError, ConflictError
from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.event_log import OrderLog
from connecttrade_async.sandbox.world.execution import Execution
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.open_orders import OpenOrders
from connecttrade_async.sandbox.world.orders import Order, Ticket, check_ticket
from connecttrade_async.sandbox.world.risk_checks import find_reason, weigh
from connecttrade_async.sandbox.world.seeded import IdGenerator
from connecttrade_async.sandbox.world.working_order import WorkingOrder

__all__ = ["Exchange"]

_LATENCY = timedelta(milliseconds=20)


class Exchange:
    """Every order that was placed.

    Args:
        market: where they trade.
        serials: where ids come from.

    Attributes:
        journal: what happened to orders that were placed here.
    """

    def __init__(self, market: Market, serials: IdGenerator) -> None:
        self.journal = OrderLog()
        self._market = market
        self._serials = serials
        self._names: set[tuple[date, str]] = set()
        self._execution = Execution(market, self.journal, _LATENCY)
        self._roster = OpenOrders(market, self._execution)

    @property
    def latency(self) -> timedelta:
        """How long it takes until an order is accepted, and each thing after that; what is planned stays planned."""
        return self._execution.latency

    @latency.setter
    def latency(self, latency: timedelta) -> None:
        self._execution.latency = latency

    # What is asked for ------------------------------------------------------------------------------------------------

    def place(self, account: Account, ticket: Ticket, now: datetime) -> Order:
        """Take an order in: ``pending``, or ``rejected`` with its reason.

        Raises:
            BadRequestError: the ticket makes no sense.
            ConflictError: an order of this cl_order_id was placed today, by UTC.
        """
        check_ticket(ticket, account.broker)
        self._claim(ticket.cl_order_id, now)
        return self._take_in(account, self._written(account, ticket, now), now).order

    def replace(self, account: Account, order_id: str, ticket: Ticket, now: datetime) -> Order:
        """Ask for another order in the place of one; what comes back is the successor.

        Args:
            account: the account of the order.
            order_id: the order to be replaced.
            ticket: what is wanted instead. Its quantity counts what the old order has filled already.
            now: the present moment.

        Raises:
            BadRequestError: the order is closed or on its way to be, or what is wanted makes no sense.
            ConflictError: an order of this cl_order_id was placed today, by UTC.
            UnknownError: the account has no such order.
        """
        old = self._leaving(account, order_id)
        check_ticket(ticket, account.broker)
        left = None if ticket.order_qty is None else ticket.order_qty - old.order.filled_qty
        if left is not None and left <= 0:
            raise BadRequestError(f"order_qty must be more than the {old.order.filled_qty} that are filled already.")
        self._claim(ticket.cl_order_id, now)
        successor = self._written(account, replace(ticket, order_qty=left), now, replaces=order_id)
        new = self._take_in(account, successor, now, old)
        if new.order.is_open:
            new.total = ticket.order_qty
            self._roster.begin_leaving(old, now, self.latency, new)
        return new.order

    def cancel(self, account: Account, order_id: str, now: datetime) -> Order:
        """Ask for an order to be cancelled; asking twice is asking once.

        Raises:
            BadRequestError: the order is closed, or is being replaced.
            UnknownError: the account has no such order.
        """
        order = account.order(order_id)
        if order.status == "pending_cancel":
            return order
        working = self._leaving(account, order_id)
        self._roster.begin_leaving(working, now, self.latency, None)
        return working.order

    def reserved(self, account: Account) -> Decimal:
        """The initial margin that an account's orders at work will need, in dollars."""
        return sum((working.margin for working in self._roster.of(account)), Decimal(0))

    # What happens -----------------------------------------------------------------------------------------------------

    @property
    def due(self) -> datetime | None:
        """Return when the next event is due without further requests, or None."""
        return self._roster.due

    def bring_up(self, now: datetime) -> None:
        """Let everything happen that is due by now, each at its own time; once more changes nothing."""
        self._roster.bring_up(now)

    def reschedule(self, now: datetime) -> None:
        """Schedule all orders again: prices or halts were changed by hand at this moment."""
        self._roster.reschedule(now)
        self.journal.bell()

    def fill(
        self,
        account: Account,
        order_id: str,
        now: datetime,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
    ) -> Order:
        """Let an open order trade by hand, whatever the market does.

        Raises:
            BadRequestError: it is closed, or has less left, or a spread was given a price.
            UnknownError: the account has no such order.
        """
        working = self._at_work(account, order_id)
        self._execution.fill_by_hand(working, now, quantity, price)
        self._roster.follow(working, now)
        return working.order

    def reject(self, account: Account, order_id: str, now: datetime, reason: str) -> Order:
        """Let the broker turn down an order that has not traded.

        Raises:
            BadRequestError: it is closed.
            ConflictError: it has traded.
            UnknownError: the account has no such order.
        """
        working = self._at_work(account, order_id)
        self._execution.become(working, "rejected", now, reason=reason)
        self._roster.follow(working, now)
        return working.order

    # Orders coming in and leaving -------------------------------------------------------------------------------------

    def _claim(self, cl_order_id: str, now: datetime) -> None:
        name = (now.date(), cl_order_id)
        if name in self._names:
            raise ConflictError(f"There is already an order with the cl_order_id {cl_order_id!r} today.")
        self._names.add(name)

    def _written(self, account: Account, ticket: Ticket, now: datetime, replaces: str | None = None) -> Order:
        return Order(
            order_id=str(UUID(self._serials.draw("placed", account.account_id)[:32], version=4)),
            cl_order_id=ticket.cl_order_id,
            account_id=account.account_id,
            broker=account.broker.code,
            side=ticket.side,
            order_type=ticket.order_type,
            order_tif=ticket.order_tif,
            symbol=ticket.symbol,
            instrument=ticket.instrument,
            status="pending",
            broker_status=account.broker.words["pending"],
            created_at=now,
            updated_at=now,
            order_qty=ticket.order_qty,
            order_notional=ticket.order_notional,
            order_limit_price=ticket.order_limit_price,
            stop_price=ticket.stop_price,
            legs=ticket.legs,
            replaces=replaces,
        )

    def _take_in(self, account: Account, order: Order, now: datetime, old: WorkingOrder | None = None) -> WorkingOrder:
        """Let an order be one at work, or turn it down; the order that it replaces does not count against it."""
        account.enter(order)
        self.journal.note(now, order, 0)
        others = [other for other in self._roster.of(account) if other is not old and other.successor is None]
        working = self._roster.take(account, order)
        weigh(working, self._market, now)
        reason = find_reason(working, self._market, now, others)
        if reason is not None:
            self._execution.become(working, "rejected", now, reason=reason)
        self._roster.follow(working, now)
        return working

    def _leaving(self, account: Account, order_id: str) -> WorkingOrder:
        """The order at work, if it may be asked to leave."""
        working = self._at_work(account, order_id)
        if working.order.status == "pending_cancel":
            raise BadRequestError(f"Order {order_id} is being cancelled.")
        if working.order.status == "pending_replace":
            by = "another" if working.successor is None else working.successor.order_id
            raise BadRequestError(f"Order {order_id} is being replaced by {by}.")
        return working

    def _at_work(self, account: Account, order_id: str) -> WorkingOrder:
        """The order at work; one that was written into the books by hand is idle: the market leaves it alone."""
        order = account.order(order_id)
        if not order.is_open:
            raise BadRequestError(f"Order {order_id} is already {order.status}.")
        return self._roster.find(account, order_id) or self._roster.take(account, order, is_idle=True)
