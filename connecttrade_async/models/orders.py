"""Orders, fills and legs as the API reports them."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.enums import (  # noqa: TC001 - msgspec reads the annotations
    Broker,
    Instrument,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from connecttrade_async.models.fields import Model, moment, number

__all__ = ["Fill", "Leg", "Order"]


class Fill(Model, frozen=True, kw_only=True, gc=False):
    """One execution of an order (documented); its field names are (assumed).

    Attributes:
        fill_id: the broker's id of the execution, or None.
        time: the time of the execution, aware, or None.
        quantity: shares or contracts.
        price: dollars per share.
    """

    fill_id: str | None = None
    time_text: str | None = field(default=None, name="time")
    quantity_text: str | None = field(default=None, name="quantity")
    price_text: str | None = field(default=None, name="price")

    time = moment("time_text")
    quantity = number("quantity_text")
    price = number("price_text")


class Leg(Model, frozen=True, kw_only=True, gc=False):
    """One leg of a multi-leg option order (documented).

    Attributes:
        symbol: OSI without padding.
        action: the leg's side, or None.
        ratio: contracts of this leg for each unit of the order.
    """

    symbol: str | None = None
    action: Side | None = None
    ratio_text: str | None = field(default=None, name="ratio")

    ratio = number("ratio_text")


class Order(Model, frozen=True, kw_only=True, gc=False):
    """An order: the fields that were sent, and its current state.

    Each number or time ``x`` is parsed, exactly, from the received text ``x_text``; None where the broker sends none.

    Attributes:
        order_id: the API's id (assumed); ``""`` where a listed order has none.
        cl_order_id: the id that the sender gave, or None (documented).
        account_id: the account's id, or None.
        connection_id: the connection that the order went through, or None (assumed).
        broker: the broker, or None (documented).
        symbol: CQS or OSI; None for a multi-leg order (documented).
        instrument: ``STK``, ``OPT`` or ``MLEG_OPT``, or None (documented).
        side: buy or sell, in the forms of ``Side``, or None (documented).
        order_type: the pricing, or None (documented).
        order_tif: the time in force, or None (documented).
        order_qty: shares or contracts ordered (documented).
        order_notional: money to spend instead of a quantity (documented).
        order_limit_price: the limit, per share (documented).
        stop_price: the trigger, per share (documented).
        status: the order's state, or None (documented).
        broker_status: the broker's own word for the state, or None (documented).
        filled_qty: shares or contracts filled so far (assumed).
        avg_fill_price: the average price of the fills, per share (assumed).
        created_at: the time of creation, aware (assumed).
        updated_at: the time of the last change, aware (assumed).
        reject_reason: the reason of a rejection, or None (assumed).
        replaces: the ``order_id`` of the order that this one replaced, or None (assumed).
        replaced_by: the ``order_id`` of the order that replaced this one, or None (assumed).
        fills_listed: the executions as received, or None where the broker lists none (documented); see ``fills``.
        legs_listed: the legs as received, or None (documented); see ``legs``.
    """

    order_id: str
    cl_order_id: str | None = None
    account_id: str | None = None
    connection_id: str | None = None
    broker: Broker | None = None
    symbol: str | None = None
    instrument: Instrument | None = None
    side: Side | None = None
    order_type: OrderType | None = None
    order_tif: TimeInForce | None = None
    order_qty_text: str | None = field(default=None, name="order_qty")
    order_notional_text: str | None = field(default=None, name="order_notional")
    order_limit_price_text: str | None = field(default=None, name="order_limit_price")
    stop_price_text: str | None = field(default=None, name="stop_price")
    status: OrderStatus | None = None
    broker_status: str | None = None
    filled_qty_text: str | None = field(default=None, name="filled_qty")
    avg_fill_price_text: str | None = field(default=None, name="avg_fill_price")
    created_at_text: str | None = field(default=None, name="created_at")
    updated_at_text: str | None = field(default=None, name="updated_at")
    reject_reason: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    fills_listed: tuple[Fill, ...] | None = field(default=None, name="fills")
    legs_listed: tuple[Leg, ...] | None = field(default=None, name="legs")

    order_qty = number("order_qty_text")
    order_notional = number("order_notional_text")
    order_limit_price = number("order_limit_price_text")
    stop_price = number("stop_price_text")
    filled_qty = number("filled_qty_text")
    avg_fill_price = number("avg_fill_price_text")
    created_at = moment("created_at_text")
    updated_at = moment("updated_at_text")

    @property
    def fills(self) -> tuple[Fill, ...]:
        """The executions so far."""
        return self.fills_listed or ()

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The legs of a multi-leg order."""
        return self.legs_listed or ()


def has_ended(order: Order) -> bool:
    """Return whether an order can never change again."""
    return order.status is not None and order.status.is_terminal
