"""Below the waterline: brokerage accounts."""

from __future__ import annotations

from connecttrade_async.models.enums import Broker  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model

__all__ = ["Account", "AccountSummary"]


class AccountSummary(Model, frozen=True, kw_only=True, gc=False):
    """An account as a connection lists it (seen).

    Attributes:
        account_id: its id, for every other call.
        account_number: the broker's number, often masked, or None.
        institution_name: the broker's name for people, or None.
    """

    account_id: str
    account_number: str | None = None
    institution_name: str | None = None


class Account(Model, frozen=True, kw_only=True, gc=False):
    """One entry of ``GET /accounts``. Nothing in the API marks whether it is paper or live (documented).

    Attributes:
        account_id: its id, for every other call; ``""`` where the row names none.
        account_number: the broker's number, often masked, or None.
        institution_name: the broker's name for people, or None.
        broker: the broker, or None. ``Assumed:``
        connection_id: the connection that opens it, or None. ``Assumed:``
    """

    account_id: str
    account_number: str | None = None
    institution_name: str | None = None
    broker: Broker | None = None
    connection_id: str | None = None
