"""Broker connections: a user's authorized ties to brokers, and the tokens of one."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.accounts import AccountSummary  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.enums import Broker, ConnectionType  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model, moment
from connecttrade_async.secret import Secret  # noqa: TC001 - msgspec reads the annotations

__all__ = ["Connection", "ConnectionRequest", "ConnectionToken"]


class ConnectionRequest(Model, frozen=True, kw_only=True, gc=False):
    """The response of ``POST /connections``: the address of the broker's login page.

    Attributes:
        connection_request_url: the address, under the name on the wire (seen).
        authorization_url: the address, under its other name (documented).
        expires_at_text: the time of expiry as received.
        expires_at: the time of expiry, aware, or None.
    """

    connection_request_url: str | None = None
    authorization_url: str | None = None
    expires_at_text: str | None = field(default=None, name="expires_at")
    expires_at = moment("expires_at_text")

    def __post_init__(self) -> None:
        """Reject a response without an address."""
        if not (self.connection_request_url or self.authorization_url):
            msg = "Object missing required field `connection_request_url`"
            raise ValueError(msg)

    @property
    def url(self) -> str:
        """The address to open in the person's browser, under either name."""
        return self.connection_request_url or self.authorization_url or ""


class Connection(Model, frozen=True, kw_only=True, gc=False):
    """One authorized tie of one user to one broker.

    Attributes:
        connection_id: the connection's id.
        broker: the broker, or None.
        connection_type_seen: the permitted use, under the name ``connection_type`` (seen).
        connection_type_documented: the permitted use, under the name ``type`` (documented).
        status: the API's word for the connection's state, or None (documented).
        accounts_listed: the accounts as received, or None.
    """

    connection_id: str
    broker: Broker | None = None
    connection_type_seen: ConnectionType | None = field(default=None, name="connection_type")
    connection_type_documented: ConnectionType | None = field(default=None, name="type")
    status: str | None = None
    accounts_listed: tuple[AccountSummary, ...] | None = field(default=None, name="accounts")

    @property
    def connection_type(self) -> ConnectionType | None:
        """The permitted use of the connection, under either name."""
        return self.connection_type_seen or self.connection_type_documented

    @property
    def accounts(self) -> tuple[AccountSummary, ...]:
        """The accounts that the connection gives access to."""
        return self.accounts_listed or ()


class ConnectionToken(Model, frozen=True, kw_only=True, gc=False):
    """A token for the market data stream of one connection, valid for 24 hours (documented).

    A new token of the same connection invalidates the old one (documented). Both field names are (assumed).

    Attributes:
        access_token: the token.
        expires_at_text: the time of expiry as received.
        expires_at: the time of expiry, aware, or None.
    """

    access_token: Secret
    expires_at_text: str | None = field(default=None, name="expires_at")
    expires_at = moment("expires_at_text")

    def __post_init__(self) -> None:
        """Reject a response without a token."""
        if not self.access_token:
            msg = "Object missing required field `access_token`"
            raise ValueError(msg)
