"""Read by the type checkers and never run: what models, enums and errors are to a type checker."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import assert_type

from connecttrade_async import (
    Account,
    AccountSummary,
    APIError,
    Balance,
    Broker,
    BrokerError,
    CallerError,
    ClientHealth,
    Connection,
    ConnectionRequest,
    ConnectionToken,
    ConnectionType,
    ConnectTradeError,
    CursorError,
    Fill,
    Instrument,
    Leg,
    MalformedResponseError,
    NewUser,
    OAuthError,
    Order,
    OrderStatus,
    OrderType,
    Page,
    Position,
    RateLimitedError,
    Secret,
    Side,
    TimeInForce,
    Transaction,
    TransportError,
    UserRecord,
    UserToken,
)


def numbers(order: Order, fill: Fill, leg: Leg) -> None:
    assert_type(order.order_qty, Decimal | None)
    assert_type(order.order_notional, Decimal | None)
    assert_type(order.order_limit_price, Decimal | None)
    assert_type(order.stop_price, Decimal | None)
    assert_type(order.filled_qty, Decimal | None)
    assert_type(order.avg_fill_price, Decimal | None)
    assert_type(order.order_qty_text, str | None)
    assert_type(fill.quantity, Decimal | None)
    assert_type(fill.price, Decimal | None)
    assert_type(leg.ratio, Decimal | None)


def holdings(position: Position, balance: Balance, move: Transaction) -> None:
    assert_type(position.quantity, Decimal | None)
    assert_type(position.quantity_text, str | None)
    assert_type(position.unrealized_pl, Decimal | None)
    assert_type(balance.cash, Decimal | None)
    assert_type(balance.buying_power, Decimal | None)
    assert_type(balance.equity, Decimal | None)
    assert_type(move.amount, Decimal | None)
    assert_type(move.fees, Decimal | None)


def times(order: Order, fill: Fill, move: Transaction, token: ConnectionToken, request: ConnectionRequest) -> None:
    assert_type(order.created_at, datetime | None)
    assert_type(order.updated_at, datetime | None)
    assert_type(fill.time, datetime | None)
    assert_type(move.date, date | None)
    assert_type(token.expires_at, datetime | None)
    assert_type(request.expires_at, datetime | None)


def words(order: Order, position: Position, account: Account, connection: Connection) -> None:
    assert_type(order.order_id, str)
    assert_type(order.cl_order_id, str | None)
    assert_type(order.broker, Broker | None)
    assert_type(order.instrument, Instrument | None)
    assert_type(order.side, Side | None)
    assert_type(order.order_type, OrderType | None)
    assert_type(order.order_tif, TimeInForce | None)
    assert_type(order.status, OrderStatus | None)
    assert_type(order.fills, tuple[Fill, ...])
    assert_type(order.legs, tuple[Leg, ...])
    assert_type(position.symbol, str)
    assert_type(account.account_id, str)
    assert_type(account.broker, Broker | None)
    assert_type(connection.connection_type, ConnectionType | None)
    assert_type(connection.accounts, tuple[AccountSummary, ...])


def secrets(new: NewUser, record: UserRecord, token: ConnectionToken, user_token: UserToken) -> None:
    assert_type(new.user_secret, Secret)
    assert_type(token.access_token, Secret)
    assert_type(user_token.access_token, Secret)
    assert_type(record.user_id, str)
    revealed: str = new.user_secret.reveal()
    del revealed


def enums(text: str) -> None:
    assert_type(Broker(text), Broker)
    assert_type(Broker(text).is_known, bool)
    assert_type(OrderStatus(text).is_terminal, bool)
    plain: str = Side.BUY
    del plain


def pages(page: Page[Order]) -> None:
    assert_type(page.items, tuple[Order, ...])
    assert_type(Page(items=("a",)), Page[str])
    assert_type(Page(items=("a",))[0], str)
    assert_type(Page(items=("a",))[:1], tuple[str, ...])
    assert_type(list(Page(items=("a",))), list[str])


def health(value: ClientHealth) -> None:
    assert_type(value.is_open, bool)
    assert_type(value.in_flight, int)
    assert_type(value.last_error, str | None)


def errors(error: ConnectTradeError) -> None:
    match error:
        case RateLimitedError():
            assert_type(error.retry_after, float | None)
        case APIError():
            assert_type(error.status, int)
            assert_type(error.message, str)
            assert_type(error.method, str)
            assert_type(error.path, str)
        case MalformedResponseError():
            assert_type(error.where, str)
            assert_type(error.excerpt, str)
        case OAuthError():
            assert_type(error.error, str)
            assert_type(error.details, str)
        case BrokerError():
            pass
        case TransportError():
            assert_type(error.kind, str)
        case CursorError():
            assert_type(error.cursor, str)
        case CallerError():
            pass
        case _:
            assert_type(error, ConnectTradeError)


def use(value: object) -> None:
    del value


def wrong(order: Order, position: Position, new: NewUser) -> None:
    """Each line is a mistake that a checker must find: an ignore that is not needed is an error itself, to both."""
    order.order_id = "o-2"  # type: ignore[misc]
    use(order.order_qty + 1)  # type: ignore[operator]
    use(order.order_qty * 1.5)  # type: ignore[operator]
    order.fills.append(Fill())  # type: ignore[attr-defined]
    use(position.qty)  # type: ignore[attr-defined]
    Order("o-1")  # type: ignore[call-arg]
    Order()  # type: ignore[call-arg]
    text: str = new.user_secret  # type: ignore[assignment]
    del text
    use(Side.HOLD)  # type: ignore[attr-defined]
    APIError("no")  # type: ignore[call-arg, arg-type]
