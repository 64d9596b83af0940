"""The asyncio-native client for Connect Trade.

``import connecttrade_async`` is light: each public name is fetched from its room when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async import analytics, symbology, tickets
    from connecttrade_async.client import ConnectTrade, Health, User
    from connecttrade_async.clock import Clock, SystemClock
    from connecttrade_async.config import Endpoints, Limits, Reconnect, Retry, Timeouts
    from connecttrade_async.errors import (
        APIError,
        AuthenticationError,
        AuthenticationRefusedError,
        BadRequestError,
        BrokerError,
        CallerError,
        ClosedError,
        ConfigurationError,
        ConflictError,
        ConnectError,
        ConnectTradeError,
        CursorError,
        MalformedResponseError,
        NotFoundError,
        OAuthError,
        OrderNotReplacedError,
        OrderOutcomeUnknownError,
        RateLimitedError,
        RequestTimeoutError,
        ServerError,
        SessionTakenError,
        SlowConsumerError,
        StreamRefusedError,
        SymbolError,
        TicketError,
        TransportError,
    )
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.live.book import Book
    from connecttrade_async.live.changes import BalanceChanged, OrderChanged, PositionChanged
    from connecttrade_async.live.polled import Outage, PollResult, PollStatistics, Recovered, Slowed
    from connecttrade_async.live.poller import Poller
    from connecttrade_async.live.reports import LiveHealth, LiveStatistics
    from connecttrade_async.live.telling import Changes
    from connecttrade_async.live.tracker import KeepOrders
    from connecttrade_async.models import (
        Account,
        AccountSummary,
        Balance,
        Broker,
        Connection,
        ConnectionRequest,
        ConnectionToken,
        ConnectionType,
        Fill,
        Instrument,
        Leg,
        NewUser,
        Order,
        OrderStatus,
        OrderType,
        Page,
        Position,
        Side,
        TimeInForce,
        Transaction,
        UserRecord,
        UserToken,
    )
    from connecttrade_async.models.events import (
        BalanceUpdate,
        Connecting,
        Ended,
        Gap,
        Live,
        Lost,
        OrderUpdate,
        PositionUpdate,
        Retrying,
        UnknownMessage,
    )
    from connecttrade_async.redirects import Redirect, check_redirect_url, parse_redirect
    from connecttrade_async.rest.pagination import Listing, Pages
    from connecttrade_async.rest.wire import Response
    from connecttrade_async.secret import Secret
    from connecttrade_async.streaming.fanout import Statistics, Subscription
    from connecttrade_async.streaming.protocol import Verdict
    from connecttrade_async.streaming.streams import BrokerageStream, StreamHealth
    from connecttrade_async.symbology import (
        EquityKind,
        EquitySymbol,
        OptionRight,
        OptionSymbol,
        parse_dashed,
        parse_dotted,
        parse_equity,
        parse_option,
        parse_symbol,
    )
    from connecttrade_async.tickets import OrderTicket, TicketLeg

__all__ = [
    "APIError",
    "Account",
    "AccountSummary",
    "AuthenticationError",
    "AuthenticationRefusedError",
    "BadRequestError",
    "Balance",
    "BalanceChanged",
    "BalanceUpdate",
    "Book",
    "Broker",
    "BrokerError",
    "BrokerageStream",
    "CallerError",
    "Changes",
    "Clock",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTrade",
    "ConnectTradeError",
    "Connecting",
    "Connection",
    "ConnectionRequest",
    "ConnectionToken",
    "ConnectionType",
    "CursorError",
    "Ended",
    "Endpoints",
    "EquityKind",
    "EquitySymbol",
    "Fill",
    "Gap",
    "Health",
    "Instrument",
    "KeepOrders",
    "Leg",
    "Limits",
    "Listing",
    "Live",
    "LiveAccounts",
    "LiveHealth",
    "LiveStatistics",
    "Lost",
    "MalformedResponseError",
    "NewUser",
    "NotFoundError",
    "OAuthError",
    "OptionRight",
    "OptionSymbol",
    "Order",
    "OrderChanged",
    "OrderNotReplacedError",
    "OrderOutcomeUnknownError",
    "OrderStatus",
    "OrderTicket",
    "OrderType",
    "OrderUpdate",
    "Outage",
    "Page",
    "Pages",
    "PollResult",
    "PollStatistics",
    "Poller",
    "Position",
    "PositionChanged",
    "PositionUpdate",
    "RateLimitedError",
    "Reconnect",
    "Recovered",
    "Redirect",
    "RequestTimeoutError",
    "Response",
    "Retry",
    "Retrying",
    "Secret",
    "ServerError",
    "SessionTakenError",
    "Side",
    "SlowConsumerError",
    "Slowed",
    "Statistics",
    "StreamHealth",
    "StreamRefusedError",
    "Subscription",
    "SymbolError",
    "SystemClock",
    "TicketError",
    "TicketLeg",
    "TimeInForce",
    "Timeouts",
    "Transaction",
    "TransportError",
    "UnknownMessage",
    "User",
    "UserRecord",
    "UserToken",
    "Verdict",
    "__version__",
    "analytics",
    "check_redirect_url",
    "parse_dashed",
    "parse_dotted",
    "parse_equity",
    "parse_option",
    "parse_redirect",
    "parse_symbol",
    "symbology",
    "tickets",
]

__version__ = "0.1.0"

_ROOMS = {
    "client": ("ConnectTrade", "Health", "User"),
    "clock": ("Clock", "SystemClock"),
    "config": ("Endpoints", "Limits", "Reconnect", "Retry", "Timeouts"),
    "errors": (
        "APIError",
        "AuthenticationError",
        "AuthenticationRefusedError",
        "BadRequestError",
        "BrokerError",
        "CallerError",
        "ClosedError",
        "ConfigurationError",
        "ConflictError",
        "ConnectError",
        "ConnectTradeError",
        "CursorError",
        "MalformedResponseError",
        "NotFoundError",
        "OAuthError",
        "OrderNotReplacedError",
        "OrderOutcomeUnknownError",
        "RateLimitedError",
        "RequestTimeoutError",
        "ServerError",
        "SessionTakenError",
        "SlowConsumerError",
        "StreamRefusedError",
        "SymbolError",
        "TicketError",
        "TransportError",
    ),
    "live.accounts": ("LiveAccounts",),
    "live.book": ("Book",),
    "live.changes": ("BalanceChanged", "OrderChanged", "PositionChanged"),
    "live.reports": ("LiveHealth", "LiveStatistics"),
    "live.telling": ("Changes",),
    "live.tracker": ("KeepOrders",),
    "live.polled": ("Outage", "PollResult", "PollStatistics", "Recovered", "Slowed"),
    "live.poller": ("Poller",),
    "models": (
        "Account",
        "AccountSummary",
        "Balance",
        "Broker",
        "Connection",
        "ConnectionRequest",
        "ConnectionToken",
        "ConnectionType",
        "Fill",
        "Instrument",
        "Leg",
        "NewUser",
        "Order",
        "OrderStatus",
        "OrderType",
        "Page",
        "Position",
        "Side",
        "TimeInForce",
        "Transaction",
        "UserRecord",
        "UserToken",
    ),
    "models.events": (
        "BalanceUpdate",
        "Connecting",
        "Ended",
        "Gap",
        "Live",
        "Lost",
        "OrderUpdate",
        "PositionUpdate",
        "Retrying",
        "UnknownMessage",
    ),
    "redirects": ("Redirect", "check_redirect_url", "parse_redirect"),
    "rest.pagination": ("Listing", "Pages"),
    "rest.wire": ("Response",),
    "secret": ("Secret",),
    "streaming.fanout": ("Statistics", "Subscription"),
    "streaming.protocol": ("Verdict",),
    "streaming.streams": ("BrokerageStream", "StreamHealth"),
    "symbology": (
        "EquityKind",
        "EquitySymbol",
        "OptionRight",
        "OptionSymbol",
        "parse_dashed",
        "parse_dotted",
        "parse_equity",
        "parse_option",
        "parse_symbol",
    ),
    "tickets": ("OrderTicket", "TicketLeg"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}
_MODULES = frozenset({"analytics", "symbology", "tickets"})  # used as they are: tickets.limit(...)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
