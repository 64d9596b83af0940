"""What users hold: tokens that act for a user elsewhere."""

from __future__ import annotations

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.tokens import UserToken
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import decoder

__all__ = ["Tokens"]

_TOKEN = decoder(UserToken)


class Tokens(Resource):
    """``/auth/tokens/user``: a JWT for the vendor's MCP server, valid one hour (documented)."""

    async def create(self, *scopes: str) -> UserToken:
        """Make a token.

        Args:
            scopes: ``"read"``, or ``"read", "trade"`` (documented); none means ``"read"``.

        Raises:
            ConfigurationError: a scope is no text, or is given twice; nothing was sent.
            TransportError: the wire failed. It is never asked twice; asking again yourself is harmless.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call; a token may have been made, and ends after its hour.
        """
        if not all(map(_is_text, scopes)):
            msg = 'scopes are given one by one, each as text: create("read", "trade")'
            raise ConfigurationError(msg)
        if len(set(scopes)) != len(scopes):
            msg = "each scope can be given once"
            raise ConfigurationError(msg)
        return await self._api.send_json("POST", "/auth/tokens/user", _TOKEN, {"scopes": list(scopes) or ["read"]})


def _is_text(scope: object) -> bool:
    return isinstance(scope, str)
