"""Builders of common option strategies from an underlying, one expiry and strikes.

Each opens a position by one order of several legs. The net price is in dollars per share and always positive. With the
side ``BUY_TO_OPEN`` the net price is paid (a debit), with ``SELL_TO_OPEN`` it is received (a credit). The vendor
documents the sides; their meaning for a net price is (assumed). The argument ``side=`` overrides the side.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar, Unpack

from connecttrade_async.amounts import Amount, plain, read_amount
from connecttrade_async.errors import SymbolError, TicketError, shown
from connecttrade_async.models.enums import Side, TimeInForce
from connecttrade_async.symbology import OptionRight, build_option
from connecttrade_async.tickets.builders import multi_leg
from connecttrade_async.tickets.legs import TicketLeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from connecttrade_async.tickets.ticket import OrderTicket

__all__ = ["StrategyTerms", "bear_put_spread", "bull_call_spread", "iron_condor", "long_straddle", "ratio_spread"]

_DAY = date(2000, 1, 1)
_CALL = OptionRight.CALL
_Part = TypeVar("_Part")


class StrategyTerms(TypedDict):
    """The arguments of every strategy besides its strikes, as for ``multi_leg``.

    Attributes:
        price: the net price of one unit, in dollars per share, or None for a market order; required.
        account_id: the account's id.
        broker: the broker's code.
        qty: units, a whole number.
        notional: money to spend, instead of a quantity.
        tif: the time in force; ``DAY`` by default.
        cl_order_id: your own id; by default the ticket generates one.
        side: the side; by default the strategy's own.
    """

    price: Amount | None
    account_id: str
    broker: str
    qty: NotRequired[Amount | None]
    notional: NotRequired[Amount | None]
    tif: NotRequired[TimeInForce | str]
    cl_order_id: NotRequired[str | None]
    side: NotRequired[Side | str]


def bull_call_spread(
    underlying: str, *, expiry: date, low: Amount, high: Amount, **terms: Unpack[StrategyTerms]
) -> OrderTicket:
    """Buy the call at ``low`` and sell the call at ``high``: gains, within limits, when the underlying rises.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day of expiry of both.
        low: the strike that is bought, in dollars per share.
        high: the strike that is sold, above ``low``.
        terms: price, account, broker, size and the other ``StrategyTerms``.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    draft = _Draft(underlying, expiry)
    draft.read(low=low, high=high)
    draft.check_rising("low", "high")
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, "low")
    draft.add(Side.SELL_TO_OPEN, OptionRight.CALL, "high")
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def bear_put_spread(
    underlying: str, *, expiry: date, low: Amount, high: Amount, **terms: Unpack[StrategyTerms]
) -> OrderTicket:
    """Buy the put at ``high`` and sell the put at ``low``: gains, within limits, when the underlying falls.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day of expiry of both.
        low: the strike that is sold, in dollars per share.
        high: the strike that is bought, above ``low``.
        terms: price, account, broker, size and the other ``StrategyTerms``.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    draft = _Draft(underlying, expiry)
    draft.read(low=low, high=high)
    draft.check_rising("low", "high")
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, "high")
    draft.add(Side.SELL_TO_OPEN, OptionRight.PUT, "low")
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def long_straddle(underlying: str, *, expiry: date, strike: Amount, **terms: Unpack[StrategyTerms]) -> OrderTicket:
    """Buy the call and the put at one strike: gains when the underlying moves far in either direction.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day of expiry of both.
        strike: the strike of both, in dollars per share.
        terms: price, account, broker, size and the other ``StrategyTerms``.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    draft = _Draft(underlying, expiry)
    draft.read(strike=strike)
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, "strike")
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, "strike")
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def iron_condor(
    underlying: str,
    *,
    expiry: date,
    put_low: Amount,
    put_high: Amount,
    call_low: Amount,
    call_high: Amount,
    **terms: Unpack[StrategyTerms],
) -> OrderTicket:
    """Sell a put and a call in the middle and buy those further out: gains when the underlying stays between them.

    The net price is a credit, so the side is ``SELL_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day of expiry of all four.
        put_low: the strike of the put that is bought, in dollars per share.
        put_high: the strike of the put that is sold, above ``put_low``.
        call_low: the strike of the call that is sold, at or above ``put_high``.
        call_high: the strike of the call that is bought, above ``call_low``.
        terms: price, account, broker, size and the other ``StrategyTerms``.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    draft = _Draft(underlying, expiry)
    draft.read(put_low=put_low, put_high=put_high, call_low=call_low, call_high=call_high)
    draft.check_rising("put_low", "put_high", "call_low", "call_high", may_be_equal=("put_high", "call_low"))
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, "put_low")
    draft.add(Side.SELL_TO_OPEN, OptionRight.PUT, "put_high")
    draft.add(Side.SELL_TO_OPEN, OptionRight.CALL, "call_low")
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, "call_high")
    return draft.ticket(Side.SELL_TO_OPEN, terms)


def ratio_spread(
    underlying: str,
    *,
    expiry: date,
    right: OptionRight | str,
    buy: Amount,
    sell: Amount,
    ratio: Amount = 2,
    **terms: Unpack[StrategyTerms],
) -> OrderTicket:
    """Buy one option and sell ``ratio`` of another: gains near the sold strike, with unlimited losses beyond it.

    The net price may be a debit or a credit. The side is ``BUY_TO_OPEN``, a debit; for a credit pass
    ``side="SELL_TO_OPEN"``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day of expiry of both.
        right: the right of both, ``C`` or ``P``.
        buy: the strike that is bought, in dollars per share.
        sell: the strike that is sold.
        ratio: contracts sold for each one bought, a whole number.
        terms: price, account, broker, size and the other ``StrategyTerms``.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    draft = _Draft(underlying, expiry)
    draft.read(buy=buy, sell=sell)
    draft.check_differing("buy", "sell")
    checked = draft.check_right(right)
    draft.add(Side.BUY_TO_OPEN, checked, "buy")
    draft.add(Side.SELL_TO_OPEN, checked, "sell", ratio)
    return draft.ticket(Side.BUY_TO_OPEN, terms)


