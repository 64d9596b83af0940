"""Below the waterline: the money in an account."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model, number

__all__ = ["Balance"]


class Balance(Model, frozen=True, kw_only=True, gc=False):
    """One entry of ``GET /balances``. Amounts are in ``currency``; None where the broker gives none.

    Each number ``x`` is read, exactly, from the text that came, ``x_text``.

    Attributes:
        account_id: whose; ``""`` where the row names none.
        account_number: the broker's number, or None.
        currency: the currency's code, or None. ``Assumed:``
        cash: money not invested.
        buying_power: what may be spent.
        margin_buying_power: what may be spent on margin. ``Assumed:``
        maintenance_margin: what must stay. ``Assumed:``
        initial_margin: what opening the positions took. ``Assumed:``
        equity: cash and positions together. ``Assumed:``
    """

    account_id: str
    account_number: str | None = None
    currency: str | None = None
    cash_text: str | None = field(default=None, name="cash")
    buying_power_text: str | None = field(default=None, name="buying_power")
    margin_buying_power_text: str | None = field(default=None, name="margin_buying_power")
    maintenance_margin_text: str | None = field(default=None, name="maintenance_margin")
    initial_margin_text: str | None = field(default=None, name="initial_margin")
    equity_text: str | None = field(default=None, name="equity")

    cash = number("cash_text")
    buying_power = number("buying_power_text")
    margin_buying_power = number("margin_buying_power_text")
    maintenance_margin = number("maintenance_margin_text")
    initial_margin = number("initial_margin_text")
    equity = number("equity_text")
