"""``/auth/tokens``: tokens that act for a user elsewhere."""

from __future__ import annotations

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.tokens import UserToken
from connecttrade_async.rest.codec import ObjectShape
from connecttrade_async.rest.resources.resource import Resource

__all__ = ["Tokens"]

_TOKEN = ObjectShape(UserToken, "/auth/tokens/user")


class Tokens(Resource):
    """``/auth/tokens/user``: a JWT for the vendor's MCP server, valid one hour (documented)."""

    async def create(self, *scopes: str) -> UserToken:
        """Create a token.

        Args:
            scopes: ``"read"``, or ``"read", "trade"`` (documented); no scope means ``"read"``.

        Returns:
            The token.

        Raises:
            ConfigurationError: a scope is no text, or is given twice; nothing was sent.
            TransportError: the request got no complete response, and is not repeated. You can safely repeat it.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request; a token may have been created, and expires after its hour.
        """
        if not all(map(_is_text, scopes)):
            msg = 'each scope must be text, as in create("read", "trade")'
            raise ConfigurationError(msg)
        if len(set(scopes)) != len(scopes):
            msg = f"each scope must be given once, got {scopes!r}"
            raise ConfigurationError(msg)
        return await self._api.send_json("POST", "/auth/tokens/user", _TOKEN, {"scopes": list(scopes) or ["read"]})


def _is_text(scope: object) -> bool:
    return isinstance(scope, str)
