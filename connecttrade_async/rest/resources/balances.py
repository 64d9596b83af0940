"""``/balances``: the money in accounts."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping

from connecttrade_async.models.balances import Balance
from connecttrade_async.models.pages import Rows
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ListShape
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import with_extra

__all__ = ["Balances"]

_BALANCES = ListShape(Balance, "/balances", key="account_id")


class Balances(Resource):
    """``/balances``: cash, buying power and margin, one entry per account."""

    def list(
        self,
        *,
        account_id: str | None = None,
        connection_id: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Call[Rows[Balance]]:
        """List balances.

        Args:
            account_id: only those of one account.
            connection_id: only those of one connection.
            extra: other filters, by their names in the query, passed on as they are.

        Raises:
            NotFoundError: the user has no account or connection with that id.
            ConfigurationError: a filter is empty, or ``extra`` has a name that is an argument of its own.
            TypeError: an unknown keyword.
            TransportError: the request got no complete response. A failure is never an empty list.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        params = {"account_id": account_id, "connection_id": connection_id}
        return self._api.get(_BALANCES.endpoint, _BALANCES, with_extra(params, extra))
