"""The sandbox's paper broker: a hand on the market, so that a test decides what trades, when, and at what price.

Whatever is done here is done at the present moment of the sandbox's clock, after everything that is due by then.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from connecttrade_async.sandbox.arithmetic import with_arithmetic
from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.world import Order, Quote, World

__all__ = ["PaperBroker"]

_LONGEST = 3600


class PaperBroker:
    """What a test may do to the market and to the orders in it."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    def __repr__(self) -> str:
        market = self._world.market
        halted = "all" if market.halted is None else len(market.halted)
        return f"<PaperBroker {market.hours.keeping} hours, {len(market.pins)} prices pinned, {halted} halted>"

    @property
    def hours(self) -> str:
        """``open`` or ``real``."""
        return self._world.market.hours.keeping

    @property
    def latency(self) -> float:
        """Seconds until an order is accepted, and for each thing after that. What is planned already stays planned.

        Raises:
            ValueError: it is set to less than nothing, or to more than an hour.
        """
        return self._world.floor.latency.total_seconds()

    @latency.setter
    def latency(self, seconds: float) -> None:
        if not 0 <= seconds <= _LONGEST:
            raise ValueError(f"latency must be a number of seconds from 0 to {_LONGEST}, not {seconds}")
        self._world.floor.latency = timedelta(seconds=seconds)

    @property
    def pins(self) -> dict[str, Decimal]:
        """The prices that were set."""
        return self._world.market.pins

    @property
    def halted(self) -> tuple[str, ...] | None:
        """The symbols that are halted; None when everything is."""
        return self._world.market.halted

    @with_arithmetic
    def order(self, order_id: str) -> Order:
        """An order as it is at this moment.

        Raises:
            RefusalError: there is none of this id.
        """
        self._now()
        return self._world.books.holder(order_id).order(order_id)

    @with_arithmetic
    def orders(self, account_id: str) -> list[Order]:
        """The orders of an account as they are at this moment, oldest first.

        Raises:
            RefusalError: there is no such account.
        """
        self._now()
        return self._world.books.account(account_id).orders

    @with_arithmetic
    def quote(self, symbol: str) -> Quote:
        """Bid, ask and last price of a symbol at this moment."""
        return self._world.market.quote(symbol, self._now())

    @with_arithmetic
    def set_price(self, symbol: str, price: Decimal | str | int) -> None:
        """Pin a symbol's last price until `free_price`. An option's follows its root's.

        Raises:
            RefusalError: the price is not above zero, or no number.
        """
        number = Decimal(price)
        if not number.is_finite() or number <= 0:
            raise BadRequestError("price must be a number above 0.")
        self._pin(symbol, number)

    @with_arithmetic
    def free_price(self, symbol: str) -> None:
        """Let a symbol's price walk again, from where it would be by now."""
        self._pin(symbol, None)

    @with_arithmetic
    def halt(self, symbol: str | None = None) -> None:
        """Let nothing trade in a symbol, or in none at all: orders are taken and work, and that is all."""
        now = self._now()
        self._world.market.halt(symbol)
        self._world.floor.reschedule(now)

    @with_arithmetic
    def resume(self, symbol: str | None = None) -> None:
        """Let a symbol trade again, or all of them."""
        now = self._now()
        self._world.market.resume(symbol)
        self._world.floor.reschedule(now)

    @with_arithmetic
    def fill(
        self, order_id: str, qty: Decimal | str | int | None = None, price: Decimal | str | int | None = None
    ) -> Order:
        """Let an open order trade now, whatever its limit, the market, or a halt say.

        Args:
            order_id: which one; also one that was written with `World.add_order`.
            qty: how much, None for all that is left.
            price: in dollars; None takes the market's. A spread takes no price.

        Raises:
            RefusalError: there is no such order, it is closed, or less of it is left.
        """
        now = self._now()
        account = self._world.books.holder(order_id)
        quantity, at_price = (None if value is None else Decimal(value) for value in (qty, price))
        return self._world.floor.fill(account, order_id, now, quantity, at_price)

    @with_arithmetic
    def reject(self, order_id: str, reason: str = "The exchange has turned it down.") -> Order:
        """Let the broker turn down an open order that has not traded.

        Raises:
            RefusalError: there is no such order, or it is closed, or has traded.
        """
        now = self._now()
        return self._world.floor.reject(self._world.books.holder(order_id), order_id, now, reason)

    def _pin(self, symbol: str, price: Decimal | None) -> None:
        now = self._now()
        self._world.market.pin(symbol, price, now)
        self._world.floor.reschedule(now)

    def _now(self) -> datetime:
        now = self._clock.now()
        self._world.floor.bring_up(now)
        return now
