"""The asyncio-native client for Connect Trade.

``import connecttrade_async`` is light: each public name is fetched from its room when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from connecttrade_async._version import __version__ as __version__

# Each alias marks a public name for type checkers.
if TYPE_CHECKING:
    __all__: list[str]
    from connecttrade_async import analytics as analytics, symbology as symbology, tickets as tickets
    from connecttrade_async.books.book import Book as Book
    from connecttrade_async.books.change_feed import ChangeSubscription as ChangeSubscription
    from connecttrade_async.books.changes import (
        BalanceChanged as BalanceChanged,
        OrderChanged as OrderChanged,
        PositionChanged as PositionChanged,
    )
    from connecttrade_async.books.order_tracker import OrderRetention as OrderRetention
    from connecttrade_async.client import ClientHealth as ClientHealth, ConnectTrade as ConnectTrade
    from connecttrade_async.clock import Clock as Clock, SystemClock as SystemClock
    from connecttrade_async.config import (
        Endpoints as Endpoints,
        Limits as Limits,
        Reconnect as Reconnect,
        Retry as Retry,
        Timeouts as Timeouts,
    )
    from connecttrade_async.dialect.value import Dialect as Dialect
    from connecttrade_async.errors import (
        APIError as APIError,
        AuthenticationError as AuthenticationError,
        AuthenticationRefusedError as AuthenticationRefusedError,
        BadRequestError as BadRequestError,
        BrokerError as BrokerError,
        CallerError as CallerError,
        ClosedError as ClosedError,
        ConfigurationError as ConfigurationError,
        ConflictError as ConflictError,
        ConnectError as ConnectError,
        ConnectTradeError as ConnectTradeError,
        CursorError as CursorError,
        HandshakeError as HandshakeError,
        IncompleteListError as IncompleteListError,
        MalformedResponseError as MalformedResponseError,
        MarketDataRefusedError as MarketDataRefusedError,
        NotFoundError as NotFoundError,
        OAuthError as OAuthError,
        OrderNotReplacedError as OrderNotReplacedError,
        OrderOutcomeUnknownError as OrderOutcomeUnknownError,
        RateLimitedError as RateLimitedError,
        RelayError as RelayError,
        RequestTimeoutError as RequestTimeoutError,
        ServerError as ServerError,
        SessionTakenError as SessionTakenError,
        SlowConsumerError as SlowConsumerError,
        StreamRefusedError as StreamRefusedError,
        SymbolError as SymbolError,
        TicketError as TicketError,
        TransportError as TransportError,
    )
    from connecttrade_async.live.accounts import LiveAccounts as LiveAccounts
    from connecttrade_async.live.status import LiveHealth as LiveHealth, LiveStatistics as LiveStatistics
    from connecttrade_async.market_data.bar_feed import BarFeed as BarFeed
    from connecttrade_async.market_data.feeds import DepthFeed as DepthFeed, Feed as Feed
    from connecttrade_async.market_data.stream import (
        MarketDataStream as MarketDataStream,
        ServerSubscription as ServerSubscription,
        ServerSubscriptions as ServerSubscriptions,
    )
    from connecttrade_async.models import (
        Account as Account,
        AccountSummary as AccountSummary,
        Balance as Balance,
        Broker as Broker,
        Connection as Connection,
        ConnectionRequest as ConnectionRequest,
        ConnectionToken as ConnectionToken,
        ConnectionType as ConnectionType,
        Fill as Fill,
        Instrument as Instrument,
        Leg as Leg,
        NewUser as NewUser,
        Order as Order,
        OrderStatus as OrderStatus,
        OrderType as OrderType,
        Page as Page,
        Position as Position,
        Rows as Rows,
        Side as Side,
        TimeInForce as TimeInForce,
        Transaction as Transaction,
        UserRecord as UserRecord,
        UserToken as UserToken,
    )
    from connecttrade_async.models.events import (
        BalanceUpdate as BalanceUpdate,
        Event as Event,
        Gap as Gap,
        OrderUpdate as OrderUpdate,
        PositionUpdate as PositionUpdate,
        StreamConnecting as StreamConnecting,
        StreamEnded as StreamEnded,
        StreamLive as StreamLive,
        StreamLost as StreamLost,
        StreamRetrying as StreamRetrying,
        UnknownMessage as UnknownMessage,
    )
    from connecttrade_async.models.market import (
        Bar as Bar,
        Depth as Depth,
        Greeks as Greeks,
        Level as Level,
        OptionContract as OptionContract,
        OptionsChain as OptionsChain,
        Quote as Quote,
        SymbolRefused as SymbolRefused,
        Trade as Trade,
    )
    from connecttrade_async.oauth import (
        ConnectionRedirect as ConnectionRedirect,
        check_redirect_url as check_redirect_url,
        parse_redirect as parse_redirect,
    )
    from connecttrade_async.polling.poller import Poller as Poller
    from connecttrade_async.polling.results import (
        Outage as Outage,
        OutageEnded as OutageEnded,
        PollResult as PollResult,
        PollStatistics as PollStatistics,
        RateLimited as RateLimited,
    )
    from connecttrade_async.recording.recorder import Recorder as Recorder
    from connecttrade_async.relay.relay import Relay as Relay, RelayStatus as RelayStatus
    from connecttrade_async.relay.settings import Keep as Keep
    from connecttrade_async.rest.pagination import Listing as Listing, Pages as Pages
    from connecttrade_async.rest.wire import Response as Response
    from connecttrade_async.secret import Secret as Secret
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream as BrokerageStream
    from connecttrade_async.streaming.protocol import CloseReason as CloseReason
    from connecttrade_async.streaming.stream import StreamHealth as StreamHealth
    from connecttrade_async.streaming.subscriptions import (
        Subscription as Subscription,
        SubscriptionStatistics as SubscriptionStatistics,
    )
    from connecttrade_async.symbology import (
        EquityKind as EquityKind,
        EquitySymbol as EquitySymbol,
        OptionRight as OptionRight,
        OptionSymbol as OptionSymbol,
        parse_dashed as parse_dashed,
        parse_dotted as parse_dotted,
        parse_equity as parse_equity,
        parse_option as parse_option,
        parse_symbol as parse_symbol,
    )
    from connecttrade_async.tickets import OrderTicket as OrderTicket, TicketLeg as TicketLeg
    from connecttrade_async.user import User as User


_ROOMS = {
    "client": ("ConnectTrade", "ClientHealth"),
    "clock": ("Clock", "SystemClock"),
    "config": ("Endpoints", "Limits", "Reconnect", "Retry", "Timeouts"),
    "dialect.value": ("Dialect",),
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
        "HandshakeError",
        "IncompleteListError",
        "MalformedResponseError",
        "MarketDataRefusedError",
        "NotFoundError",
        "OAuthError",
        "OrderNotReplacedError",
        "OrderOutcomeUnknownError",
        "RateLimitedError",
        "RelayError",
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
    "books.book": ("Book",),
    "books.changes": ("BalanceChanged", "OrderChanged", "PositionChanged"),
    "live.status": ("LiveHealth", "LiveStatistics"),
    "books.change_feed": ("ChangeSubscription",),
    "books.order_tracker": ("OrderRetention",),
    "polling.results": ("Outage", "PollResult", "PollStatistics", "OutageEnded", "RateLimited"),
    "polling.poller": ("Poller",),
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
        "Rows",
        "Side",
        "TimeInForce",
        "Transaction",
        "UserRecord",
        "UserToken",
    ),
    "models.events": (
        "BalanceUpdate",
        "StreamConnecting",
        "StreamEnded",
        "Event",
        "Gap",
        "StreamLive",
        "StreamLost",
        "OrderUpdate",
        "PositionUpdate",
        "StreamRetrying",
        "UnknownMessage",
    ),
    "models.market": (
        "Bar",
        "Depth",
        "Greeks",
        "Level",
        "OptionContract",
        "OptionsChain",
        "Quote",
        "SymbolRefused",
        "Trade",
    ),
    "oauth": ("ConnectionRedirect", "check_redirect_url", "parse_redirect"),
    "recording.recorder": ("Recorder",),
    "relay.relay": ("Relay", "RelayStatus"),
    "relay.settings": ("Keep",),
    "rest.pagination": ("Listing", "Pages"),
    "rest.wire": ("Response",),
    "secret": ("Secret",),
    "streaming.subscriptions": ("SubscriptionStatistics", "Subscription"),
    "market_data.bar_feed": ("BarFeed",),
    "market_data.feeds": ("DepthFeed", "Feed"),
    "market_data.stream": ("MarketDataStream", "ServerSubscription", "ServerSubscriptions"),
    "streaming.protocol": ("CloseReason",),
    "streaming.brokerage_stream": ("BrokerageStream",),
    "streaming.stream": ("StreamHealth",),
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
    "user": ("User",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}
_MODULES = frozenset({"analytics", "symbology", "tickets"})  # used as they are: tickets.limit(...)

_PUBLIC = sorted({"__version__", *_HOMES, *_MODULES})

# Type checkers do not evaluate a computed ``__all__``; the redundant aliases above mark the public names.
if not TYPE_CHECKING:
    __all__ = list(_PUBLIC)


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
