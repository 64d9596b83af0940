"""Market-data tokens, and whether each is still valid.

Documented: valid 24 hours, one active per connection, a new one replaces the old, and deleting a connection
revokes its tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from connecttrade_async.sandbox.world.seeded import IdGenerator
from connecttrade_async.sandbox.world.users import Connection, Token

__all__ = ["Grant", "State", "Tokens"]

State = Literal["active", "replaced", "expired", "revoked"]

_LIFE = timedelta(hours=24)


@dataclass(slots=True, eq=False)
class Grant:
    """One token that was given out. It stays known, so that a later login gets the exact reason of its refusal."""

    connection: Connection
    text: str = field(repr=False)
    expires_at: datetime
    is_revoked: bool = False

    def state(self, now: datetime) -> State:
        """What it is worth at a moment."""
        if self.is_revoked:
            return "revoked"
        if now >= self.expires_at:
            return "expired"
        is_latest = self.connection.token is not None and self.connection.token.text == self.text
        return "active" if is_latest else "replaced"


class Tokens:
    """Every token that was given out.

    Args:
        serials: where they come from.

    Attributes:
        bell: rung when a token has become worth less than it was.
    """

    bell: Callable[[], object] | None = None

    def __init__(self, serials: IdGenerator) -> None:
        self._serials = serials
        self._grants: dict[str, Grant] = {}

    def __repr__(self) -> str:
        return f"<Tokens {len(self._grants)} given out>"

    def mint(self, connection: Connection, now: datetime) -> Token:
        """A token in the place of the one before."""
        text, expires_at = self._serials.draw("token", connection.connection_id), now + _LIFE
        self._grants[text] = Grant(connection, text, expires_at)
        connection.token = Token(text, expires_at)
        self._ring()
        return connection.token

    def find(self, text: object) -> Grant | None:
        """The token of this text, whatever it is still worth."""
        return self._grants.get(text) if isinstance(text, str) else None

    def revoke(self, connection: Connection) -> None:
        """Let every token of a connection be worth nothing."""
        connection.token = None
        for grant in self._grants.values():
            grant.is_revoked |= grant.connection is connection
        self._ring()

    def expire(self, connection: Connection, now: datetime) -> None:
        """Let the 24 hours of every token of a connection be over at a moment, if they are not before."""
        for grant in self._grants.values():
            if grant.connection is connection:
                grant.expires_at = min(now, grant.expires_at)
        self._ring()

    def _ring(self) -> None:
        if self.bell is not None:
            self.bell()
