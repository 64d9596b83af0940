"""What users hold: a user's authorised links to brokers."""

from __future__ import annotations

import builtins

from connecttrade_async.models.connections import Connection, ConnectionRequest, ConnectionToken
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import decoder, path_segment

__all__ = ["Connections"]

_REQUEST = decoder(ConnectionRequest)
_CONNECTIONS = decoder(builtins.list[Connection])
_TOKEN = decoder(ConnectionToken)


class Connections(Resource):
    """``/connections``: what a person has authorised. Each is one user at one broker, and long-lived (documented)."""

    async def create(self, connection_type: str, *, redirect_url: str, broker: str | None = None) -> ConnectionRequest:
        """Ask for an address at which the person logs in at a broker.

        Args:
            connection_type: ``trade``, ``readonly`` or ``market_data``.
            redirect_url: where the person comes back to; read it with ``parse_redirect``, and see
                ``check_redirect_url`` for what brokers refuse.
            broker: the broker's code, in any case; None lets the person choose.

        Returns:
            The request; show its ``url`` to the person.

        Raises:
            ConflictError: that brokerage account is linked to another user of this client.
            TransportError: the wire failed. It is never asked twice; asking again yourself is harmless.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call; an address nobody sees expires by itself.
        """
        body = {"connection_type": connection_type, "redirect_url": redirect_url}
        if broker is not None:
            body["broker"] = broker
        return await self._api.send_json("POST", "/connections", _REQUEST, body)

    async def list(self) -> builtins.list[Connection]:
        """List the user's connections.

        Raises:
            TransportError: the wire failed.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call and changes nothing.
        """
        return await self._api.get("/connections", _CONNECTIONS)

    async def delete(self, connection_id: str) -> None:
        """Delete a connection and revoke its tokens (documented).

        Raises:
            NotFoundError: there is none of that id.
            ConfigurationError: the id is empty or a dot segment.
            TransportError: the wire failed.
            BrokerError: the API said no.

        Cancelling drops the call; the connection may have been deleted all the same.
        """
        await self._api.delete(f"/connections/{path_segment(connection_id, 'connection_id')}")

    async def token(self, connection_id: str) -> ConnectionToken:
        """Make a token for the market data stream of a connection, valid 24 hours (documented).

        One token is active per connection: a new one replaces the old (documented), wherever that is in use.

        Raises:
            NotFoundError: there is no connection of that id.
            AuthenticationError: the connection is not entitled to market data.
            ConfigurationError: the id is empty or a dot segment.
            TransportError: the wire failed.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call; a token may have been made and the old one replaced.
        """
        return await self._api.get(f"/connections/{path_segment(connection_id, 'connection_id')}/token", _TOKEN)
