"""Positions of an account."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.enums import Instrument  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model, number

__all__ = ["Position"]


class Position(Model, frozen=True, kw_only=True, gc=False):
    """One row of ``GET /positions``. Prices are per share; None where the broker sends none.

    Each number ``x`` is parsed, exactly, from the received text ``x_text``.

    Attributes:
        account_id: the account's id, or None.
        account_number: the broker's number, or None.
        symbol: CQS for stocks, OSI without padding for options (documented); ``""`` where the row has none.
        instrument: ``STK`` or ``OPT``, or None (assumed).
        quantity: shares or contracts; negative when short (documented).
        average_price: the average cost per share (assumed).
        last_price: the latest price (documented).
        market_value: the value of the whole position (assumed).
        unrealized_pl: gain or loss since opening (documented).
        daily_pl: gain or loss today (documented).
        total_pl: total gain or loss (documented).
    """

    account_id: str | None = None
    account_number: str | None = None
    symbol: str
    instrument: Instrument | None = None
    quantity_text: str | None = field(default=None, name="quantity")
    average_price_text: str | None = field(default=None, name="average_price")
    last_price_text: str | None = field(default=None, name="last_price")
    market_value_text: str | None = field(default=None, name="market_value")
    unrealized_pl_text: str | None = field(default=None, name="unrealized_pl")
    daily_pl_text: str | None = field(default=None, name="daily_pl")
    total_pl_text: str | None = field(default=None, name="total_pl")

    quantity = number("quantity_text")
    average_price = number("average_price_text")
    last_price = number("last_price_text")
    market_value = number("market_value_text")
    unrealized_pl = number("unrealized_pl_text")
    daily_pl = number("daily_pl_text")
    total_pl = number("total_pl_text")
