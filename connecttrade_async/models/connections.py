"""Below the waterline: a user's authorised links to brokers."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.accounts import AccountSummary  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.enums import Broker, ConnectionType  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model, moment
from connecttrade_async.secret import Secret  # noqa: TC001 - msgspec reads the annotations

__all__ = ["Connection", "ConnectionRequest", "ConnectionToken"]


class ConnectionRequest(Model, frozen=True, kw_only=True, gc=False):
    """What ``POST /connections`` answers: where to send the person.

    Attributes:
        connection_request_url: the address, under the name seen on the wire.
        authorization_url: the address, under the name in the documentation.
        expires_at_text: when it ends, as it came.
        expires_at: when it ends, aware, or None.
    """

    connection_request_url: str | None = None
    authorization_url: str | None = None
    expires_at_text: str | None = field(default=None, name="expires_at")
    expires_at = moment("expires_at_text")

    def __post_init__(self) -> None:
        """Refuse an answer without an address."""
        if not (self.connection_request_url or self.authorization_url):
            msg = "Object missing required field `connection_request_url`"
            raise ValueError(msg)

    @property
    def url(self) -> str:
        """The address to show to the person, under whichever name it came."""
        return self.connection_request_url or self.authorization_url or ""


class Connection(Model, frozen=True, kw_only=True, gc=False):
    """One authorised link of one user to one broker.

    Attributes:
        connection_id: its id.
        broker: the broker, or None.
        connection_type_seen: what it may be used for, under the name seen on the wire, ``connection_type``.
        connection_type_documented: the same under the documented name, ``type``.
        status: the API's word for its state, or None (documented).
        accounts_listed: the accounts as they came, or None.
    """

    connection_id: str
    broker: Broker | None = None
    connection_type_seen: ConnectionType | None = field(default=None, name="connection_type")
    connection_type_documented: ConnectionType | None = field(default=None, name="type")
    status: str | None = None
    accounts_listed: tuple[AccountSummary, ...] | None = field(default=None, name="accounts")

    @property
    def connection_type(self) -> ConnectionType | None:
        """What it may be used for, under whichever name it came."""
        return self.connection_type_seen or self.connection_type_documented

    @property
    def accounts(self) -> tuple[AccountSummary, ...]:
        """The accounts that it opens."""
        return self.accounts_listed or ()


class ConnectionToken(Model, frozen=True, kw_only=True, gc=False):
    """A token for the market data stream of one connection, valid 24 hours; a new one replaces the old (documented).

    Attributes:
        access_token: the token. ``Assumed:`` its name.
        expires_at_text: when it ends, as it came. ``Assumed:`` its name.
        expires_at: when it ends, aware, or None.
    """

    access_token: Secret
    expires_at_text: str | None = field(default=None, name="expires_at")
    expires_at = moment("expires_at_text")

    def __post_init__(self) -> None:
        """Refuse an answer without a token."""
        if not self.access_token:
            msg = "Object missing required field `access_token`"
            raise ValueError(msg)
