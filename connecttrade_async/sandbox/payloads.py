"""The sandbox's payloads: the world as the wire spells it.

Documented: every value is a string or a boolean, or null, or an array or object of those; numbers carry up to nine
decimal digits and never an exponent. Field names are documented, seen or assumed exactly as the wire contract says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connecttrade_async.sandbox.settings import Spellings
from connecttrade_async.sandbox.world import (
    Account,
    Balance,
    Broker,
    Connection,
    Fill,
    LoginRequest,
    Order,
    Position,
    Token,
    Transaction,
    User,
)

__all__ = ["Json", "Payloads"]

Json = str | bool | None | Mapping[str, "Json"] | list["Json"]
"""What the wire is made of. There are no JSON numbers on it."""

_NINE = Decimal("0.000000001")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Payloads:
    """Writes the world's records in one way of spelling."""

    spellings: Spellings

    def time(self, moment: datetime) -> str:
        """A moment as RFC 3339 to the microsecond, or as epoch digits."""
        if self.spellings.times == "rfc3339":
            return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        unit = _SECOND if self.spellings.times == "epoch_seconds" else _MILLISECOND
        return str((moment - _EPOCH) // unit)

    def number(self, value: Decimal | None, broker: Broker) -> str | None:
        """A number as plain digits, or what stands for one that the broker lacks."""
        if value is None:
            return "" if broker.blank or self.spellings.nulls == "empty" else None
        return _digits(value)

    def new_user(self, user: User) -> Json:
        """The answer to ``POST /users``; ``user_secret`` is seen, ``user-secret`` documented in prose."""
        name = "user_secret" if self.spellings.fields == "seen" else "user-secret"
        return {"user_id": user.user_id, name: user.secret}

    def user(self, user: User) -> Json:
        """One of ``GET /users``."""
        return {"user_id": user.user_id}

    def connection_request(self, url: str, link: LoginRequest) -> Json:
        """The answer to ``POST /connections``; ``connection_request_url`` is seen, ``authorization_url`` documented."""
        name = "connection_request_url" if self.spellings.fields == "seen" else "authorization_url"
        return {name: url, "expires_at": self.time(link.expires_at)}

    def connection(self, connection: Connection) -> Json:
        """One of ``GET /connections``; ``connection_type`` is seen, ``type`` and ``status`` are documented."""
        kind: dict[str, Json] = {"connection_type": connection.connection_type}
        if self.spellings.fields == "documented":
            kind = {"type": connection.connection_type, "status": "active"}
        accounts: list[Json] = [_account(account) for account in connection.accounts]
        return {
            "connection_id": connection.connection_id,
            "broker": connection.broker.code,
            **kind,
            "accounts": accounts,
        }

    def market_token(self, token: Token) -> Json:
        """The answer to ``GET /connections/{connection_id}/token``. Assumed: both names."""
        return {"access_token": token.text, "expires_at": self.time(token.expires_at)}

    def account(self, connection: Connection, account: Account) -> Json:
        """One of ``GET /accounts``. Assumed: ``broker`` and ``connection_id``."""
        return {**_account(account), "broker": account.broker.code, "connection_id": connection.connection_id}

    def balance(self, account: Account, balance: Balance) -> Json:
        """One of ``GET /balances``. Assumed: the margin names, ``equity`` and ``currency``."""
        numbers = {
            "cash": balance.cash,
            "buying_power": balance.buying_power,
            "margin_buying_power": balance.margin_buying_power,
            "maintenance_margin": balance.maintenance_margin,
            "initial_margin": balance.initial_margin,
            "equity": balance.equity,
        }
        return {**_owner(account), **self._numbers(numbers, account.broker), "currency": "USD"}

    def position(self, account: Account, position: Position) -> Json:
        """One of ``GET /positions``. Assumed: ``instrument``, ``average_price`` and ``market_value``."""
        numbers = {
            "quantity": position.quantity,
            "average_price": position.average_price,
            "last_price": position.last_price,
            "market_value": position.market_value,
            "unrealized_pl": position.unrealized_pl,
            "daily_pl": position.daily_pl,
            "total_pl": position.total_pl,
        }
        what = {"symbol": position.symbol, "instrument": position.instrument}
        return {**_owner(account), **what, **self._numbers(numbers, account.broker)}

    def order(self, order: Order, broker: Broker) -> Json:
        """One order: what was sent, and what became of it. Only an order with legs writes ``legs``.

        Assumed: ``replaces`` and ``replaced_by``, the order_id of the order before and after it in a chain.
        """
        numbers = {
            "order_qty": order.order_qty,
            "order_notional": order.order_notional,
            "order_limit_price": order.order_limit_price,
            "stop_price": order.stop_price,
            "filled_qty": order.filled_qty,
            "avg_fill_price": order.avg_fill_price,
        }
        legs: list[Json] = [{"symbol": leg.symbol, "action": leg.action, "ratio": str(leg.ratio)} for leg in order.legs]
        return {
            "order_id": order.order_id,
            "cl_order_id": order.cl_order_id,
            "account_id": order.account_id,
            "broker": order.broker,
            "side": order.side,
            "order_type": order.order_type,
            "order_tif": order.order_tif,
            "symbol": order.symbol,
            "instrument": order.instrument,
            **self._numbers(numbers, broker),
            **({"legs": legs} if legs else {}),
            "status": order.status,
            "broker_status": order.broker_status,
            "fills": [self._fill(fill) for fill in order.fills],
            "created_at": self.time(order.created_at),
            "updated_at": self.time(order.updated_at),
            "reject_reason": order.reject_reason,
            "replaces": order.replaces,
            "replaced_by": order.replaced_by,
        }

    def transaction(self, transaction: Transaction, broker: Broker) -> Json:
        """One of ``GET /transactions``. Assumed: every name."""
        numbers = {
            "quantity": transaction.quantity,
            "price": transaction.price,
            "amount": transaction.amount,
            "fees": transaction.fees,
        }
        return {
            "transaction_id": transaction.transaction_id,
            "account_id": transaction.account_id,
            "type": transaction.type,
            "date": transaction.date.isoformat(),
            "symbol": transaction.symbol,
            **self._numbers(numbers, broker),
            "description": transaction.description,
        }

    def _fill(self, fill: Fill) -> Json:
        return {
            "fill_id": fill.fill_id,
            "time": self.time(fill.time),
            "quantity": _digits(fill.quantity),
            "price": _digits(fill.price),
        }

    def _numbers(self, numbers: Mapping[str, Decimal | None], broker: Broker) -> dict[str, Json]:
        return {name: self.number(None if name in broker.lacks else value, broker) for name, value in numbers.items()}


def _account(account: Account) -> dict[str, Json]:
    return {**_owner(account), "institution_name": account.broker.name}


def _owner(account: Account) -> dict[str, Json]:
    return {"account_id": account.account_id, "account_number": account.number}


def _digits(value: Decimal) -> str:
    """Plain digits: a whole number as it is, else two places at least and nine at most."""
    if value == value.to_integral_value() and value.as_tuple().exponent == 0:
        return f"{value:f}"
    text = f"{value.quantize(_NINE):f}"
    return text[:-7] + text[-7:].rstrip("0")
