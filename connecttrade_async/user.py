"""The handle on one user, and the state that it shares with its client."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

import connecttrade_async  # names that are imported on first use
from connecttrade_async.config import DialOptions, Reconnect
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.rest import resources
from connecttrade_async.rest.sender import Api, Sender
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from connecttrade_async.polling.polled_api import PolledApi
    from connecttrade_async.rest.rate_limiter import RateLimiter

__all__ = ["MarketDataShared", "User", "api_of", "polled_user", "sender_of"]


class MarketDataShared(NamedTuple):
    """The client's settings and state that the market data streams of its users share.

    Attributes:
        url: the address of the market data stream, or ``""``.
        reconnect: the reconnect policy.
        taken: the ids of users with an open market data stream.
        dial: the connection options of both streams.
        frame_bytes: the size of the largest frame of both streams.
        dialect: how the server speaks.
    """

    url: str
    reconnect: Reconnect
    taken: set[str]
    dial: DialOptions
    frame_bytes: int
    dialect: Dialect


class User(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A handle on one user of the client: its id and secret, and the resources of its accounts.

    The garbage collector does not track handles: there may be thousands, and they hold no reference cycle.
    """

    _sender: Sender
    _market: MarketDataShared
    _user_id: str | None
    _user_secret: Secret | None
    # Replaces the plain Api where requests are recorded or limited, as in a snapshot or a poll.
    _api_override: Api | None = None

    @property
    def user_id(self) -> str:
        """The user's id."""
        return self._user_id or ""

    @property
    def _api(self) -> Api:
        if self._api_override is not None:
            return self._api_override
        return Api(self._sender, self._user_id, self._user_secret)

    @property
    def accounts(self) -> resources.Accounts:
        """The accounts that the user's connections give access to."""
        return resources.Accounts(self._api)

    @property
    def balances(self) -> resources.Balances:
        """Cash, buying power and margin."""
        return resources.Balances(self._api)

    @property
    def connections(self) -> resources.Connections:
        """The user's authorized ties to brokers."""
        return resources.Connections(self._api)

    @property
    def orders(self) -> resources.Orders:
        """The user's orders."""
        return resources.Orders(self._api)

    @property
    def positions(self) -> resources.Positions:
        """The positions in the user's accounts."""
        return resources.Positions(self._api)

    @property
    def tokens(self) -> resources.Tokens:
        """Access tokens of the user for other services of the vendor."""
        return resources.Tokens(self._api)

    @property
    def transactions(self) -> resources.Transactions:
        """The transactions in the user's accounts."""
        return resources.Transactions(self._api)

    def market_data(
        self,
        connection_id: str,
        *,
        token_source: Callable[[], Awaitable[connecttrade_async.ConnectionToken | Secret | str]] | None = None,
        codes: Mapping[str, connecttrade_async.CloseReason] | None = None,
        watchdog: float | None = None,
    ) -> connecttrade_async.MarketDataStream:
        """Return the market data of one of the user's connections; ``async with`` opens it.

        The stream requests a token, and renews it before it expires. Connect Trade allows one broker connection at a
        time per user, and all its subscriptions from one network address (documented). The client rejects a second
        stream of a user; only the server can reject one that another process has open.

        Args:
            connection_id: the id of a connection of type ``market_data``.
            token_source: an async callable that returns a token from elsewhere: a ``ConnectionToken``, a ``Secret`` or
                text. It is called when the stream opens, before a token expires, and when a token that was accepted
                before is rejected. It is cancelled after ``timeouts.call`` seconds. Where it fails after it returned
                a token, or returns no newer one, it is called again later.
            codes: as for ``ConnectTrade.brokerage_stream``.
            watchdog: as for ``ConnectTrade.brokerage_stream``.

        Raises:
            ConfigurationError: the id is invalid, or the endpoints have no market data address.
        """
        if not self._market.url:
            msg = "endpoints must have a market data address, got none"
            raise ConfigurationError(msg)
        # Imported on first use: importing websockets takes a tenth of a second.
        from connecttrade_async.market_data.stream import MarketDataConfig, MarketDataStream  # noqa: PLC0415
        from connecttrade_async.streaming.websocket import ConnectOptions  # noqa: PLC0415

        sender, market = self._sender, self._market
        tap_point = sender.transport.tap_point.of_stream("market_data")
        dialing = ConnectOptions(market.frame_bytes, market.dial.ssl, market.dial.proxy, tap_point)
        return MarketDataStream(
            MarketDataConfig(
                market.url,
                sender.timeouts,
                market.reconnect,
                sender.clock,
                market.taken,
                sender,
                dialing,
                market.dialect,
            ),
            self.user_id,
            token_source or partial(self.connections.token, connection_id),
            mints=token_source is None,
            codes=codes or {},
            watchdog=watchdog,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> connecttrade_async.Response:
        """Send a request with the user's credentials; see ``ConnectTrade.request``.

        Raises:
            ConfigurationError: the path or a parameter is invalid.
            TransportError: the network failed.
            APIError: the API responded with an error status.

        Cancelling abandons the call; the server may still execute a request that was sent.
        """
        return await self._api.request(method, path, params=params, json=json)

    def __repr__(self) -> str:
        return f"<User {self.user_id!r}>"


def api_of(user: User) -> Api:
    """Return the API that sends a user's requests."""
    return user._api  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file


def sender_of(user: User) -> Sender:
    """Return the sender that a user shares with its client."""
    return user._sender  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file


def polled_user(api_type: type[PolledApi], user: User, rate_limiter: RateLimiter) -> tuple[PolledApi, User]:
    """Return an API that limits and records the requests of one poll, and a handle of the user that uses it.

    Args:
        api_type: the class of the API.
        user: the polled user.
        rate_limiter: the rate limit of the poller.
    """
    market, user_id, secret = user._market, user._user_id, user._user_secret  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file
    sender = sender_of(user).without_retries()
    api = api_type(sender, user_id, secret, rate_limiter)
    return api, User(sender, market, user_id, secret, api)
