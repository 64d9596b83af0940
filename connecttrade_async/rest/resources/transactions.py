"""``/transactions``: the activity of accounts."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from connecttrade_async.models.pages import Rows
from connecttrade_async.models.transactions import Transaction
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ListShape
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.wire import with_extra

__all__ = ["Transactions"]

_TRANSACTIONS = ListShape(Transaction, "/transactions")


class Transactions(Resource):
    """``/transactions``: trades, dividends, fees and transfers."""

    def list(
        self,
        *,
        account_id: str | None = None,
        connection_id: str | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Call[Rows[Transaction]]:
        """List transactions.

        Args:
            account_id: only those of one account.
            connection_id: only those of one connection.
            start_date: the first day; a datetime counts as its own calendar day. Sent as ``YYYY-MM-DD`` (assumed).
            end_date: the last day, in the same form.
            extra: other filters, by their names in the query: ``{"type": "dividend"}``.

        Raises:
            NotFoundError: the user has no account or connection with that id.
            ConfigurationError: a filter is empty, or ``extra`` has a name that is an argument of its own.
            TypeError: an unknown keyword.
            TransportError: the request got no complete response. A failure is never an empty list.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        params = {
            "account_id": account_id,
            "connection_id": connection_id,
            "start_date": _day(start_date),
            "end_date": _day(end_date),
        }
        return self._api.get(_TRANSACTIONS.endpoint, _TRANSACTIONS, with_extra(params, extra))


def _day(when: date | str | None) -> str | None:
    # A datetime is a date too, and ``isoformat`` would add its time of day.
    return when if when is None or isinstance(when, str) else when.strftime("%Y-%m-%d")
