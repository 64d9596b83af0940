"""What users hold: the client's users."""

from __future__ import annotations

import builtins

from connecttrade_async.models.users import NewUser, UserRecord
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import decoder, path_segment

__all__ = ["Users"]

_NEW = decoder(NewUser)
_RECORDS = decoder(builtins.list[UserRecord])


class Users(Resource):
    """``/users``: every person for whom the client acts. Needs the client's credentials only (documented)."""

    async def create(self, user_id: str) -> NewUser:
        """Make a user. Its secret is shown this once: keep it.

        Args:
            user_id: your own name for the person.

        Raises:
            ConflictError: there is one of that name.
            ConfigurationError: the name is empty or a dot segment, so it could never be deleted again.
            TransportError: the wire failed. It is never asked twice, so look with ``list``.
            MalformedResponseError: the API made the user and answered in another form. Its ``response`` holds the whole
                answer, the secret included: read it there with ``response.json()`` or ``response.body``.
            BrokerError: the API said no.

        Cancelling drops the call; the user may have been made all the same.
        """
        path_segment(user_id, "user_id")
        return await self._api.send_json("POST", "/users", _NEW, {"user_id": user_id})

    async def list(self) -> builtins.list[UserRecord]:
        """List the users of this client.

        Raises:
            TransportError: the wire failed.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call and changes nothing.
        """
        return await self._api.get("/users", _RECORDS)

    async def delete(self, user_id: str) -> None:
        """Delete a user and all its connections (documented).

        Args:
            user_id: your own name for the person; any characters.

        Raises:
            NotFoundError: there is none of that name.
            ConfigurationError: the name is empty or a dot segment.
            TransportError: the wire failed.
            BrokerError: the API said no.

        Cancelling drops the call; the user may have been deleted all the same.
        """
        await self._api.delete(f"/users/{path_segment(user_id, 'user_id')}")
