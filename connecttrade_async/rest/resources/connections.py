"""``/connections``: a user's authorized connections to brokers."""

# ruff: noqa: TC001 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from connecttrade_async.models.connections import Connection, ConnectionRequest, ConnectionToken
from connecttrade_async.models.pages import Rows
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ListShape, ObjectShape
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import path_segment

__all__ = ["Connections"]

_REQUEST = ObjectShape(ConnectionRequest, "/connections")
_CONNECTIONS = ListShape(Connection, "/connections")
_TOKEN = ObjectShape(ConnectionToken, "/connections/{connection_id}/token")


class Connections(Resource):
    """``/connections``: the user's authorized connections, each to one broker, and long-lived (documented)."""

    async def create(self, connection_type: str, *, redirect_url: str, broker: str | None = None) -> ConnectionRequest:
        """Request a URL at which the user logs in at a broker.

        Args:
            connection_type: ``trade``, ``readonly`` or ``market_data``.
            redirect_url: the URL to which the broker returns the user. Parse it with ``parse_redirect``;
                ``check_redirect_url`` has the rules of the brokers.
            broker: the broker's code, in any case; None lets the user choose.

        Returns:
            The request; show its ``url`` to the user.

        Raises:
            ConflictError: that brokerage account is connected to another user of this client.
            TransportError: the request got no complete response, and is not repeated. You can safely repeat it.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request; a URL that is never opened expires by itself.
        """
        body: dict[str, object] = {"connection_type": connection_type, "redirect_url": redirect_url}
        if broker is not None:
            body["broker"] = broker
        return await self._api.send_json("POST", "/connections", _REQUEST, body)

    def list(self) -> Call[Rows[Connection]]:
        """List the user's connections.

        Raises:
            TransportError: the request got no complete response.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        return self._api.get(_CONNECTIONS.endpoint, _CONNECTIONS)

    async def delete(self, connection_id: str) -> None:
        """Delete a connection and revoke its tokens (documented).

        Raises:
            NotFoundError: there is no connection with that id.
            ConfigurationError: the id is empty or a dot segment.
            TransportError: the request got no complete response.
            BrokerError: the API refused the request.

        Cancelling drops the request; the connection may have been deleted.
        """
        await self._api.delete(f"/connections/{path_segment(connection_id, 'connection_id')}")

    async def token(self, connection_id: str) -> ConnectionToken:
        """Create a token for the market data stream of a connection, valid 24 hours (documented).

        One token is active per connection: a new one replaces the old one (documented), even while that is in use.

        Raises:
            NotFoundError: there is no connection with that id.
            AuthenticationError: the connection is not entitled to market data.
            ConfigurationError: the id is empty or a dot segment.
            TransportError: the request got no complete response.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request; a token may have been created, and have replaced the old one.
        """
        return await self._api.get_object(f"/connections/{path_segment(connection_id, 'connection_id')}/token", _TOKEN)