class _Draft:
    """Legs under construction, and their problems. A problem that concerns several legs is listed once."""

    __slots__ = ("_amounts", "_expiry", "_legs", "_problems", "_strikes", "_underlying")

    def __init__(self, underlying: str, expiry: date) -> None:
        self._problems: list[str] = []
        self._underlying = self._checked(
            f"underlying {shown(underlying)}", underlying, lambda: build_option(underlying, _DAY, _CALL, 1)
        )
        self._expiry = self._checked("expiry", expiry, lambda: build_option("X", expiry, _CALL, 1))
        self._amounts: dict[str, Decimal] = {}
        self._strikes: dict[str, Decimal] = {}
        self._legs: list[TicketLeg] = []

    def read(self, **strikes: Amount) -> None:
        """Parse the strikes by name: as amounts, for comparisons, and in the form of symbols, for the legs."""
        for name, given in strikes.items():
            with suppress(ValueError):  # build_option below reports it
                self._amounts[name] = read_amount(given)
            try:
                self._strikes[name] = build_option("X", _DAY, _CALL, given).strike
            except SymbolError as exc:
                self._problems.append(f"{name}: {exc.problem}")

    def check_rising(self, *names: str, may_be_equal: tuple[str, str] | None = None) -> None:
        """Add a problem for each strike that is not above the one before it; invalid strikes are skipped."""
        for lower, upper in pairwise(name for name in names if name in self._amounts):
            low, high = self._amounts[lower], self._amounts[upper]
            if low > high or (low == high and (lower, upper) != may_be_equal):
                self._problems.append(
                    f"the strike {upper} must be above the strike {lower}, {plain(low)}, got {plain(high)}"
                )
                self._strikes.pop(upper, None)

    def check_differing(self, one: str, other: str) -> None:
        """Add a problem if two strikes are equal; invalid strikes are skipped."""
        if one in self._amounts and self._amounts[one] == self._amounts.get(other):
            self._problems.append(f"the strikes {one} and {other} must differ, got {plain(self._amounts[one])} twice")
            self._strikes.pop(other, None)

    def check_right(self, right: OptionRight | str) -> OptionRight | None:
        """Parse ``C`` or ``P``; None for any other value."""
        checked = self._checked("right", right, lambda: build_option("X", _DAY, right, 1))
        return None if checked is None else OptionRight(checked)

    def add(self, action: Side, right: OptionRight | None, name: str, ratio: Amount = 1) -> None:
        """Add a leg at the strike with this name."""
        # A valid placeholder replaces a leg that cannot be built, so that the rest of the ticket is still validated.
        option = build_option("X", _DAY, _CALL, len(self._legs) + 1)
        strike = self._strikes.get(name)
        if self._underlying is not None and self._expiry is not None and right is not None and strike is not None:
            option = build_option(self._underlying, self._expiry, right, strike)
        self._legs.append(TicketLeg(symbol=str(option), action=action, ratio=ratio))

    def ticket(self, side: Side, terms: StrategyTerms) -> OrderTicket:
        """Build the ticket, or raise an error with the problems of the legs and of the ticket."""
        arguments: dict[str, Any] = {"side": side, **terms}
        try:
            ticket = multi_leg(self._legs, **arguments)
        except TicketError as exc:
            raise TicketError((*self._problems, *exc.problems)) from None
        if self._problems:
            raise TicketError(self._problems)
        return ticket

    def _checked(self, name: str, value: _Part, build: Callable[[], object]) -> _Part | None:
        try:
            build()
        except SymbolError as exc:
            self._problems.append(f"{name}: {exc.problem}")
            return None
        return value
