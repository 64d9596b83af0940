"""Below the waterline: tickets by order type, for stocks and options alike, since the symbol tells which."""

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
    """Build an order at the market's price, ``MKT`` (documented).

    Args:
        symbol: CQS for a stock, OSI for an option. Any other, such as ``BTC/USD`` or ``/ESZ6``, is passed on as it is;
            one that is surely a mistake, such as ``BRK.B`` for ``BRK/B``, is refused unless ``instrument`` is given.
        side: ``BUY``, ``SELL``, ``SELL_SHORT`` or, on TradeStation, ``BUY_TO_COVER`` for a stock; ``BUY_TO_OPEN``,
            ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE`` for an option.
        account_id: whose.
        broker: the broker's code.
        qty: shares, as a Decimal, an int or text, with at most 9 decimals; or contracts, a whole number.
        notional: money to spend, in dollars, instead of a quantity.
        tif: how long it works: ``DAY``, ``GTC``, ``IOC``, ``FOK``, ``OPEN``, ``CLOSE``, ``DAY+`` or ``GTC+``.
        instrument: ``STK`` or ``OPT``, which the symbol tells, or the code of something else, which is passed on as it
            is together with any symbol. None leaves it out where the symbol names neither a stock nor an option.
        cl_order_id: your own id, unique on the day; else the ticket draws one.

    Returns:
        The ticket, checked.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
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
    """Build an order at a price or a better one, ``LMT`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        price: the limit, in dollars per share, as a Decimal, an int or text, with at most 9 decimals.
        account_id: whose.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The ticket, checked.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
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
    """Build an order that becomes a market order when a price is reached, ``STP`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        stop: the price that triggers it, in dollars per share, with at most 9 decimals.
        account_id: whose.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The ticket, checked.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
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
    """Build an order that becomes a limit order when a price is reached, ``STPLMT`` (documented).

    Args:
        symbol: as for ``market``.
        side: as for ``market``.
        stop: the price that triggers it, in dollars per share, with at most 9 decimals.
        price: the limit that it then has, in dollars per share, with at most 9 decimals.
        account_id: whose.
        broker: the broker's code.
        qty: as for ``market``.
        notional: as for ``market``.
        tif: as for ``market``.
        instrument: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The ticket, checked.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
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
            receive it. ``Assumed:`` the vendor documents the four words, and not what they mean for the net price.
        price: the net price of one unit, in dollars per share, always above zero; or None for a market order. It has
            no default, so that a forgotten price does not become a market order.
        account_id: whose.
        broker: the broker's code.
        qty: units, a whole number; each trades ``ratio`` contracts of each leg.
        notional: as for ``market``.
        tif: as for ``market``.
        cl_order_id: as for ``market``.

    Returns:
        The ticket, checked.

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
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
    # Whatever has no legs in it is left for the ticket to refuse, together with all else that is wrong.
    if not isinstance(legs, Iterable) or isinstance(legs, str | bytes):
        return legs
    return tuple(cast("Iterable[object]", legs))


def _ticket(cl_order_id: str | None, **given: Any) -> OrderTicket:  # noqa: ANN401 - the ticket reads and checks it all
    return OrderTicket(**given) if cl_order_id is None else OrderTicket(**given, cl_order_id=cl_order_id)
