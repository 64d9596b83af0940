"""Below the waterline: what moved in an account."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model, day, number

__all__ = ["Transaction"]


class Transaction(Model, frozen=True, kw_only=True, gc=False):
    """One entry of ``GET /transactions``. ``Assumed:`` all its field names.

    Each number or date ``x`` is read, exactly, from the text that came, ``x_text``; None where the broker gives none.

    Attributes:
        transaction_id: its id, or None.
        account_id: whose, or None.
        type: the API's word for what it was, or None.
        date: the day of it.
        symbol: what was traded or paid, or None.
        quantity: shares or contracts.
        price: per share.
        amount: money in (above zero) or out (below).
        fees: money the broker kept.
        description: words for people, or None.
    """

    transaction_id: str | None = None
    account_id: str | None = None
    type: str | None = None
    date_text: str | None = field(default=None, name="date")
    symbol: str | None = None
    quantity_text: str | None = field(default=None, name="quantity")
    price_text: str | None = field(default=None, name="price")
    amount_text: str | None = field(default=None, name="amount")
    fees_text: str | None = field(default=None, name="fees")
    description: str | None = None

    date = day("date_text")
    quantity = number("quantity_text")
    price = number("price_text")
    amount = number("amount_text")
    fees = number("fees_text")
