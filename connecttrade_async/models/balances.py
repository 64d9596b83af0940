"""Account balances."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model, number

__all__ = ["Balance"]


class Balance(Model, frozen=True, kw_only=True, gc=False):
    """One row of ``GET /balances``. Amounts are in ``currency``; None where the broker sends none.

    Each number ``x`` is parsed, exactly, from the received text ``x_text``.

    Attributes:
        account_id: the account's id; ``""`` where the row has none.
        account_number: the broker's number, or None.
        currency: the currency's code, or None (assumed).
        cash: money not invested.
        buying_power: the amount available to spend.
        margin_buying_power: the amount available to spend on margin (assumed).
        maintenance_margin: the equity that the account must keep (assumed).
        initial_margin: the margin that opening the positions required (assumed).
        equity: the value of cash and positions together (assumed).
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
