"""Below the waterline: the strategies that have names, made from an underlying, one expiry and strikes.

Each opens a position, as one order of several legs. The net price is in dollars per share and always above zero, and
the side says which way it flows: ``BUY_TO_OPEN`` pays it, a debit; ``SELL_TO_OPEN`` receives it, a credit. ``Assumed:``
the vendor documents the words, and not their meaning for a net price; ``side=`` sends another.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, Unpack

from connecttrade_async.amounts import Amount, read_amount
from connecttrade_async.errors import SymbolError, TicketError
from connecttrade_async.models.enums import Side, TimeInForce
from connecttrade_async.symbology import OptionRight, build_option
from connecttrade_async.tickets.builders import multi_leg
from connecttrade_async.tickets.legs import TicketLeg

if TYPE_CHECKING:
    from connecttrade_async.tickets.order import OrderTicket

__all__ = ["Terms", "bear_put_spread", "bull_call_spread", "iron_condor", "long_straddle", "ratio_spread"]

_ANY_DAY = date(2000, 1, 1)


class Terms(TypedDict):
    """What every strategy is told besides its strikes; as for ``multi_leg``.

    Attributes:
        price: the net price of one unit, in dollars per share, or None for a market order; it must be said.
        account_id: whose.
        broker: the broker's code.
        qty: units.
        notional: money to spend, instead of a quantity.
        tif: how long it works; ``DAY`` unless said.
        cl_order_id: your own id; else the ticket draws one.
        side: another than the strategy's own.
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
    underlying: str, *, expiry: date, low: Amount, high: Amount, **terms: Unpack[Terms]
) -> OrderTicket:
    """Buy the call at ``low`` and sell the call at ``high``: gains, within bounds, when the underlying rises.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day on which both expire.
        low: the strike that is bought, in dollars per share.
        high: the strike that is sold, above ``low``.
        terms: price, account, broker, size and so on.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """
    draft = _Draft(underlying, expiry)
    draft.check_rising("low", low, "high", high)
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, low)
    draft.add(Side.SELL_TO_OPEN, OptionRight.CALL, high)
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def bear_put_spread(underlying: str, *, expiry: date, low: Amount, high: Amount, **terms: Unpack[Terms]) -> OrderTicket:
    """Buy the put at ``high`` and sell the put at ``low``: gains, within bounds, when the underlying falls.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day on which both expire.
        low: the strike that is sold, in dollars per share.
        high: the strike that is bought, above ``low``.
        terms: price, account, broker, size and so on.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """
    draft = _Draft(underlying, expiry)
    draft.check_rising("low", low, "high", high)
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, high)
    draft.add(Side.SELL_TO_OPEN, OptionRight.PUT, low)
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def long_straddle(underlying: str, *, expiry: date, strike: Amount, **terms: Unpack[Terms]) -> OrderTicket:
    """Buy the call and the put at one strike: gains when the underlying moves far, either way.

    The net price is a debit, so the side is ``BUY_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day on which both expire.
        strike: of both, in dollars per share.
        terms: price, account, broker, size and so on.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """
    draft = _Draft(underlying, expiry)
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, strike)
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, strike)
    return draft.ticket(Side.BUY_TO_OPEN, terms)


def iron_condor(
    underlying: str,
    *,
    expiry: date,
    put_low: Amount,
    put_high: Amount,
    call_low: Amount,
    call_high: Amount,
    **terms: Unpack[Terms],
) -> OrderTicket:
    """Sell the put and the call in the middle, buy those further out: gains when the underlying stays between.

    The net price is a credit, so the side is ``SELL_TO_OPEN``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day on which all four expire.
        put_low: the put that is bought, in dollars per share.
        put_high: the put that is sold, above ``put_low``.
        call_low: the call that is sold, at ``put_high`` or above it.
        call_high: the call that is bought, above ``call_low``.
        terms: price, account, broker, size and so on.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """
    draft = _Draft(underlying, expiry)
    draft.check_rising("put_low", put_low, "put_high", put_high)
    draft.check_rising("put_high", put_high, "call_low", call_low, may_be_equal=True)
    draft.check_rising("call_low", call_low, "call_high", call_high)
    draft.add(Side.BUY_TO_OPEN, OptionRight.PUT, put_low)
    draft.add(Side.SELL_TO_OPEN, OptionRight.PUT, put_high)
    draft.add(Side.SELL_TO_OPEN, OptionRight.CALL, call_low)
    draft.add(Side.BUY_TO_OPEN, OptionRight.CALL, call_high)
    return draft.ticket(Side.SELL_TO_OPEN, terms)


def ratio_spread(
    underlying: str,
    *,
    expiry: date,
    right: OptionRight | str,
    buy: Amount,
    sell: Amount,
    ratio: Amount = 2,
    **terms: Unpack[Terms],
) -> OrderTicket:
    """Buy one option and sell ``ratio`` of another: gains near the strike sold, and can lose without bound beyond it.

    The net price may flow either way. The side is ``BUY_TO_OPEN``, a debit; for a credit say ``side="SELL_TO_OPEN"``.

    Args:
        underlying: the options' root, ``SPY``.
        expiry: the day on which both expire.
        right: ``C`` or ``P``, of both.
        buy: the strike that is bought, in dollars per share.
        sell: the strike that is sold.
        ratio: contracts sold for each one bought.
        terms: price, account, broker, size and so on.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """
    draft = _Draft(underlying, expiry)
    draft.add(Side.BUY_TO_OPEN, right, buy)
    draft.add(Side.SELL_TO_OPEN, right, sell, ratio)
    return draft.ticket(Side.BUY_TO_OPEN, terms)


class _Draft:
    """Legs as they come together, and what is wrong with them."""

    __slots__ = ("_expiry", "_legs", "_problems", "_underlying")

    def __init__(self, underlying: str, expiry: date) -> None:
        self._underlying = underlying
        self._expiry = expiry
        self._legs: list[TicketLeg] = []
        self._problems: list[str] = []

    def add(self, action: Side, right: OptionRight | str, strike: Amount, ratio: Amount = 1) -> None:
        number = len(self._legs) + 1
        try:
            option = build_option(self._underlying, self._expiry, right, strike)
        except SymbolError as exc:
            self._problems.append(f"leg {number}: {exc}")
            # A leg that can be built stands in for this one, so that the rest of the ticket is still checked.
            option = build_option("X", _ANY_DAY, OptionRight.CALL, number)
        self._legs.append(TicketLeg(symbol=str(option), action=action, ratio=ratio))

    def check_rising(self, lower: str, low: Amount, upper: str, high: Amount, *, may_be_equal: bool = False) -> None:
        try:
            below, above = read_amount(low), read_amount(high)
        except ValueError:
            return  # said by the leg whose strike it is
        if below > above or (below == above and not may_be_equal):
            self._problems.append(f"the strike {upper}, {high}, must be above the strike {lower}, {low}")

    def ticket(self, side: Side, terms: Terms) -> OrderTicket:
        told: dict[str, Any] = {"side": side, **terms}
        try:
            ticket = multi_leg(self._legs, **told)
        except TicketError as exc:
            raise TicketError((*self._problems, *exc.problems)) from None
        if self._problems:
            raise TicketError(self._problems)
        return ticket
