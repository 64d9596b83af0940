"""The world's people: users, the connections they have made, and the login links on their way."""

from dataclasses import dataclass, field
from datetime import datetime

from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.brokers import Broker

__all__ = ["Connection", "LoginRequest", "Token", "User"]


@dataclass(frozen=True, slots=True)
class Token:
    """A credential and the moment after which it is worth nothing."""

    text: str = field(repr=False)
    expires_at: datetime


@dataclass(slots=True)
class Connection:
    """One user at one broker, long-lived (documented).

    Attributes:
        login: the name that the person used at the broker.
        accounts: the paper and the live account; none for a ``market_data`` connection.
        token: the one active market-data token, if one was minted.
    """

    connection_id: str
    user_id: str
    broker: Broker
    connection_type: str
    login: str
    accounts: tuple[Account, ...]
    token: Token | None = None


@dataclass(slots=True)
class LoginRequest:
    """What the person gets to see after ``POST /connections``.

    Attributes:
        token: the secret part of the link.
        broker: the one asked for; None lets the person pick.
        signed_in: the broker and login name that the person has proved, once they have.
        failures: how many wrong passwords were tried.
        is_used: whether the person has consented, declined or failed.
    """

    token: str = field(repr=False)
    user_id: str
    connection_type: str
    broker: Broker | None
    redirect_url: str
    expires_at: datetime
    signed_in: tuple[Broker, str] | None = None
    failures: int = 0
    is_used: bool = False


@dataclass(slots=True)
class User:
    """A user of the client.

    Attributes:
        user_id: the client's own name for the person, any text without control characters.
        secret: shown once, when the user is made (documented).
        connections: by connection_id, oldest first.
        logins: the name under which the person was last seen at a broker, by broker code.
    """

    user_id: str
    secret: str = field(repr=False)
    connections: dict[str, Connection] = field(default_factory=dict[str, Connection])
    logins: dict[str, str] = field(default_factory=dict[str, str])

    def login(self, broker: Broker) -> str:
        """The name that the person uses at a broker: the last one seen there, else the user's id."""
        return self.logins.get(broker.code, self.user_id)
