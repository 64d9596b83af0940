"""``/accounts``: brokerage accounts."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping

from connecttrade_async.models.accounts import Account
from connecttrade_async.models.pages import Rows
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ListShape
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import with_extra

__all__ = ["Accounts"]

_ACCOUNTS = ListShape(Account, "/accounts", key="account_id")


class Accounts(Resource):
    """``/accounts``: the accounts that the user's connections give access to."""

    def list(
        self,
        *,
        connection_id: str | None = None,
        broker: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Call[Rows[Account]]:
        """List accounts.

        Args:
            connection_id: only those of one connection.
            broker: only those at one broker.
            extra: other filters, by their names in the query, passed on as they are.

        Raises:
            NotFoundError: the user has no connection with that id.
            ConfigurationError: a filter is empty, or ``extra`` has a name that is an argument of its own.
            TypeError: an unknown keyword.
            TransportError: the request got no complete response. A failure is never an empty list.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        params = {"connection_id": connection_id, "broker": broker}
        return self._api.get(_ACCOUNTS.endpoint, _ACCOUNTS, with_extra(params, extra))
