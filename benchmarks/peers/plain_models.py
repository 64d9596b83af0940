"""The same balance and order as pydantic models, as most would write them: exact numbers, and times as times."""

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel


class Balance(BaseModel):
    """What an account holds in cash."""

    account_id: str
    account_number: str | None = None
    cash: Decimal | None = None
    buying_power: Decimal | None = None
    equity: Decimal | None = None
    currency: str | None = None


class Fill(BaseModel):
    """One execution of an order."""

    fill_id: str | None = None
    time: datetime | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None


class Order(BaseModel):
    """An order."""

    order_id: str
    cl_order_id: str | None = None
    account_id: str | None = None
    connection_id: str | None = None
    broker: str | None = None
    symbol: str | None = None
    instrument: str | None = None
    side: str | None = None
    order_type: str | None = None
    order_tif: str | None = None
    order_qty: Decimal | None = None
    order_notional: Decimal | None = None
    order_limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    status: str | None = None
    broker_status: str | None = None
    filled_qty: Decimal | None = None
    avg_fill_price: Decimal | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    reject_reason: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    fills: tuple[Fill, ...] | None = None
    legs: tuple[dict[str, str], ...] | None = None


class Page(BaseModel):
    """A page of orders."""

    orders: tuple[Order, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None
