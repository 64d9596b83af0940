"""``/users``: the users of a client."""

# ruff: noqa: TC001 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import msgspec

from connecttrade_async.models.pages import Rows
from connecttrade_async.models.users import NewUser, UserRecord
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ListShape, ObjectShape
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import path_segment

__all__ = ["Users"]

_NEW = ObjectShape(NewUser, "/users", key="user_id")
_RECORDS = ListShape(UserRecord, "/users")


class Users(Resource):
    """``/users``: the users of the client. Requires the client's credentials only (documented)."""

    async def create(self, user_id: str) -> NewUser:
        """Create a user. The API returns its secret only this once: store it.

        Args:
            user_id: an id of your choice.

        Returns:
            The user, with its secret.

        Raises:
            ConflictError: the id is taken.
            ConfigurationError: the id is empty or a dot segment, so the user could never be deleted.
            TransportError: the request got no complete response, and is not repeated. Check with ``list`` whether the
                user was created.
            MalformedResponseError: the user was created, but the response cannot be decoded. Its ``response`` has the
                whole body with the secret: read it with ``response.json()`` or ``response.body``.
            BrokerError: the API refused the request.

        Cancelling drops the request; the user may have been created.
        """
        path_segment(user_id, "user_id")
        user = await self._api.send_json("POST", "/users", _NEW, {"user_id": user_id})
        return user if user.user_id else msgspec.structs.replace(user, user_id=user_id)

    def list(self) -> Call[Rows[UserRecord]]:
        """List the users of this client.

        Raises:
            TransportError: the request got no complete response.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        return self._api.get(_RECORDS.endpoint, _RECORDS)

    async def delete(self, user_id: str) -> None:
        """Delete a user and all its connections (documented).

        Args:
            user_id: the id of the user; any characters.

        Raises:
            NotFoundError: there is no user with that id.
            ConfigurationError: the id is empty or a dot segment.
            TransportError: the request got no complete response.
            BrokerError: the API refused the request.

        Cancelling drops the request; the user may have been deleted.
        """
        await self._api.delete(f"/users/{path_segment(user_id, 'user_id')}")
