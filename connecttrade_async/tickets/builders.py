"""Builders of tickets by order type. The symbol determines whether the order is for a stock or an option."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from connecttrade_async.models.enums import Instrument, OrderType, Side, TimeInForce
from connecttrade_async.tickets.ticket import OrderTicket

if TYPE_CHECKING:
    from connecttrade_async.amounts import Amount
    from connecttrade_async.tickets.legs import TicketLeg

__all__ = ["limit", "market", "multi_leg", "stop", "stop_limit"]


def market(
    symbol: str,
    side: Side | str,
    *,
    account_id: str,
    broker: str,
    qty: Amount | None = None,
    notional: Amount | None = None,
    tif: TimeInForce | str = TimeInForce.DAY,
    instrument: Instrument | str | None = None,
    cl_order_id: str | None = None,
) -> OrderTicket:
    """Build a market order, ``MKT`` (documented).

    Args:
        symbol: CQS for a stock, OSI for an option. Any other, such as ``BTC/USD`` or ``/ESZ6``, is sent unchanged. One
            that is certainly a mistake, such as ``BRK.B`` for ``BRK/B``, is rejected unless ``instrument`` is given.
        side: ``BUY``, ``SELL``, ``SELL_SHORT`` or, on TradeStation, ``BUY_TO_COVER`` for a stock; ``BUY_TO_OPEN``,
            ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE`` for an option.
        account_id: the account's id.
        broker: the broker's code.
        qty: shares, as a Decimal, an int or text, with at most 9 decimals; or contracts, a whole number.
        notional: money to spend, in dollars, instead of a quantity.
        tif: the time in force: ``DAY``, ``GTC``, ``IOC``, ``FOK``, ``OPEN``, ``CLOSE``, ``DAY+`` or ``GTC+``.
        instrument: ``STK`` or ``OPT``, which the symbol implies; or the code of another instrument, which is sent
            unchanged with any symbol. With None, it is not sent where the symbol is neither a stock nor an option.
        cl_order_id: your own id, unique on the day; by default the ticket generates one.

    Returns:
        The validated ticket.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    return _ticket(
        cl_order_id,
        symbol=symbol,
        side=side,
        order_type=OrderType.MARKET,
        order_tif=tif,
        account_id=account_id,
        broker=broker,
        instrument=instrument,
        order_qty=qty,
        order_notional=notional,
    )


def limit(
    symbol: str,
    side: Side | str,
    *,
    price: Amount,
    account_id: str,
    broker: str,
    qty: Amount | None = None,
    notional: Amount | None = None,
    tif: TimeInForce | str = TimeInForce.DAY,
    instrument: Instrument | str | None = None,
    cl_order_id: str | None = None,
) -> OrderTicket:
    """Build a limit order, ``LMT`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        price: the limit, in dollars per share, as a Decimal, an int or text, with at most 9 decimals.
        account_id: the account's id.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The validated ticket.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    return _ticket(
        cl_order_id,
        symbol=symbol,
        side=side,
        order_type=OrderType.LIMIT,
        order_limit_price=price,
        order_tif=tif,
        account_id=account_id,
        broker=broker,
        instrument=instrument,
        order_qty=qty,
        order_notional=notional,
    )


def stop(
    symbol: str,
    side: Side | str,
    *,
    stop: Amount,
    account_id: str,
    broker: str,
    qty: Amount | None = None,
    notional: Amount | None = None,
    tif: TimeInForce | str = TimeInForce.DAY,
    instrument: Instrument | str | None = None,
    cl_order_id: str | None = None,
) -> OrderTicket:
    """Build a stop order, which becomes a market order when a price is reached, ``STP`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        stop: the trigger price, in dollars per share, with at most 9 decimals.
        account_id: the account's id.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The validated ticket.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    return _ticket(
        cl_order_id,
        symbol=symbol,
        side=side,
        order_type=OrderType.STOP,
        stop_price=stop,
        order_tif=tif,
        account_id=account_id,
        broker=broker,
        instrument=instrument,
        order_qty=qty,
        order_notional=notional,
    )


def stop_limit(
    symbol: str,
    side: Side | str,
    *,
    stop: Amount,
    price: Amount,
    account_id: str,
    broker: str,
    qty: Amount | None = None,
    notional: Amount | None = None,
    tif: TimeInForce | str = TimeInForce.DAY,
    instrument: Instrument | str | None = None,
    cl_order_id: str | None = None,
) -> OrderTicket:
    """Build a stop-limit order, which becomes a limit order when a price is reached, ``STPLMT`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        stop: the trigger price, in dollars per share, with at most 9 decimals.
        price: the limit of the triggered order, in dollars per share, with at most 9 decimals.
        account_id: the account's id.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The validated ticket.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    return _ticket(
        cl_order_id,
        symbol=symbol,
        side=side,
        order_type=OrderType.STOP_LIMIT,
        order_limit_price=price,
        stop_price=stop,
        order_tif=tif,
        account_id=account_id,
        broker=broker,
        instrument=instrument,
        order_qty=qty,
        order_notional=notional,
    )


def multi_leg(
    legs: Iterable[TicketLeg],
    side: Side | str,
    *,
    price: Amount | None,
    account_id: str,
    broker: str,
    qty: Amount | None = None,
    notional: Amount | None = None,
    tif: TimeInForce | str = TimeInForce.DAY,
    cl_order_id: str | None = None,
) -> OrderTicket:
    """Build one order of several options, ``MLEG_OPT`` (documented).

    Args:
        legs: 2 to 4 legs in different options, each made by ``leg``.
        side: ``BUY_TO_OPEN`` or ``BUY_TO_CLOSE`` to pay the net price, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE`` to
            receive it. The vendor documents the four values; their meaning for the net price is (assumed).
        price: the net price of one unit, in dollars per share, always positive; or None for a market order. There is
            no default, so that a forgotten price does not become a market order.
        account_id: the account's id.
        broker: the broker's code.
        qty: units, a whole number; each trades ``ratio`` contracts of each leg.
        notional: as for ``market``.
        tif: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The validated ticket.

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
    """
    return _ticket(
        cl_order_id,
        legs=_listed(legs),
        instrument=Instrument.MULTI_LEG_OPTION,
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        order_limit_price=price,
        order_tif=tif,
        account_id=account_id,
        broker=broker,
        order_qty=qty,
        order_notional=notional,
    )


def _listed(legs: object) -> object:
    # An argument of another type is not rejected here: the ticket reports it together with its other problems.
    if not isinstance(legs, Iterable) or isinstance(legs, str | bytes):
        return legs
    return tuple(cast("Iterable[object]", legs))


def _ticket(cl_order_id: str | None, **given: Any) -> OrderTicket:  # noqa: ANN401 - the ticket validates every field
    return OrderTicket(**given) if cl_order_id is None else OrderTicket(**given, cl_order_id=cl_order_id)
