"""Brokerage accounts."""

from __future__ import annotations

from connecttrade_async.models.enums import Broker  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model

__all__ = ["Account", "AccountSummary"]


class AccountSummary(Model, frozen=True, kw_only=True, gc=False):
    """An account as a connection lists it (seen).

    Attributes:
        account_id: the account's id, an argument of most other calls.
        account_number: the broker's number, often masked, or None.
        institution_name: the broker's display name, or None.
    """

    account_id: str
    account_number: str | None = None
    institution_name: str | None = None


class Account(Model, frozen=True, kw_only=True, gc=False):
    """One row of ``GET /accounts``. The API does not mark an account as paper or live (documented).

    Attributes:
        account_id: the account's id, an argument of most other calls; ``""`` where the row has none.
        account_number: the broker's number, often masked, or None.
        institution_name: the broker's display name, or None.
        broker: the broker, or None (assumed).
        connection_id: the connection that gives access to the account, or None (assumed).
    """

    account_id: str
    account_number: str | None = None
    institution_name: str | None = None
    broker: Broker | None = None
    connection_id: str | None = None
