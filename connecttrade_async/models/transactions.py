"""Account transactions."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model, day, number

__all__ = ["Transaction"]


class Transaction(Model, frozen=True, kw_only=True, gc=False):
    """One row of ``GET /transactions``. All field names are (assumed).

    Each number or date ``x`` is parsed, exactly, from the received text ``x_text``; None where the broker sends none.

    Attributes:
        transaction_id: the transaction's id, or None.
        account_id: the account's id, or None.
        type: the API's word for the kind of transaction, or None.
        date: the day of the transaction.
        symbol: the symbol that was traded or that paid, or None.
        quantity: shares or contracts.
        price: dollars per share.
        amount: money received (positive) or paid (negative).
        fees: the broker's fees.
        description: a text for display, or None.
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
